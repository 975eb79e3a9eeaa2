"""A tar's members, read from a stream by a reader that hostile headers can't exhaust.

Python's own tarfile reads extended headers whole, expands sparse members (102 bytes to 3 GB) and
takes quadratic time for some. Format: POSIX.1-2017, "pax", and the GNU tar manual, "Basic Tar
Format". Sparse members, in all forms of GNU's and star's, are refused: a
member's size is what it takes up in the archive, and no more is written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

BLOCK = 512
MAX_HEADER_BYTES = 1 << 20
"""What one member may have of headers with long names and PAX records."""
LINK, FOLDER, SPARSE = b"2", b"5", b"S"
WITHOUT_CONTENT = (b"1", LINK, b"3", b"4", FOLDER, b"6")
"""The kinds of members that no content follows, whatever size their header names."""
LONG_NAME, LONG_LINK, PAX, SOLARIS, GLOBAL = b"L", b"K", b"x", b"X", b"g"
PAX_USED = ("path", "linkpath", "size")
"""The PAX records that change a member."""
PAX_SPARSE = ("GNU.sparse", "SCHILY.realsize")
"""How the names of PAX records of sparse members begin."""


class Malformed(ValueError):
    """The stream is no tar, or one that is not read here."""


class Stream(Protocol):
    """What a tar is read from. Fewer bytes than asked for are the end."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, kw_only=True)
class Member:
    """A file, link, folder, or (`kind` says) something else, and the bytes that follow it."""

    name: str
    kind: bytes
    size: int
    link: str
    is_executable: bool

    @property
    def is_file(self) -> bool:
        return self.kind in (b"\0", b"0", b"7")

    @property
    def is_link(self) -> bool:
        return self.kind == LINK

    @property
    def is_folder(self) -> bool:
        return self.kind == FOLDER


@dataclass(kw_only=True)
class Reader:
    """Iterates over the members of `stream`; what is not read of a member is skipped."""

    stream: Stream
    comment: str = ""
    """What the archive's global PAX header says, once it has gone by."""
    _left: int = field(default=0, init=False)
    _padding: int = field(default=0, init=False)
    _ended: bool = field(default=False, init=False)

    def __iter__(self) -> Iterator[Member]:
        is_empty = True
        while (member := self._next()) is not None:
            is_empty = False
            yield member
            self._skip()
        if is_empty and not self._ended:
            raise Malformed("it is empty")

    def content(self, most: int) -> bytes:
        """Up to `most` bytes more of the member at hand; none at its end."""
        block = self._exactly(min(most, self._left))
        self._left -= len(block)
        return block

    def _next(self) -> Member | None:
        """The next member, with what its extended headers say, or None at the end."""
        extended: dict[str, str] = {}
        header_bytes = 0
        while True:
            head = self._head()
            if head is None:
                if extended:
                    raise Malformed("a header is missing")
                return None
            kind, size = head[156:157], _number(head[124:136])
            if kind not in (LONG_NAME, LONG_LINK, PAX, SOLARIS, GLOBAL):
                return self._member(head, kind, size, extended)
            header_bytes += size + BLOCK
            if header_bytes > MAX_HEADER_BYTES:
                raise Malformed(f"a member has more than {MAX_HEADER_BYTES} bytes of headers")
            data = self._exactly(size)
            self._exactly(-size % BLOCK)
            if kind in (LONG_NAME, LONG_LINK):
                extended["path" if kind == LONG_NAME else "linkpath"] = _text(data)
            else:
                self._take(_records(data), extended, is_global=kind == GLOBAL)

    def _take(self, records: Mapping[str, str], extended: dict[str, str], *,
              is_global: bool) -> None:
        if any(name.startswith(PAX_SPARSE) for name in records):
            raise Malformed("it has sparse members, which are not unpacked")
        if not is_global:
            extended.update((name, value) for name, value in records.items() if name in PAX_USED)
        elif any(name in PAX_USED for name in records):
            raise Malformed("it gives all members one name or size")
        else:
            self.comment = records.get("comment", self.comment)

    def _head(self) -> bytes | None:
        """The next header block, or None at the end of the archive or the stream."""
        head = self.stream.read(BLOCK)
        if not head:
            return None
        if head == bytes(BLOCK):
            self._ended = True
            return None
        if len(head) < BLOCK:
            raise Malformed("it is cut off")
        if _number(head[148:156]) not in _checksums(head):
            raise Malformed("a header's checksum is wrong")
        return head

    def _member(self, head: bytes, kind: bytes, size: int,
                extended: Mapping[str, str]) -> Member:
        name = extended.get("path") or _name(head)
        if "size" in extended:
            size = _decimal(extended["size"])
        if kind == SPARSE:
            raise Malformed("it has sparse members, which are not unpacked")
        if kind == b"\0" and name.endswith("/"):
            kind = FOLDER  # as before POSIX
        self._left = 0 if kind in WITHOUT_CONTENT else size
        self._padding = -self._left % BLOCK
        return Member(name=name, kind=kind, size=self._left, link=extended.get("linkpath") or
                      _text(head[157:257]), is_executable=bool(_number(head[100:108]) & 0o100))

    def _skip(self) -> None:
        while self._left:
            self.content(1 << 16)
        self._exactly(self._padding)
        self._padding = 0

    def _exactly(self, size: int) -> bytes:
        data = self.stream.read(size) if size else b""
        if len(data) != size:
            raise Malformed("it is cut off")
        return data


def _name(head: bytes) -> str:
    name = _text(head[:100])
    # GNU's own form has times where POSIX has the name's first part.
    prefix = _text(head[345:500]) if head[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _text(field: bytes) -> str:
    return os.fsdecode(field.partition(b"\0")[0])


def _number(field: bytes) -> int:
    """Octal digits, or GNU's binary form for what has more of them."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.partition(b"\0")[0].strip()
    if not digits.isdigit() and digits:
        raise Malformed("a number in a header is none")
    try:
        return int(digits or b"0", 8)
    except ValueError as error:
        raise Malformed("a number in a header is none") from error


def _decimal(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise Malformed("a member's size is no number")
    return int(text)


def _checksums(head: bytes) -> tuple[int, int]:
    """Return the sum of the header's bytes, with its own field as spaces: unsigned, then signed.

    Some old programs added up signed bytes.
    """
    rest = head[:148] + head[156:]
    total = 8 * 32 + sum(rest)
    return total, total - 256 * sum(byte > 127 for byte in rest)


def _records(data: bytes) -> dict[str, str]:
    """PAX records, each `<length> <name>=<value>` and a newline, the length being that of all."""
    records: dict[str, str] = {}
    at = 0
    while at < len(data) and data[at]:
        space = data.find(b" ", at, at + 8)
        if space < 0 or not data[at:space].isdigit():
            raise Malformed("a PAX record has no length")
        end = at + int(data[at:space])
        name, mark, value = data[space + 1:end - 1].partition(b"=")
        if end > len(data) or end <= space or not mark or data[end - 1:end] != b"\n":
            raise Malformed("a PAX record is broken")
        records[os.fsdecode(name)] = os.fsdecode(value)
        at = end
    return records
