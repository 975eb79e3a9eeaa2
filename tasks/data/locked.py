"""How much a pipeline's data are, as its lock alone tells."""

from __future__ import annotations

from typing import Protocol

from tasks.core.inputs import staged_data
from tasks.core.schema import read_json
from tasks.data.mirror import Source


class Fetches(Protocol):
    """The spec of a step that fetches what a lock names."""

    @property
    def source(self) -> Source: ...


def bytes_missing(spec: Fetches) -> int | None:
    """The bytes of the locked files that the cache doesn't hold; None where there is no lock yet.
    """
    source = spec.source
    locks = [path for path in source.lock.paths if path.is_file()]
    if not locks:
        return None
    sizes = {entry["sha256"]: entry["size"] for path in locks
             for entry in read_json(path, "data-lock")["files"]}
    return sum(int(size) for digest, size in sizes.items()
               if not staged_data.blob(source.blobs, digest, "").is_file())
