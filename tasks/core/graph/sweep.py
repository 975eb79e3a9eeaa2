"""Sweeping after a kill: what a run left half made is removed before the next one begins."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path


def sweep(state: Path) -> None:
    """Remove what was half made where the run writes that holds the lock of this state.

    Not in build/<site>/prod, which is the offline host's: its steps sweep what they place.
    """
    root = state.parent
    for folder in [root, *(path for path in root.iterdir() if path.name != "prod")]:
        sweep_folder(folder)


def sweep_folder(folder: Path) -> None:
    """Remove the temporary files of core/files.py in a folder and its folders, if it is one."""
    for left in _half_made(folder, depth=1):
        if left.is_dir(follow_symlinks=False):
            shutil.rmtree(left, ignore_errors=True)
        else:
            Path(left).unlink(missing_ok=True)


def _half_made(folder: str | Path, depth: int) -> Iterator[os.DirEntry[str]]:
    try:
        entries = list(os.scandir(folder))
    except OSError:  # no folder, or not ours
        return
    for entry in entries:
        if entry.name.startswith(".") and entry.name.endswith(".part"):
            yield entry
        elif depth and entry.is_dir(follow_symlinks=False):
            yield from _half_made(entry.path, depth - 1)
