"""`test`: the checks and all tests, by the one command that continuous integration calls too."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.core import processes
from tasks.core.errors import AirlockError, CommandError


@dataclass(frozen=True, kw_only=True)
class CheckSpec:
    """The checks, in their order: Python modules with their arguments."""

    commands: tuple[Sequence[str], ...] = (
        ("ruff", "check", "."),
        ("mypy",),
        ("pytest", "tests/unit", "tests/sandbox"),
    )


def run(spec: CheckSpec) -> str:
    """Run every check, even after one has failed; AirlockError names those that did."""
    failed = []
    for command in spec.commands:
        print(f"== {' '.join(command)}", flush=True)
        try:
            processes.run([sys.executable, "-m", *command], show=True)
        except CommandError:
            failed.append(" ".join(command))
    if failed:
        raise AirlockError(f"failed: {', '.join(failed)}", todo="the faults are printed above")
    return "all checks passed"
