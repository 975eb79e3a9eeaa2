"""The folders in which tasks have worked, of runs that ended long ago."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

TASK = re.compile("[0-9a-f]{2}/[0-9a-f]{30}")
"""A task's folder below the work folder, as Nextflow names it by the task's hash."""


def task_folders(work: Path, before: float) -> Iterator[Path]:
    """Those in which nothing has changed since a time, in seconds since the epoch."""
    for folder in sorted(work.glob("??/*")):
        if (TASK.fullmatch(folder.relative_to(work).as_posix()) and not folder.is_symlink()
                and folder.is_dir() and _changed(folder) < before):
            yield folder


def _changed(folder: Path) -> float:
    """When something came into a task's folder last, or its command was written."""
    times = [folder.stat().st_mtime]
    for name in (".command.run", ".exitcode"):
        if (path := folder / name).is_file():
            times.append(path.stat().st_mtime)
    return max(times)


def linked_to(results: Path, work: Path) -> set[Path]:
    """The tasks' folders that links below `results` lead into: some pipelines publish by links."""
    linked = set()
    inside = work.resolve()
    for folder, names, leaves in os.walk(results):
        for name in (*names, *leaves):
            path = Path(folder, name)
            if path.is_symlink():
                target = path.resolve()
                if target.is_relative_to(inside):
                    linked.add(work.joinpath(*target.relative_to(inside).parts[:2]))
    return linked


def size(folder: Path) -> int:
    """Bytes of the files below a folder, links not followed."""
    total = 0
    for place, _, leaves in os.walk(folder):
        for name in leaves:
            total += Path(place, name).lstat().st_size
    return total
