"""The store: a folder or a bucket that holds the carried files, behind one interface."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from tasks.core import files, opened
from tasks.core.config import StoreAt
from tasks.core.errors import IntegrityError, StoreError

THREADS = 16
"""Transfers at a time, for the whole process: parts of a push run in parallel."""

LISTED = 100_000
"""Keys that a listing may have; below releases/ each release has three."""

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")
_slots = threading.BoundedSemaphore(THREADS)
_key_locks: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)
_key_locks_guard = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What the store says of one key. `sha256` is None where it tells no such checksum.

    `tag` is a bucket's entity tag, which other bytes under the key would change.
    """

    key: str
    size: int
    sha256: str | None
    tag: str | None = field(default=None, compare=False)


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

    def get(self, key: str, path: Path, *, most: int) -> None:
        """Bring a file to `path`, whole or not at all. The caller verifies its bytes.

        IntegrityError where it has more than `most` bytes: counted as they come.
        """

    def list(self, prefix: str) -> Sequence[str]:
        """All keys that start with `prefix`, sorted; StoreError where there are more than LISTED.
        """

    def tags(self, keys: Collection[str]) -> Mapping[str, Stored] | None:
        """Size and tag of those keys that are there; None where asking for each is no slower."""


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One file on its way to the store."""

    key: str
    path: Path
    sha256: str
    size: int


def open_store(at: StoreAt) -> Store:
    """The store at an address: a path, file:///folder or s3://bucket/prefix."""
    address = urlsplit(at.url)
    if address.scheme == "s3":
        from tasks.core.store.s3 import S3Store
        return S3Store(at)
    if address.scheme == "file":
        if address.netloc not in ("", "localhost"):
            raise StoreError("a file:// address names a folder of this machine", where=at.url,
                             todo="write file:///folder, with three slashes")
        return FolderStore(at.url, Path(unquote(address.path)))
    if "://" in at.url:
        raise StoreError(f"stores of the kind {address.scheme}:// are not known", where=at.url,
                         todo="give a folder, file:///folder or s3://bucket/prefix")
    return FolderStore(at.url, Path(at.url).expanduser())


class FolderStore:
    """A folder, also the form for a carry by disk.

    A folder keeps no checksums, so `head` reads the file: a push reads what is there already
    once, at the disk's speed, and thereby finds what has rotted. Others may write into it, so
    nothing below it is read or written through a link, and only regular files are read.
    """

    def __init__(self, url: str, root: Path) -> None:
        self.url = url
        self._root = root

    def head(self, key: str) -> Stored | None:
        digest, size = hashlib.sha256(), 0
        try:
            with opened.reading(self._root, key) as reader:
                while block := reader.read(files.CHUNK):
                    digest.update(block)
                    size += len(block)
            return Stored(key=key, size=size, sha256=digest.hexdigest())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._fault(error, key) from error

    def put(self, key: str, path: Path, sha256: str) -> str | None:
        digest = hashlib.sha256()
        try:
            with path.open("rb") as reader, opened.writing(self._root, key) as writer:
                while block := reader.read(files.CHUNK):
                    digest.update(block)
                    writer.write(block)
                _expect(digest.hexdigest(), sha256, path)
        except OSError as error:
            raise self._fault(error, key) from error
        return None

    def put_bytes(self, key: str, data: bytes) -> None:
        try:
            with opened.writing(self._root, key) as writer:
                writer.write(data)
        except OSError as error:
            raise self._fault(error, key) from error

    def get(self, key: str, path: Path, *, most: int) -> None:
        with contextlib.ExitStack() as stack:
            try:
                reader = stack.enter_context(opened.reading(self._root, key))
            except OSError as error:
                raise self._fault(error, key) from error
            writer = stack.enter_context(files.atomic(path))
            take(iter(lambda: reader.read(files.CHUNK), b""), writer, most=most,
                 where=f"{self.url}: {key}")

    def list(self, prefix: str) -> Sequence[str]:
        if not self._root.is_dir():
            raise self._fault(FileNotFoundError(2, "No such file or directory"), prefix)
        below = prefix.rpartition("/")[0]
        if below:
            files.inside(self._root, below)
        try:
            return within(prefix, (key for key in opened.listed(self._root, below)
                                   if key.startswith(prefix)
                                   and not key.endswith(".part")))  # what a killed push left
        except OSError as error:
            raise self._fault(error, prefix) from error

    def tags(self, keys: Collection[str]) -> Mapping[str, Stored] | None:
        return None

    def _fault(self, error: OSError, key: str) -> StoreError:
        if isinstance(error, FileNotFoundError):
            if not self._root.is_dir():
                return StoreError("the store's folder is missing", where=self._root,
                                  todo="mount the disk that holds it, or correct store.url")
            return StoreError("the store lacks a file", where=self._root / key,
                              todo="push the release again, or carry the whole store")
        return StoreError(f"the store's folder: {error.strerror}", where=self._root / key,
                          todo="free space or mend the rights there, then run this again")


def take(chunks: Iterable[bytes], writer: IO[bytes], *, most: int, where: str) -> int:
    """Write what comes of a file; its bytes. IntegrityError once there are more than `most`."""
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > most:
            raise opened.too_large(most, where)
        writer.write(chunk)
    return size


