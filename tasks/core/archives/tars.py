"""A tar's members, read from a stream by a reader that hostile headers can't exhaust.

Python's own tarfile reads extended headers whole, expands sparse members (102 bytes to 3 GB) and
takes quadratic time for some. Format: POSIX.1-2017, "pax", and the GNU tar manual, "Basic Tar
Format". Sparse members are refused unless they are asked for: a member's size is what it takes up
in the archive, and no more is written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tasks.core.archives import sparse, tar_fields
from tasks.core.archives.tar_fields import BLOCK, Malformed

MAX_HEADER_BYTES = 1 << 20
"""What one member may have of headers with long names and PAX records."""
LINK, FOLDER, SPARSE, HARD_LINK, PIPE = b"2", b"5", b"S", b"1", b"6"
WITHOUT_CONTENT = (HARD_LINK, LINK, b"3", b"4", FOLDER, PIPE)
"""The kinds of members that no content follows, whatever size their header names."""
LONG_NAME, LONG_LINK, PAX, SOLARIS, GLOBAL = b"L", b"K", b"x", b"X", b"g"
PAX_USED = ("path", "linkpath", "size")
"""The PAX records that change a member."""
ATTRIBUTES = "SCHILY.xattr."
"""How the names of PAX records of extended attributes begin."""
PAX_SPARSE = ("GNU.sparse", "SCHILY.realsize")
"""How the names of PAX records of sparse members begin."""


class Stream(Protocol):
    """What a tar is read from. Fewer bytes than asked for are the end."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, kw_only=True)
class Member:
    """A file, link, folder, or (`kind` says) something else, and the bytes that follow it.

    `mode` are its permissions; `has_attributes` says that it has extended attributes, which are
    not read.
    """

    name: str
    kind: bytes
    size: int
    link: str
    mode: int = 0o644
    has_attributes: bool = False

    @property
    def is_executable(self) -> bool:
        return bool(self.mode & 0o100)

    @property
    def is_file(self) -> bool:
        return self.kind in (b"\0", b"0", b"7")

    @property
    def is_link(self) -> bool:
        return self.kind == LINK

    @property
    def is_folder(self) -> bool:
        return self.kind == FOLDER

    @property
    def is_hard_link(self) -> bool:
        return self.kind == HARD_LINK

    @property
    def is_pipe(self) -> bool:
        return self.kind == PIPE


@dataclass(kw_only=True)
class Reader:
    """Iterates over the members of `stream`; what is not read of a member is skipped.

    With `has_sparse`, sparse members are read too, as the whole files that they stand for: a
    member's size is then more than it takes up in the archive.
    """

    stream: Stream
    comment: str = ""
    """What the archive's global PAX header says, once it has gone by."""
    has_sparse: bool = False
    _parts: deque[tuple[int, int]] | None = field(default=None, init=False)
    """Of a sparse member, what has not been read yet of the parts that the archive has."""
    _at: int = field(default=0, init=False)
    _whole: int = field(default=0, init=False)
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
        if self._parts is None:
            return self._stored(most)
        while self._parts and not self._parts[0][1]:
            self._parts.popleft()
        offset, size = self._parts[0] if self._parts else (self._whole, 0)
        if self._at < offset:
            block = bytes(min(most, offset - self._at))
        else:
            block = self._stored(min(most, size))
            if self._parts:
                self._parts[0] = offset + len(block), size - len(block)
        self._at += len(block)
        return block

    def _stored(self, most: int) -> bytes:
        block = self._exactly(min(most, self._left))
        self._left -= len(block)
        return block

    def _next(self) -> Member | None:
        """The next member, with what its extended headers say, or None at the end."""
        extended: list[tuple[str, str]] = []
        header_bytes = 0
        while True:
            head = self._head()
            if head is None:
                if extended:
                    raise Malformed("a header is missing")
                return None
            kind, size = head[156:157], tar_fields.number(head[124:136])
            if kind not in (LONG_NAME, LONG_LINK, PAX, SOLARIS, GLOBAL):
                return self._member(head, kind, size, extended)
            header_bytes += size + BLOCK
            if header_bytes > MAX_HEADER_BYTES:
                raise Malformed(f"a member has more than {MAX_HEADER_BYTES} bytes of headers")
            data = self._exactly(size)
            self._exactly(-size % BLOCK)
            if kind in (LONG_NAME, LONG_LINK):
                extended.append(("path" if kind == LONG_NAME else "linkpath",
                                 tar_fields.text(data)))
            elif kind == GLOBAL:
                self._take_global(dict(tar_fields.records(data)))
            else:
                extended += tar_fields.records(data)

    def _take_global(self, records: Mapping[str, str]) -> None:
        if any(name in PAX_USED or name.startswith(PAX_SPARSE) for name in records):
            raise Malformed("it gives all members one name or size")
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
        if tar_fields.number(head[148:156]) not in tar_fields.checksums(head):
            raise Malformed("a header's checksum is wrong")
        return head

    def _member(self, head: bytes, kind: bytes, size: int,
                records: Sequence[tuple[str, str]]) -> Member:
        extended = dict(records)
        name = (extended.get(f"{sparse.PREFIX}name") or extended.get("path")
                or tar_fields.name_of(head))
        if "size" in extended:
            size = tar_fields.decimal(extended["size"])
        if kind == b"\0" and name.endswith("/"):
            kind = FOLDER  # as before POSIX
        self._left = 0 if kind in WITHOUT_CONTENT else size
        self._padding = -self._left % BLOCK
        return Member(name=name, kind=b"0" if kind == SPARSE else kind,
                      size=self._begin_content(head, kind, records),
                      link=extended.get("linkpath") or tar_fields.text(head[157:257]),
                      mode=tar_fields.number(head[100:108]) & 0o7777,
                      has_attributes=any(key.startswith(ATTRIBUTES) for key in extended))

    def _begin_content(self, head: bytes, kind: bytes,
                       records: Sequence[tuple[str, str]]) -> int:
        """The member's size; of a sparse one that of the whole file, whose parts are read now."""
        self._parts = None
        if kind != SPARSE and not any(name.startswith(PAX_SPARSE) for name, _ in records):
            return self._left
        if not self.has_sparse:
            raise Malformed("it has sparse members, which are not unpacked")
        if kind == SPARSE:
            parts = sparse.in_header(head, lambda: self._exactly(BLOCK))
        elif dict(records).get(f"{sparse.PREFIX}major") == "1":
            parts = sparse.before_content(dict(records), lambda: self._stored(BLOCK))
        else:
            parts = sparse.in_records(records)
        if sum(size for _, size in parts.stored) != self._left:
            raise Malformed("a sparse member has not the bytes that it names")
        self._parts, self._at, self._whole = deque(parts.stored), 0, parts.size
        return parts.size

    def _skip(self) -> None:
        while self._left:
            self._stored(1 << 16)
        self._exactly(self._padding)
        self._padding = 0

    def _exactly(self, size: int) -> bytes:
        data = self.stream.read(size) if size else b""
        if len(data) != size:
            raise Malformed("it is cut off")
        return data
