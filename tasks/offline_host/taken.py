"""Where a folder that was carried by disk goes; the graph asks, so no file of it is read here."""

from __future__ import annotations

import os
from pathlib import Path

from tasks.core.config.aws_settings import StoreAt

SPLIT = "whole/SHA256SUMS"
"""What a folder has that was split into volumes."""


def source(given: str, store: StoreAt, together: Path) -> tuple[StoreAt, Path | None]:
    """Where releases are read from once a folder is taken, and what its files are put into.

    The site's store, if it is a folder that may be written; else the carried folder, or that where
    its volumes are put `together`.
    """
    folder, root = store.folder, place(given)
    is_split = (root / SPLIT).is_file()
    if folder is not None and folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        if folder.resolve() != root.resolve():
            return store, folder
        if not is_split:
            return store, None
    if is_split:
        return StoreAt(url=str(together.absolute())), together.absolute()
    return StoreAt(url=str(root)), None


def place(given: str) -> Path:
    """The folder that from=DIR names."""
    return Path(given).expanduser().absolute()
