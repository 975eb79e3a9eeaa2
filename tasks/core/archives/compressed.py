"""Compressed files from outside, decompressed as a stream with bounds on bytes and memory."""

from __future__ import annotations

import bz2
import contextlib
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Protocol

from tasks.core import files
from tasks.core.archives import tars
from tasks.core.archives.tar_fields import Malformed
from tasks.core.errors import IntegrityError

MAX_XZ_BYTES = 128 * 2**20
"""Memory for the dictionary of xz, whose strongest preset takes 65 MiB."""
MAX_ZSTD_WINDOW = 27
"""Power of two of the bytes that zstd looks back: 128 MiB, what its own program takes unasked."""
BLOCK = 1 << 17
"""Bytes that are read or decompressed at a time."""
MAX_STREAMS = 100_000
"""Compressed streams in one file: bgzip makes one of each 64 KiB."""
ERRORS = (Malformed, EOFError, lzma.LZMAError, zlib.error)
"""What `opened` and tars.Reader raise where a file isn't what it seems."""


class _Decompressor(Protocol):
    """What bz2's and lzma's decompressors have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Refusing:
    """A decompressor whose own error, for bytes that its program did not make, is Malformed."""

    def __init__(self, inner: _Decompressor, fault: type[Exception]) -> None:
        self._inner, self._fault = inner, fault

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return self._inner.needs_input

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        try:
            return self._inner.decompress(data, max_length)
        except self._fault as error:
            raise Malformed(str(error)) from error


class _Gzip:
    """zlib's decompressor with the interface of the others."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def _bzip2() -> _Decompressor:
    return _Refusing(bz2.BZ2Decompressor(), OSError)


def _zstandard() -> _Decompressor:
    """zstd's, whose memory is bounded."""
    from backports import zstd
    return _Refusing(zstd.ZstdDecompressor(options={
        zstd.DecompressionParameter.window_log_max: MAX_ZSTD_WINDOW}), zstd.ZstdError)


_KINDS: dict[bytes, Callable[[], _Decompressor]] = {
    b"\x1f\x8b": _Gzip, b"BZh": _bzip2, b"\x28\xb5\x2f\xfd": _zstandard,
    b"\xfd7zXZ": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_XZ_BYTES)}
"""The first bytes of a compressed file, and what decompresses it."""


@contextlib.contextmanager
def opened(path: Path, *, most: int) -> Iterator[tars.Stream]:
    """Open a file's content, decompressed where its first bytes say so.

    IntegrityError once it has more than `most` bytes.
    """
    with path.open("rb") as stream:
        head = stream.read(6)
        stream.seek(0)
        make = next((make for magic, make in _KINDS.items() if head.startswith(magic)), None)
        plain = stream if make is None else io.BufferedReader(_Decompressed(stream, make), BLOCK)
        yield _Bounded(plain, most, path)


class _Bounded:
    """A stream that ends in an error after so many bytes."""

    def __init__(self, stream: tars.Stream, most: int, path: Path) -> None:
        self._stream, self._most, self._left, self._path = stream, most, most, path

    def read(self, size: int, /) -> bytes:
        block = self._stream.read(size)
        self._left -= len(block)
        if self._left < 0:
            raise IntegrityError("the archive is refused: unpacked it has more than the "
                                 f"{files.human_size(self._most)} that are allowed",
                                 where=self._path.name, todo="ask those who published it")
        return block


class _Decompressed(io.RawIOBase):
    """One compressed stream after another, until the file ends."""

    def __init__(self, stream: IO[bytes], make: Callable[[], _Decompressor]) -> None:
        self._stream, self._make, self._parts = stream, make, 1
        self._at = make()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read some bytes, none only at the end. EOFError where the file is cut off."""
        while True:
            if self._at.eof and not self._begin_next():
                return 0
            wanting = self._at.needs_input
            data = self._stream.read(BLOCK) if wanting else b""
            block = self._at.decompress(data, len(buffer))
            if block:
                buffer[:len(block)] = block
                return len(block)
            if wanting and not data and not self._at.eof:
                raise EOFError("it is cut off")

    def _begin_next(self) -> bool:
        """Begin the next compressed stream, if there is one; zeros may fill the file up."""
        rest = self._at.unused_data or self._stream.read(BLOCK)
        while rest and not (rest := rest.lstrip(b"\0")):
            rest = self._stream.read(BLOCK)
        if not rest:
            return False
        self._parts += 1
        if self._parts > MAX_STREAMS:
            raise EOFError(f"it has more than {MAX_STREAMS} parts")
        self._stream.seek(-len(rest), 1)
        self._at = self._make()
        return True
