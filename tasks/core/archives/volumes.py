"""One tar, cut into numbered volumes: `cat part*.tar | tar xf -` puts the files together again.

A volume is as many bytes of the tar as fit, and the tar has no end-of-archive blocks, so that
volumes may come and go: every stretch of them begins with a file's header and ends with a file. Its
bytes hang on the files alone (names, sizes, content; GNU's format, for long names and large files).
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tasks.core import files, nofollow
from tasks.core.errors import IntegrityError

BLOCK = 512
MAX_NAME = 1 << 16
"""Bytes of a long name: Linux takes 4,096."""

Open = Callable[["Member"], AbstractContextManager[IO[bytes]]]
"""Opens a member's content."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A file on its way into a tar."""

    name: str
    size: int
    sha256: str


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def length(member: Member) -> int:
    """Bytes that a file takes in a tar."""
    return len(_header(member.name, member.size)) + member.size + -member.size % BLOCK


def contents(members: Iterable[Member], opened: Open) -> Iterator[bytes]:
    """The bytes of a tar. IntegrityError where a file isn't what its member says."""
    for member in members:
        yield _header(member.name, member.size)
        digest, size = hashlib.sha256(), 0
        with opened(member) as stream:
            while block := stream.read(files.CHUNK):
                digest.update(block)
                size += len(block)
                yield block
        if (digest.hexdigest(), size) != (member.sha256, member.size):
            raise IntegrityError(f"a file has changed: sha256 {digest.hexdigest()}, expected "
                                 f"{member.sha256}", where=member.name,
                                 todo="run the same command again; if it stays so, ask those who "
                                      "pushed it")
        if size % BLOCK:
            yield bytes(-size % BLOCK)


def write(root: Path, names: Sequence[str], room: int, chunks: Iterator[bytes]) -> dict[str, str]:
    """Write chunks into volumes of `room` bytes each, the last less; their SHA-256 by name.

    Each is there once it is whole.
    """
    digests: dict[str, str] = {}
    rest = b""
    for name in names:
        digest, left = hashlib.sha256(), room
        with nofollow.writing(root, name, flush=False) as stream:
            while left:
                if not rest and not (rest := next(chunks, b"")):
                    break
                piece, rest = rest[:left], rest[left:]
                stream.write(piece)
                digest.update(piece)
                left -= len(piece)
        digests[name] = digest.hexdigest()
    if rest or next(chunks, b""):
        raise ValueError("more bytes than the volumes have room for")
    return digests


class Volumes:
    """Volumes read as one stream. `held` are their SHA-256 as read, once each has been read."""

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self._root, self._waiting = root, list(names)
        self._stack = ExitStack()
        self._stream: IO[bytes] | None = None
        self._name, self._digest = "", hashlib.sha256()
        self.held: dict[str, str] = {}

    def __enter__(self) -> Volumes:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, count: int) -> bytes:
        """So many bytes; less at the end alone."""
        taken = b""
        while len(taken) < count:
            if self._stream is None:
                if not self._waiting:
                    break
                self._name, self._digest = self._waiting.pop(0), hashlib.sha256()
                self._stream = self._stack.enter_context(nofollow.reading(self._root, self._name))
            block = self._stream.read(count - len(taken))
            if not block:
                self._stack.close()
                self._stream = None
                self.held[self._name] = self._digest.hexdigest()
                continue
            self._digest.update(block)
            taken = taken + block if taken else block
        return taken


def holds(root: Path, names: Sequence[str], members: Iterable[Member]) -> Mapping[str, str] | None:
    """The volumes' SHA-256, where they are the tar of these files; None where they aren't."""
    with Volumes(root, names) as volumes:
        try:
            for member in members:
                if not _is_next(volumes, member):
                    return None
            return None if volumes.read(1) else volumes.held
        except (OSError, IntegrityError):
            return None


def _is_next(volumes: Volumes, member: Member) -> bool:
    header = _header(member.name, member.size)
    if volumes.read(len(header)) != header:
        return False
    digest, left = hashlib.sha256(), member.size
    while left and (block := volumes.read(min(left, files.CHUNK))):
        digest.update(block)
        left -= len(block)
    padding = bytes(-member.size % BLOCK)
    return not left and digest.hexdigest() == member.sha256 and (
        volumes.read(len(padding)) == padding)


def members(volumes: Volumes) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Each file's name and content, in turn; a content that isn't read is passed over.

    IntegrityError where anything but a plain file stands there. Nobody vouches for a name.
    """
    name = None
    while block := volumes.read(BLOCK):
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise _odd(volumes, f"no header of a file: {error}") from None
        if info.type == tarfile.GNUTYPE_LONGNAME and info.size <= MAX_NAME and name is None:
            name = volumes.read(info.size).rstrip(b"\0").decode("utf-8", "surrogateescape")
        elif info.type == tarfile.REGTYPE and info.size >= 0:
            content = _content(volumes, info.size)
            yield name or info.name, content
            for _ in content:
                pass
            name = None
        else:
            raise _odd(volumes, "something that is no plain file")
        volumes.read(-info.size % BLOCK)


def _content(volumes: Volumes, size: int) -> Iterator[bytes]:
    while size:
        block = volumes.read(min(size, files.CHUNK))
        if not block:
            raise _odd(volumes, "an end amid a file")
        size -= len(block)
        yield block


def _odd(volumes: Volumes, what: str) -> IntegrityError:
    return IntegrityError(f"the volumes hold {what}", where=volumes._name,
                          todo="carry them again; if it stays so, ask those who made them")
