"""Files as the bodies of requests: read while they are sent, whole or in parts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tasks.core import files
from tasks.core.errors import IntegrityError
from tasks.core.store.interface import refuse_changed
from tasks.core.store.s3_client import Body


def file_body(path: Path, size: int, sha256: str) -> Body:
    """Return what sends a file of this size."""
    return Body(read=partial(_read, path, 0, size), size=size, sha256=sha256)


def _read(path: Path, start: int, size: int) -> bytes | Iterator[bytes]:
    """`size` bytes of a file from `start` on: all at once where they are few, else block by block.
    """
    if size <= files.CHUNK:
        with path.open("rb") as reader:
            reader.seek(start)
            return reader.read(size)
    return _blocks(path, start, size)


def _blocks(path: Path, start: int, size: int) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as reader:
        reader.seek(start)
        while size > 0:
            block = reader.read(min(size, files.CHUNK))
            if not block:
                raise IntegrityError("a file became shorter while it was sent", where=path,
                                     todo="remove it, so that the step that makes it runs again")
            size -= len(block)
            yield block


def file_parts(path: Path, part: int, sha256: str) -> Iterator[Body]:
    """The parts of a file; IntegrityError after the last one unless all have its SHA-256."""
    whole, size = hashlib.sha256(), path.stat().st_size
    for start in range(0, size, part):
        length = min(part, size - start)
        digest = hashlib.sha256()
        for block in _blocks(path, start, length):
            whole.update(block)
            digest.update(block)
        yield Body(read=partial(_read, path, start, length), size=length,
                   sha256=digest.hexdigest())
    refuse_changed(whole.hexdigest(), sha256, path)
