"""The fields of a tar's headers, read so that none can be what it must not be."""

from __future__ import annotations

import os

BLOCK = 512
"""Bytes that headers and contents are filled up to."""


class Malformed(ValueError):
    """The stream is no tar, or one that is not read here."""


def name_of(head: bytes) -> str:
    name = text(head[:100])
    # GNU's own form has times where POSIX has the name's first part.
    prefix = text(head[345:500]) if head[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def text(field: bytes) -> str:
    return os.fsdecode(field.partition(b"\0")[0])


def number(field: bytes) -> int:
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


def decimal(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise Malformed("a member's size is no number")
    return int(text)


def checksums(head: bytes) -> tuple[int, int]:
    """Return the sum of the header's bytes, with its own field as spaces: unsigned, then signed.

    Some old programs added up signed bytes.
    """
    rest = head[:148] + head[156:]
    total = 8 * 32 + sum(rest)
    return total, total - 256 * sum(byte > 127 for byte in rest)


def records(data: bytes) -> list[tuple[str, str]]:
    """PAX records, each `<length> <name>=<value>` and a newline, the length being that of all."""
    records: list[tuple[str, str]] = []
    at = 0
    while at < len(data) and data[at]:
        space = data.find(b" ", at, at + 8)
        if space < 0 or not data[at:space].isdigit():
            raise Malformed("a PAX record has no length")
        end = at + int(data[at:space])
        name, mark, value = data[space + 1:end - 1].partition(b"=")
        if end > len(data) or end <= space or not mark or data[end - 1:end] != b"\n":
            raise Malformed("a PAX record is broken")
        records.append((os.fsdecode(name), os.fsdecode(value)))
        at = end
    return records
