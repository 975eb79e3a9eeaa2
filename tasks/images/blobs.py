"""Images' blobs on disk, by digest, as the store keeps them: <sha256>/<sha256>."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.core import files, parsing
from tasks.core.errors import HostError, IntegrityError
from tasks.core.process_shared import Shared
from tasks.core.registry.client import Manifest
from tasks.core.registry.streams import CHUNK, checked
from tasks.images.reference import DIGEST

MANIFEST = 4 * 2**20
"""Bytes of a manifest or index: what registries take (OCI distribution specification)."""
_writing = Shared()


@dataclass(frozen=True, kw_only=True)
class Blobs:
    """The folder that keeps them; `todo` is what to do where one is missing or has changed."""

    root: Path
    todo: str

    def path(self, digest: str) -> Path:
        """Where a blob lies; its own digest is its file's name."""
        plain = _plain(digest)
        return self.root / plain / plain

    def is_there(self, digest: str, size: int) -> bool:
        """Whether a file of that size is there for the blob; its bytes are not looked at."""
        path = self.path(digest)
        return path.is_file() and path.stat().st_size == size

    def holds(self, digest: str, size: int) -> bool:
        """Whether the blob is there; it is read and hashed."""
        return self.is_there(digest, size) and files.sha256(self.path(digest)) == _plain(digest)

    def size(self, digest: str) -> int:
        """A blob's bytes; IntegrityError where it is missing."""
        path = self.path(digest)
        if not path.is_file():
            raise IntegrityError(f"the blob {digest} is missing", where=path, todo=self.todo)
        return path.stat().st_size

    @contextmanager
    def keeping(self, digest: str) -> Iterator[Path]:
        """Hold the right to write this blob: pipelines share blobs, and run in parallel."""
        path = self.path(digest)
        with _writing.once(path.absolute(), threading.Lock):
            for left in path.parent.glob(f".{path.name}.*.part"):
                left.unlink()  # of a killed run
            yield path

    def write(self, digest: str, chunks: Iterable[bytes]) -> None:
        """Write a blob whole or not at all; the caller has its bytes checked as they come."""
        path = self.path(digest)
        with reporting_write_errors(path), files.atomic(path) as stream:
            for chunk in chunks:
                stream.write(chunk)

    @contextmanager
    def reading(self, digest: str, size: int) -> Iterator[Iterator[bytes]]:
        """A blob's bytes; before the last of them IntegrityError where they aren't it."""
        path = self.path(digest)
        self.size(digest)
        with path.open("rb") as stream:
            yield self._checked(iter(lambda: stream.read(CHUNK), b""), digest, size, path)

    def manifest(self, digest: str) -> Manifest:
        """A manifest or index; OCI's need not say its media type itself."""
        size = self.size(digest)
        if size > MANIFEST:
            raise IntegrityError(f"the manifest {digest} has {files.human_size(size)}, and "
                                 f"{files.human_size(MANIFEST)} are allowed",
                                 where=self.path(digest), todo=self.todo)
        with self.reading(digest, size) as chunks:
            data = b"".join(chunks)
        try:
            value = parsing.from_json(data)
        except ValueError as error:
            raise IntegrityError(f"the manifest {digest} is not JSON: {error}",
                                 where=self.path(digest), todo=self.todo) from error
        kind = "index" if "manifests" in value else "manifest"
        return Manifest(data=data, media_type=str(
            value.get("mediaType") or f"application/vnd.oci.image.{kind}.v1+json"))

    def _checked(self, chunks: Iterator[bytes], digest: str, size: int,
                 path: Path) -> Iterator[bytes]:
        try:
            yield from checked(chunks, digest, size, digest, str(path))
        except IntegrityError as error:
            raise IntegrityError(error.what, where=path, todo=self.todo) from None


class FlatBlobs(Blobs):
    """The same as an OCI image layout has them: blobs/sha256/<sha256>."""

    def path(self, digest: str) -> Path:
        return self.root / _plain(digest)


@contextmanager
def reporting_write_errors(path: Path) -> Iterator[None]:
    """Say where the disk is full, which the system's own error doesn't."""
    try:
        yield
    except OSError as error:
        raise HostError(f"cannot write: {error.strerror}", where=path,
                        todo="free space or mend the rights there, then run the same command "
                             "again: what is whole is kept") from error


def _plain(digest: str) -> str:
    if not DIGEST.fullmatch(digest):
        raise IntegrityError(f"{digest!r} is not a digest")
    return digest.removeprefix("sha256:")
