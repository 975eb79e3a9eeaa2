"""A folder as the store, also the form for a carry by disk."""

from __future__ import annotations

import contextlib
import errno
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

from tasks.core import files, nofollow
from tasks.core.errors import StoreAwayError, StoreError
from tasks.core.store.interface import (
    Entry,
    NotDeletable,
    Overtaken,
    Stored,
    refuse_changed,
    take,
    within,
)

AWAY = {errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ETIMEDOUT,
        errno.ENODEV, errno.ENXIO, errno.EREMOTEIO}
"""What Linux says of a mounted disk that is gone, or whose server is."""

MAKE_ROOM = ("free space there; what was sent stays, and the same command goes on from here")
CAUSES = {
    errno.ENOSPC: ("the store's disk is full (No space left on device)", MAKE_ROOM),
    errno.EDQUOT: ("this user's quota on the store's disk is used up",
                   f"have it raised, or {MAKE_ROOM}"),
    errno.EROFS: ("the store's disk is mounted read-only (Read-only file system)",
                  "mount it writable here, or correct store.url"),
    errno.EIO: ("the store's disk can't be read or written there (Input/output error)",
                "look at the kernel's log (dmesg), and replace the disk"),
    errno.ESTALE: ("the store's folder is no longer where it was mounted (Stale file handle)",
                   "mount it again, then run this again")}
"""Errors of the system, with what they mean and what to do."""


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
            with nofollow.reading(self._root, key) as reader:
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
            with path.open("rb") as reader, nofollow.writing(self._root, key) as writer:
                while block := reader.read(files.CHUNK):
                    digest.update(block)
                    writer.write(block)
                refuse_changed(digest.hexdigest(), sha256, path)
        except OSError as error:
            raise self._fault(error, key) from error
        return None

    def put_bytes(self, key: str, data: bytes) -> None:
        try:
            with nofollow.writing(self._root, key) as writer:
                writer.write(data)
        except OSError as error:
            raise self._fault(error, key) from error

    def replace(self, key: str, data: bytes, before: bytes | None) -> None:
        try:
            with nofollow.locked(self._root, key):
                if self._content(key, most=len(before or b"")) != before:
                    raise Overtaken(f"{self.url}: {key}")
                with nofollow.writing(self._root, key) as writer:
                    writer.write(data)
        except OSError as error:
            raise self._fault(error, key) from error

    def _content(self, key: str, *, most: int) -> bytes | None:
        """A file's bytes, or one more than `most` of them; None where it isn't there."""
        try:
            with nofollow.reading(self._root, key) as reader:
                return reader.read(most + 1)
        except FileNotFoundError:
            return None

    def get(self, key: str, path: Path, *, most: int) -> None:
        with contextlib.ExitStack() as stack:
            try:
                reader = stack.enter_context(nofollow.reading(self._root, key))
            except OSError as error:
                raise self._fault(error, key) from error
            writer = stack.enter_context(files.atomic(path))
            take(iter(lambda: reader.read(files.CHUNK), b""), writer.write, most=most,
                 where=f"{self.url}: {key}")

    def list(self, prefix: str) -> Sequence[str]:
        try:
            is_there = self._root.is_dir()
        except OSError as error:
            raise self._fault(error, prefix) from error
        if not is_there:
            raise self._fault(FileNotFoundError(2, "No such file or directory"), prefix)
        below = prefix.rpartition("/")[0]
        if below:
            files.inside(self._root, below)
        try:
            return within(prefix, (key for key in nofollow.listed(self._root, below)
                                   if key.startswith(prefix)
                                   and not nofollow.is_passing(key)))
        except OSError as error:
            raise self._fault(error, prefix) from error

    def tags(self, keys: Collection[str]) -> Mapping[str, Stored] | None:
        return None

    def sizes(self, keys: Collection[str]) -> Mapping[str, int]:
        try:
            sizes = {key: nofollow.size(self._root, key) for key in keys}
        except OSError as error:
            raise self._fault(error, "") from error
        return {key: size for key, size in sizes.items() if size is not None}

    def entries(self, prefix: str) -> Iterator[Entry]:
        if not self._root.is_dir():
            raise self._fault(FileNotFoundError(2, "No such file or directory"), prefix)
        try:
            for key, status in nofollow.described(self._root, prefix.rpartition("/")[0]):
                if key.startswith(prefix) and not nofollow.is_lock(key):
                    yield Entry(key=key, size=status.st_size, modified=datetime.fromtimestamp(
                        status.st_mtime, timezone.utc))
        except OSError as error:
            raise self._fault(error, prefix) from error

    def delete(self, key: str) -> bool:
        try:
            nofollow.remove(self._root, key)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise NotDeletable(f"the store's folder: {error.strerror}", where=self._root / key,
                                   todo="work as a user who may delete there") from error
            raise self._fault(error, key) from error
        return False

    def _fault(self, error: OSError, key: str) -> StoreError:
        if why := self._away(error):
            return StoreAwayError(why, where=self._root,
                                  todo="mount the disk that holds it, or correct store.url")
        if isinstance(error, FileNotFoundError):
            return StoreError("the store lacks a file", where=self._root / key,
                              todo="push the release again, or carry the whole store")
        what, todo = CAUSES.get(error.errno or 0, (
            f"the store's folder: {error.strerror}",
            "free space or mend the rights there, then run this again"))
        return StoreError(what, where=self._root / key, todo=todo)

    def _away(self, error: OSError) -> str | None:
        """Why there is no store here at all, where that is so; disks are mounted on empty folders.

        A file that can't be read may be damaged: EIO counts where the whole folder says it.
        """
        try:
            if error.errno in AWAY:
                raise error
            if [*self._root.iterdir()] or not isinstance(error, FileNotFoundError):
                return None
            return "the store lacks a file, and all others: its folder is empty"
        except FileNotFoundError:
            return "the store's folder is missing"
        except OSError as lost:
            return (f"the store's disk doesn't answer: {lost.strerror}"
                    if lost.errno in {*AWAY, errno.EIO} else None)
