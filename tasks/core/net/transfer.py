"""A file that is arriving: hashed as it comes, and kept so that a later run can go on with it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tasks.core import files
from tasks.core.errors import HostError, SourceError
from tasks.core.net.request import Broken

NOTE_INTERVAL = 1.0
"""Seconds between notes of how far a transfer is: about what a killed run loses."""


class Denied(SourceError):
    """A server that doesn't let this file be read, or doesn't say whether it is there."""


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """What a server says of a file: bytes, and a strong validator (RFC 9110, 8.8), if it does.

    `page` says that it would send a web page, as servers do that have an answer to everything.
    """

    size: int | None
    validator: str | None
    page: bool = False


@dataclass(frozen=True, kw_only=True)
class Note:
    """How far a transfer came: the content's validator, and the size and SHA-256 of what is here.

    Of a whole file it says what was fetched.
    """

    validator: str
    size: int
    sha256: str


class Body:
    """What has arrived so far of one file.

    `counted` gets each change of the size in bytes, `expected` the whole size once a server
    says it; both may raise. `validator` is None where nothing proves that the content stays the
    same, so that a broken transfer starts anew.
    """

    def __init__(self, stream: IO[bytes], *, note: Path | None = None,
                 counted: Callable[[int], None] = lambda _: None,
                 expected: Callable[[int], None] = lambda _: None) -> None:
        self._stream, self._note = stream, note
        self._counted, self._expected = counted, expected
        self._noted = time.monotonic()
        self.digest, self.size = hashlib.sha256(), 0
        self.validator: str | None = None
        self.total: int | None = None

    def restart(self, validator: str | None, total: int | None = None) -> None:
        """Forget what has arrived: the server starts from the first byte, of `total`."""
        self._stream.seek(0)
        self._stream.truncate()
        self._counted(-self.size)
        self.digest, self.size, self.validator = hashlib.sha256(), 0, validator
        self.expect(total)

    def narrow(self, mode: int) -> None:
        """Let the file be no more open than the one that its bytes are copied from."""
        os.fchmod(self._stream.fileno(), mode)

    def expect(self, total: int | None) -> None:
        """Take note of how large the file will be."""
        self.total = total
        if total is not None:
            self._expected(total)

    def add(self, block: bytes) -> None:
        # Noted before a block and never after the last one: what is left to ask for is not empty.
        if time.monotonic() - self._noted > NOTE_INTERVAL:
            self.note()
        if self.total is not None and self.size + len(block) > self.total:
            total = self.total
            self.restart(None)
            raise Broken(f"the server sends more than the {total} bytes that it named")
        self._counted(len(block))
        with _on_disk(self._stream):
            self._stream.write(block)
        self.digest.update(block)
        self.size += len(block)

    def finish(self) -> None:
        """Broken where other bytes have come than the server named."""
        if self.total is not None and self.size != self.total:
            what = f"the server sent {self.size} bytes of the {self.total} that it named"
            if self.size > self.total:
                self.restart(None)
            raise Broken(what)

    def note(self) -> None:
        """Write down how far this is, where that is of use to a later run.

        Neither file is forced to the disk: the digest tells whether the bytes got there.
        """
        self._noted = time.monotonic()
        if self._note is None or self.validator is None:
            return
        self._stream.flush()
        write_note(self._note, Note(validator=self.validator, size=self.size,
                                    sha256=self.digest.hexdigest()))

    def resume(self, note: Note) -> None:
        """Go on with what an earlier run left, if its bytes are those it noted."""
        self._stream.seek(0)
        digest, left = hashlib.sha256(), note.size
        while left and (block := self._stream.read(min(files.CHUNK, left))):
            digest.update(block)
            left -= len(block)
        if left or digest.hexdigest() != note.sha256:
            self.restart(None)
            return
        self._stream.seek(note.size)
        self._stream.truncate()
        self._counted(note.size)
        self.digest, self.size, self.validator = digest, note.size, note.validator


def read_note(path: Path) -> Note | None:
    """The note, or None where there is none that can be understood."""
    try:
        fields: Any = json.loads(path.read_bytes())
        note = Note(**fields)
    except (OSError, ValueError, TypeError):
        return None
    fits = (isinstance(note.validator, str) and isinstance(note.sha256, str)
            and isinstance(note.size, int) and note.size >= 0)
    return note if fits else None


def write_note(path: Path, note: Note) -> None:
    """Replace the note; a torn one would not be understood, and one that lags is still true."""
    temporary = path.with_suffix(".noting")
    temporary.write_text(json.dumps(vars(note)))
    os.replace(temporary, path)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[IO[bytes]]:
    """The file, made where it is missing, for this process alone; others wait for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644),
                       "r+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            if _is_still(path, stream):
                yield stream
                return


def _is_still(path: Path, stream: IO[bytes]) -> bool:
    """Whether the file has not been moved away while it was waited for."""
    try:
        return os.path.samestat(path.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _on_disk(stream: IO[bytes]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HostError(f"can't be written: {error.strerror or type(error).__name__}",
                        where=stream.name,
                        todo="free space or mend the rights there, then run this again") from error
