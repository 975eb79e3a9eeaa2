"""What is told at the end about a run on this host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tasks.core import endings
from tasks.core.config.settings import offline_command
from tasks.core.offline_paths import OfflinePaths

RECORD = re.compile(r"(\S+)/run\.json$")


def of_run(result: str | None, at: OfflinePaths, runs: Path) -> Iterator[str]:
    """Where the results are of the run that a step tells of, or of the last one where it's fresh.
    """
    folder = _told(result) if result else _last(at, runs / at.pipeline)
    if folder:
        yield from endings.of_run(f"{at.pipeline} ran", folder)
        yield f"next: `{offline_command(f'runs:show {folder.name}')}` tells all of it"


def _told(result: str) -> Path | None:
    match = RECORD.search(result)
    return Path(match[1]) if match else None


def _last(at: OfflinePaths, runs: Path) -> Path | None:
    """The run whose record is this step's output: others may have run since."""
    if not at.run.is_file():
        return None
    record = at.run.read_bytes()
    return next((path.parent for path in sorted(runs.glob("*/run.json"), reverse=True)
                 if path.read_bytes() == record), None)
