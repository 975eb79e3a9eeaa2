"""What tests make once and find again: folders below build/tests, by what they are made from."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from tasks.core import files
from tests.kit.project import ROOT


def kept(name: str, made_from: str, make: Callable[[Path], None]) -> Path:
    """The folder build/tests/`name`-…, made by `make` unless one made from the same is there.

    Whoever comes while another process makes it waits for that.
    """
    digest = hashlib.sha256(made_from.encode()).hexdigest()[:12]
    folder = ROOT / "build/tests" / f"{name}-{digest}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{Path(name).name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            for outdated in folder.parent.glob(f"{folder.name.rpartition('-')[0]}-*"):
                shutil.rmtree(outdated)
            files.atomic_folder(folder, make)
    return folder
