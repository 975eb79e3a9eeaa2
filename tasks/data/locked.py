"""How much a pipeline's data are, as its lock alone tells."""

from __future__ import annotations

from typing import Protocol

from tasks.core import lock_files
from tasks.core.inputs import staged_data
from tasks.data.mirror import Source


class Fetches(Protocol):
    """The spec of a step that fetches what a lock names."""

    @property
    def source(self) -> Source: ...


def bytes_missing(spec: Fetches) -> int | None:
    """The bytes of the locked files that the cache doesn't hold; None where there is no lock yet.
    """
    source = spec.source
    locks = [lock for lock in lock_files.read_both(source.lock, "data-lock") if lock is not None]
    if not locks:
        return None
    sizes = {entry["sha256"]: entry["size"] for lock in locks for entry in lock["files"]}
    return sum(int(size) for digest, size in sizes.items()
               if not staged_data.blob(source.blobs, digest, "").is_file())
