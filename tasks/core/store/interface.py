"""What every store does: it holds files by key."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from tasks.core import nofollow
from tasks.core.errors import IntegrityError, StoreError

THREADS = 16
"""Transfers at a time, for the whole process: parts of a push run in parallel."""

MAX_SMALL = 1 << 20
"""Bytes of a pointer, a promotion or a signature; they have less than 1,000."""

MAX_LISTED = 100_000
"""Keys that a listing may have; below releases/ each release has three."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What the store says of one key. `sha256` is None where it tells no such checksum.

    `tag` is a bucket's entity tag, which other bytes under the key would change. `fault` is what
    is wrong with the file though its bytes are right: another encryption than the site wants.
    """

    key: str
    size: int
    sha256: str | None
    tag: str | None = field(default=None, compare=False)
    fault: str | None = None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file in a listing. `modified` is when it was written, UTC, by the store's own clock."""

    key: str
    size: int
    modified: datetime


class NotDeletable(StoreError):
    """The store doesn't let this user delete, as a bucket's policy may say."""


class Overtaken(StoreError):
    """Somebody else has written a file since it was read."""

    def __init__(self, where: str) -> None:
        super().__init__("somebody else wrote this file meanwhile", where=where,
                         todo="look at what is there now, then run the same command again")


class Store(Protocol):
    """A place for files by key. All raise StoreError with the place, the key and what to do."""

    url: str

    def head(self, key: str) -> Stored | None:
        """Size and SHA-256 as the store holds them, or None where the key is missing."""

    def put(self, key: str, path: Path, sha256: str) -> str | None:
        """Send a file; IntegrityError where its bytes do not have this SHA-256.

        Returns the entity tag that the store gave them once it had checked them, if it has tags.
        """

    def put_bytes(self, key: str, data: bytes) -> None:
        """Send a small file from memory."""

    def replace(self, key: str, data: bytes, before: bytes | None) -> None:
        """Write a small file if it still holds `before`, or isn't there where that is None.

        Overtaken where it holds something else, which then stays. No reader meets half of it.
        """

    def get(self, key: str, path: Path, *, most: int) -> None:
        """Bring a file to `path`, whole or not at all. The caller verifies its bytes.

        IntegrityError where it has more than `most` bytes: counted as they come.
        """

    def list(self, prefix: str) -> Sequence[str]:
        """All keys that start with `prefix`, sorted.

        StoreError where there are more than MAX_LISTED.
        """

    def tags(self, keys: Collection[str]) -> Mapping[str, Stored] | None:
        """Size and tag of those keys that are there; None where asking for each is no slower."""

    def sizes(self, keys: Collection[str]) -> Mapping[str, int]:
        """Bytes of those keys that are there, without reading them."""

    def entries(self, prefix: str) -> Iterator[Entry]:
        """All files whose keys start with `prefix`, also those that a killed push left half."""

    def delete(self, key: str) -> bool:
        """Delete a file, if it is there; whether the store keeps its bytes as an older version.

        NotDeletable where this user may not.
        """


def difference(held: Stored | None, wanted: Stored) -> str:
    """Return in words how what a store holds under a key differs from what it should hold."""
    if held is None:
        return "nothing is there"
    if held.size != wanted.size:
        return f"{held.size} bytes are there, not {wanted.size}"
    if held.sha256 is None:
        return "the store tells no SHA-256 of it"
    if held.sha256 != wanted.sha256:
        return f"its SHA-256 there is {held.sha256}, not {wanted.sha256}"
    return held.fault or "nothing"


def bring(store: Store, key: str, most: int = MAX_SMALL) -> bytes:
    """A small file's bytes, of which there are no more than `most`."""
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "file"
        store.get(key, path, most=most)
        return path.read_bytes()


def content(store: Store, key: str, *, most: int) -> bytes | None:
    """The same; None where there is no such file."""
    return bring(store, key, most) if key in store.sizes([key]) else None


def take(chunks: Iterable[bytes], write: Callable[[bytes], object], *, most: int,
         where: str) -> int:
    """Hand on what comes of a file, and return how many bytes that was.

    IntegrityError once there are more than `most`.
    """
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > most:
            raise nofollow.too_large(most, where)
        write(chunk)
    return size


def refuse_changed(actual: str, wanted: str, path: Path) -> None:
    """IntegrityError where a file on its way into a store has another SHA-256 than it should."""
    if actual != wanted:
        raise IntegrityError(f"a file has changed: sha256 {actual}, expected {wanted}", where=path,
                             todo="remove it, so that the step that makes it runs again")


def within(prefix: str, keys: Iterable[str]) -> Sequence[str]:
    """The keys of a listing, sorted; StoreError where it doesn't end."""
    listing = sorted(itertools.islice(keys, MAX_LISTED + 1))
    if len(listing) > MAX_LISTED:
        raise StoreError(f"the store lists more than {MAX_LISTED} files", where=prefix,
                         todo="find out who wrote them; name the release that is wanted by its id")
    return listing


def is_immutable(key: str) -> bool:
    """Whether a key is never written again: all below releases/<pipeline>/ and tool/ but pointers.

    A signature may be replaced: by that of another key, over the same bytes.
    """
    parts = key.split("/")
    depth = {"tool": 2, "releases": 3}.get(parts[0])
    return depth is not None and len(parts) > depth and not key.endswith(".sig")


def is_blob(key: str) -> bool:
    """Whether a key is named by its file's digest: other bytes under it are damage."""
    return key.startswith("blobs/sha256/")
