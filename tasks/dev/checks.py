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
from tasks.dev import skips


@dataclass(frozen=True, kw_only=True)
class CheckSpec:
    """Python modules with their arguments: half of the work is shown as it goes.

    Those are the tests that take the whole machine for a host; the others run beside them, one
    after the other, into `logs`. First of these is what makes, in minutes, what the last of the
    shown tests need. Before them all `prepare` installs what tests need, where it may.
    """

    logs: Path
    allowed_skips: Path = Path("tests/allowed-skips.txt")
    prepare: Sequence[str] = ("tests.kit.machine",)
    beside: tuple[Sequence[str], ...] = (
        ("tests.kit",),
        ("ruff", "check", "."),
        ("mypy",),
        ("pytest", "tests/unit"),
        ("pytest", "tests/servers", "--ignore", "tests/servers/host"),
    )
    shown: Sequence[str] = ("pytest", "tests/servers/host")


def run(spec: CheckSpec) -> str:
    """Run every check, even after one has failed; AirlockError names those that did.

    A test that was skipped without a line in `allowed_skips` fails the whole as well.
    """
    failed = [] if _passes(spec.prepare, spec.logs, show=True) else [" ".join(spec.prepare)]
    with ThreadPoolExecutor(1) as pool:
        quiet = pool.submit(lambda: [_passes(command, spec.logs) for command in spec.beside])
        passed = [_passes(spec.shown, spec.logs, show=True), *quiet.result()]
    for command in spec.beside:
        print(f"== {' '.join(command)}\n{_log(command, spec.logs).read_text()}", flush=True)
    commands = (spec.shown, *spec.beside)
    failed += [" ".join(command) for command, good in zip(commands, passed, strict=True)
               if not good]
    skipped = skips.read(_results(command, spec.logs) for command in commands)
    print(skips.summary(skipped), flush=True)
    failed += [f"{skip.test} was skipped, which {spec.allowed_skips} does not allow"
               for skip in skips.unlisted(skipped, spec.allowed_skips)]
    if failed:
        raise AirlockError(f"failed: {', '.join(failed)}", todo="the faults are printed above")
    return f"all checks passed, {len(skipped)} tests skipped"


def _log(command: Sequence[str], logs: Path) -> Path:
    return logs / f"test-{'-'.join(re.findall(r'[a-z]+', ' '.join(command)))}.log"


def _results(command: Sequence[str], logs: Path) -> Path:
    """The JUnit file of a run of pytest."""
    return _log(command, logs).with_suffix(".xml")


def _passes(command: Sequence[str], logs: Path, *, show: bool = False) -> bool:
    """Whether a command ends well; where it isn't shown, its output goes to its log."""
    if show:
        print(f"== {' '.join(command)}", flush=True)
    results = _results(command, logs)
    results.unlink(missing_ok=True)
    report = [f"--junitxml={results}"] if command[0] == "pytest" else []
    try:
        processes.run([sys.executable, "-m", *command, *report], show=show,
                      log=None if show else _log(command, logs))
    except CommandError:
        return False
    return True
