"""Where an image's blobs lie on disk, by digest: as images:layout leaves them."""

from __future__ import annotations

from pathlib import Path

from tasks.core import files


def blob_path(digest: str, blobs: Path) -> Path:
    """Return where a blob lies; IntegrityError for a digest that would lead out of the folder."""
    plain = digest.removeprefix("sha256:")
    return files.inside(blobs, f"{plain}/{plain}")
