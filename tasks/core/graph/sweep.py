"""Sweeping after a kill: what a run left half made is removed before the next one begins."""

from __future__ import annotations

import shutil
from pathlib import Path


def sweep(state: Path) -> None:
    """Remove what was half made where the run writes that holds the lock of this state."""
    for folder in written_by(state):
        sweep_folder(folder)


def sweep_folder(folder: Path) -> None:
    """Remove the temporary files of core/files.py in `folder` and its folders."""
    for left in [*folder.glob(".*.part"), *folder.glob("*/.*.part")]:
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def written_by(state: Path) -> list[Path]:
    """The folders where such a run writes; the other role's are another's."""
    root = state.parent
    if state.stem == "prod":
        return [root / "prod"]
    return [root, *(path for path in root.iterdir() if path.is_dir() and path.name != "prod")]
