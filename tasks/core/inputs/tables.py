"""The text of tables and lists, taken apart so that a cell can be changed and nothing else is.

A record is a tuple of texts, by turns a cell as it is written and what stands behind it: the
delimiter, or the line's end. Quotes, spaces, empty lines and the last line's end stay as they were.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import TypeAlias

from tasks.core.errors import SourceError
from tasks.core.net import urls

Record: TypeAlias = tuple[str, ...]

DELIMITERS = (",", ";", "\t", "|")
SPACES = " "
"""Stands for any run of spaces and tabs between two cells."""
MAX_CELL = 2**17
"""Characters of a table's cell, as Python's own reader has it."""
SNIFFED = 64 * 2**10
"""Characters that a table's delimiter is judged by."""
MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"),
         (codecs.BOM_UTF16_BE, "utf-16-be"))
WORKBOOKS = {b"PK\x03\x04": "an Excel workbook, or another zip",
             b"\xd0\xcf\x11\xe0": "an old Excel workbook"}


def decode(data: bytes, name: str) -> tuple[str, bytes, str]:
    """The text, the mark before it, and its encoding; spreadsheets write UTF-16 with a mark.

    Raises SourceError for what is none.
    """
    for begin, what in WORKBOOKS.items():
        if data.startswith(begin):
            raise SourceError(f"the sheet can't be read: it is {what}", where=name,
                              todo="save it as CSV (UTF-8)")
    mark, encoding = next(((mark, encoding) for mark, encoding in MARKS if data.startswith(mark)),
                          (b"", _unmarked(data)))
    try:
        text = data[len(mark):].decode(encoding)
    except UnicodeDecodeError as error:
        raise SourceError(f"the sheet can't be read: {error}", where=name,
                          todo="save it as CSV (UTF-8)") from error
    if "\0" in text:
        raise SourceError("the sheet can't be read: it holds a NUL character", where=name)
    return text, mark, encoding


def _unmarked(data: bytes) -> str:
    """UTF-16 without a mark has a NUL at every second place of plain text."""
    start = data[:4096]
    if len(start) >= 8 and len(data) % 2 == 0:
        for encoding, at in (("utf-16-le", 1), ("utf-16-be", 0)):
            if start[at::2].count(0) > 0.9 * len(start) / 2 and 0 not in start[1 - at::2]:
                return encoding
    return "utf-8"


def records(text: str, delimiter: str | None, name: str, *, lenient: bool = False
            ) -> Iterator[Record]:
    """The lines of a text; without a delimiter each is one cell.

    Raises SourceError where quotes don't pair, unless that is `lenient`.
    """
    plain, quoted, gap = _forms(delimiter)
    at, number = 0, 1
    record: list[str] = []
    while at < len(text):
        match = quoted.match(text, at) if quoted else None
        if match is None:
            if quoted and text[at] == '"' and not lenient:
                raise SourceError(f"the sheet can't be read: unexpected end of a quoted cell in "
                                  f"line {number}; its quotes don't pair", where=name)
            match = plain.match(text, at)
        cell = match[0] if match else ""
        if len(cell) > MAX_CELL and quoted and not lenient:
            raise SourceError(f"the sheet can't be read: a cell in line {number} is beyond the "
                              f"field limit of {MAX_CELL} characters", where=name)
        at += len(cell)
        behind = gap.match(text, at)
        between = behind[0] if behind else ""
        at += len(between)
        record += [cell, between]
        number += cell.count("\n")
        if not between or between in ("\n", "\r\n", "\r"):
            yield tuple(record)
            record = []
            number += 1
    if record:  # the text ends behind a delimiter
        yield (*record, "", "")


def _forms(delimiter: str | None) -> tuple[re.Pattern[str], re.Pattern[str] | None,
                                           re.Pattern[str]]:
    """How a plain cell, a quoted one and what stands behind one are written."""
    end = r"\r\n|\r|\n"
    if delimiter is None:
        return re.compile(r"[^\r\n]*"), None, re.compile(end)
    if delimiter == SPACES:
        return (re.compile(r"[ \t]*[^ \t\r\n]*"),
                re.compile(rf'[ \t]*"[^"]*(?:""[^"]*)*"(?=[ \t]|{end}|\Z)'),
                re.compile(rf"[ \t]*(?:{end})|[ \t]+|\Z"))
    mark, pad = re.escape(delimiter), " " if delimiter == "\t" else r" \t"
    return (re.compile(rf"[^{mark}\r\n]*"),
            re.compile(rf'[{pad}]*"[^"]*(?:""[^"]*)*"[{pad}]*(?={mark}|{end}|\Z)'),
            re.compile(rf"{mark}|{end}"))


def value(cell: str) -> str:
    """What a cell says, without the quotes that it is written in."""
    bare = cell.strip()
    if len(bare) > 1 and bare[0] == bare[-1] == '"':
        return bare[1:-1].replace('""', '"')
    return cell


def written(cell: str, changed: str, delimiter: str | None) -> str:
    """A cell with another value, in quotes where it was or where it has to be."""
    if delimiter is None:
        return changed
    quoted = '"' + changed.replace('"', '""') + '"'
    if value(cell) != cell or '"' in changed:
        lead = cell[:len(cell) - len(cell.lstrip())] if value(cell) != cell else ""
        return lead + quoted + cell[len(cell.rstrip()):]
    marks = " \t" if delimiter == SPACES else delimiter
    return quoted if any(mark in changed for mark in (*marks, "\n", "\r")) else changed


def delimiter_of(text: str, usual: str | None) -> str | None:
    """What parts a table's cells: the `usual` one of its ending, unless the text says another.

    None where each line is one cell. Spreadsheets write `;` where the comma stands in numbers.
    """
    start = text[:SNIFFED]
    if len(text) > SNIFFED:
        start = start[:max(start.rfind("\n"), start.rfind("\r")) + 1] or start
    marks = DELIMITERS if usual or not urls.is_url(start.lstrip()) else ("\t", "|")
    widths = {mark: _widths(start, mark) for mark in marks}
    parted = [mark for mark in marks if widths[mark][:1] > [1]]
    even = [mark for mark in parted if len(set(widths[mark])) == 1]
    if usual is not None:
        if usual in parted and (usual in even or not even):
            return usual
        best = max(even or parted, key=lambda mark: widths[mark][0], default=None)
        return best or (SPACES if _is_spaced(start) else usual)
    if even:
        return max(even, key=lambda mark: (mark in "\t,", widths[mark][0]))
    return "\t" if "\t" in parted else SPACES if _is_spaced(start) else None


def _widths(text: str, delimiter: str) -> list[int]:
    """How many cells each line has, apart from empty lines and comments."""
    return [len(record) // 2 for record in records(text, delimiter, "", lenient=True)
            if is_row(record)]


def is_row(record: Record) -> bool:
    """Whether a line is neither empty nor a comment before or amid the rows."""
    return any(cell.strip() for cell in record[::2]) and not (
        len(record) == 2 and record[0].startswith("#"))


def _is_spaced(text: str) -> bool:
    """Whether all of several lines have the same number of words, and some names a file."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    return (len(lines) > 1 and len(lines[0]) > 1 and len({len(line) for line in lines}) == 1
            and any("/" in word for line in lines for word in line))
