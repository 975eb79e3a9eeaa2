"""Sparse members of tars: which of a file's bytes the archive has; all others are zeros.

In the forms of GNU tar ("Storing Sparse Files" in its manual): its own old headers, and PAX records
of the versions 0.0, 0.1 and 1.0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tasks.core.archives.tar_fields import BLOCK, Malformed, decimal, number

MAX_PARTS = 1_000_000
"""Parts of one file: a file system's blocks of 4 KiB make that of 4 GB that are full of holes."""
MAX_SIZE = 1 << 40
"""Bytes of a file, holes included."""
PREFIX = "GNU.sparse."
"""How the names of its PAX records begin."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the archive has of a file, as offset and size, and the size of the whole file."""

    size: int
    stored: Sequence[tuple[int, int]]

    def __post_init__(self) -> None:
        end = 0
        for offset, size in self.stored:
            if offset < end:
                raise Malformed("the parts of a sparse member overlap")
            end = offset + size
        if not end <= self.size <= MAX_SIZE:
            raise Malformed("the parts of a sparse member are more than the whole")


def in_header(head: bytes, next_block: Callable[[], bytes]) -> Parts:
    """Those of an old GNU header, with the blocks of further ones that follow it."""
    stored = _pairs(head[386:482])
    more = head[482]
    while more:
        block = next_block()
        stored += _pairs(block[:504])
        _refuse_many(stored)
        more = block[504]
    return Parts(size=number(head[483:495]), stored=stored)


def in_records(records: Sequence[tuple[str, str]]) -> Parts:
    """Those that PAX records of the versions 0.0 or 0.1 name."""
    named = dict(records)
    if f"{PREFIX}map" in named:
        numbers = [decimal(text) for text in named[f"{PREFIX}map"].split(",") if text]
    else:
        numbers = [decimal(value) for name, value in records
                   if name in (f"{PREFIX}offset", f"{PREFIX}numbytes")]
    if len(numbers) % 2:
        raise Malformed("a part of a sparse member has no size")
    stored = list(zip(numbers[::2], numbers[1::2], strict=True))
    _refuse_many(stored)
    return Parts(size=decimal(named.get(f"{PREFIX}size", "")), stored=stored)


def before_content(records: Mapping[str, str], next_block: Callable[[], bytes]) -> Parts:
    """Those of version 1.0, which stand before the content as lines, filled up to a block."""
    text = bytearray()

    def line() -> int:
        while (end := text.find(b"\n")) < 0:
            if len(text) > BLOCK:
                raise Malformed("the map of a sparse member has a line without an end")
            text.extend(next_block())
        value = decimal(text[:end].decode("ascii", "replace"))
        del text[:end + 1]
        return value

    count = line()
    if count > MAX_PARTS:
        raise Malformed("a sparse member has too many parts")
    stored = [(line(), line()) for _ in range(count)]
    return Parts(size=decimal(records.get(f"{PREFIX}realsize", "")), stored=stored)


def _pairs(fields: bytes) -> list[tuple[int, int]]:
    pairs = ((fields[at:at + 12], fields[at + 12:at + 24]) for at in range(0, len(fields), 24))
    return [(number(offset), number(size)) for offset, size in pairs if offset.strip(b"\0 ")]


def _refuse_many(stored: Sequence[tuple[int, int]]) -> None:
    if len(stored) > MAX_PARTS:
        raise Malformed("a sparse member has too many parts")
