"""`test`: the checks and all tests, by the one command that continuous integration calls too."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tasks.core import processes
from tasks.core.errors import AirlockError, CommandError


@dataclass(frozen=True, kw_only=True)
class CheckSpec:
    """Python modules with their arguments: half of the work is shown as it goes.

    Those are the tests that take the whole machine for a host; the others run beside them, one
    after the other, into `logs`. First of these is what makes, in minutes, what the last of the
    shown tests need.
    """

    logs: Path
    beside: tuple[Sequence[str], ...] = (
        ("tests.kit",),
        ("ruff", "check", "."),
        ("mypy",),
        ("pytest", "tests/unit"),
        ("pytest", "tests/servers", "--ignore", "tests/servers/host"),
    )
    shown: Sequence[str] = ("pytest", "tests/servers/host")


def run(spec: CheckSpec) -> str:
    """Run every check, even after one has failed; AirlockError names those that did."""
    with ThreadPoolExecutor(1) as pool:
        quiet = pool.submit(lambda: [_passes(check, spec.logs) for check in spec.beside])
        passed = {" ".join(spec.shown): _passes(spec.shown)}
        passed |= {" ".join(check): passes
                   for check, passes in zip(spec.beside, quiet.result(), strict=True)}
    for check in spec.beside:
        print(f"== {' '.join(check)}\n{_log(check, spec.logs).read_text()}", flush=True)
    failed = [check for check, passes in passed.items() if not passes]
    if failed:
        raise AirlockError(f"failed: {', '.join(failed)}", todo="the faults are printed above")
    return "all checks passed"


def _log(command: Sequence[str], logs: Path) -> Path:
    return logs / f"test-{'-'.join(re.findall(r'[a-z]+', ' '.join(command)))}.log"


def _passes(command: Sequence[str], logs: Path | None = None) -> bool:
    if logs is None:
        print(f"== {' '.join(command)}", flush=True)
    try:
        processes.run([sys.executable, "-m", *command], show=logs is None,
                      log=None if logs is None else _log(command, logs))
    except CommandError:
        return False
    return True
