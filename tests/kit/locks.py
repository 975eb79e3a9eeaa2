"""The files of a lock, in a folder of a test's own."""

from __future__ import annotations

from pathlib import Path

from tasks.core.lock_files import LockFiles


def lock_at(root: Path, kind: str) -> LockFiles:
    """The lock of a pipeline `p` at the site `here`, below `root`."""
    return LockFiles(site="here", pipeline="p", kind=kind, root=root)