def within(prefix: str, keys: Iterable[str]) -> Sequence[str]:
    """The keys of a listing, sorted; StoreError where it doesn't end."""
    found = sorted(itertools.islice(keys, LISTED + 1))
    if len(found) > LISTED:
        raise StoreError(f"the store lists more than {LISTED} files", where=prefix,
                         todo="find out who wrote them; name the release that is wanted by its id")
    return found


def _expect(found: str, wanted: str, path: Path) -> None:
    if found != wanted:
        raise IntegrityError(f"a file has changed: sha256 {found}, expected {wanted}", where=path,
                             todo="remove it, so that the step that makes it runs again")


def send(store: Store, uploads: Iterable[Upload], *, title: str = "",
         known: Iterable[Stored] = ()) -> list[Stored]:
    """Bring files into the store and return what it then holds, read back from it.

    What is there with the same checksum is not sent. 16 at a time, the largest first, and one at
    a time for each key. Below releases/ and tool/ nothing is ever replaced by other bytes.

    Where the store has tags, a listing tells what is there: a key whose tag is that of `known`,
    an earlier answer of this function, or the one that came with the server's word that the bytes
    have their SHA-256, still holds those bytes. Any other key is asked for.
    """
    waiting = sorted(uploads, key=lambda each: -each.size)
    push = _Push(store, waiting, known, title)
    stored = _each(push.bring, waiting)
    listing = store.tags(push.unseen) if push.unseen else None
    return sorted(_each(lambda each: push.read_back(each, listing or {}), stored),
                  key=lambda each: each.key)


class _Push:
    """Files on their way, what a listing showed before, and which were sent but not read back."""

    def __init__(self, store: Store, uploads: Sequence[Upload], known: Iterable[Stored],
                 title: str) -> None:
        self._store = store
        self._listing = store.tags({each.key for each in uploads})
        self._known = {each.key: each for each in known}
        self._progress = Progress(title, sum(each.size for each in uploads))
        self.unseen: set[str] = set()

    def bring(self, upload: Upload) -> Stored:
        """See that the store holds a file; what it said of that, or of the bytes it was sent."""
        wanted = Stored(key=upload.key, size=upload.size, sha256=upload.sha256)
        with _key_locks_guard:
            lock = _key_locks[self._store.url, upload.key]
        with lock, _slots:
            there = self._there(upload.key)
            if there != wanted:
                if there is not None and is_immutable(upload.key):
                    raise StoreError("the store holds this file with other bytes, and it never "
                                     "changes", where=f"{self._store.url}: {upload.key}",
                                     todo="find out who wrote it; if it is damaged, remove it "
                                          "there")
                tag = self._store.put(upload.key, upload.path, upload.sha256)
                there = replace(wanted, tag=tag)
                self.unseen.add(upload.key)
        self._progress.add(upload.size)
        return there

    def _there(self, key: str) -> Stored | None:
        if self._listing is None:
            return self._store.head(key)
        listed, known = self._listing.get(key), self._known.get(key)
        if listed is None:
            return None
        return known if _same(listed, known) else self._store.head(key)

    def read_back(self, sent: Stored, listing: Mapping[str, Stored]) -> Stored:
        """What the store holds under the key of a file that was sent."""
        if sent.key not in self.unseen or _same(listing.get(sent.key), sent):
            return sent
        with _slots:
            there = self._store.head(sent.key)
        if there != sent:
            raise IntegrityError(f"the store does not hold what was sent: {there}, sent {sent}",
                                 where=f"{self._store.url}: {sent.key}",
                                 todo="run this again; if it stays, look at the store's disks")
        return there


def _same(listed: Stored | None, told: Stored | None) -> bool:
    """Whether a listing shows the very bytes that the store told the SHA-256 of before."""
    return (listed is not None and told is not None and listed.tag is not None
            and (listed.size, listed.tag) == (told.size, told.tag))


def _each(act: Callable[[_Given], _Made], all_of: Sequence[_Given]) -> list[_Made]:
    """Do it for all, 16 at a time; after the first fault nothing is begun any more."""
    with ThreadPoolExecutor(THREADS, thread_name_prefix="store") as pool:
        futures = [pool.submit(act, each) for each in all_of]
        done, left = wait(futures, return_when=FIRST_EXCEPTION)
        for future in left:
            future.cancel()
        faults = [error for future in done if (error := future.exception())]
        if faults:
            raise faults[0]
    return [future.result() for future in futures]


def is_immutable(key: str) -> bool:
    """Whether a key is never written again: all below releases/<pipeline>/ and tool/ but pointers.

    A signature may be replaced: by that of another key, over the same bytes.
    """
    parts = key.split("/")
    depth = {"tool": 2, "releases": 3}.get(parts[0])
    return depth is not None and len(parts) > depth and not key.endswith(".sig")


class Progress:
    """A line on standard error every five seconds, so that long work shows that it lives."""

    def __init__(self, title: str, total: int) -> None:
        self._title, self._total, self._done = title, total, 0
        self._told = time.monotonic()
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        with self._lock:
            self._done += size
            if time.monotonic() - self._told < 5:
                return
            self._told = time.monotonic()
            sys.stderr.write(f"       {self._title} {files.human_size(self._done)} of "
                             f"{files.human_size(self._total)}\n")
