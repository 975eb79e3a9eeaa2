"""Sheets: tables and lists of records in the formats that pipelines read, and their cells.

A sheet keeps its format through reading, changing and writing, since pipelines choose the parser
by a file's ending. What a staged sheet names is written relative to the release, and made absolute
at launch: docs/decisions/how-sheets-are-carried.md.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from tasks.core import parsing
from tasks.core.errors import SourceError
from tasks.core.net import urls

TABLES = {".csv": ",", ".tsv": "\t"}
TREES = (".json", ".yaml", ".yml")
LISTS = (".txt",)
ENDINGS = (*TABLES, *TREES, *LISTS)

_JOINT = r"(?<![;,|\s])[;,|\s]+"
"""A whole run, so that a long one before no URL is tried once, and not from each of its characters.
"""
_REMOTE = re.compile(rf"({_JOINT})(?=[A-Za-z][A-Za-z0-9+.-]*://)")


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A sheet as its file's ending says: a table, plain lines, or a tree of JSON or YAML.

    `rows` are a table's cells, one text each of a file of lines; `header` is None where the first
    row is data. `tree` is what JSON or YAML hold.
    """

    name: str
    header: tuple[str, ...] | None = None
    rows: tuple[tuple[str, ...], ...] = ()
    tree: Any = None
    delimiter: str | None = None

    @property
    def is_tree(self) -> bool:
        return kind(self.name) in TREES

    def cells(self) -> Iterator[tuple[str, str]]:
        """Each text that may name a file, and where it stands, for people."""
        if self.is_tree:
            yield from _texts(self.tree, self.name)
            return
        for number, row in enumerate(self.rows):
            for column, cell in enumerate(row):
                yield self.place(number, column), cell

    def place(self, row: int, column: int) -> str:
        """Where a cell stands, for people: data rows count from 1."""
        known = self.header and column < len(self.header)
        named = self.header[column] if self.header and known else str(column + 1)
        return f"{self.name}, row {row + 1}, column {named}"

    def mapped(self, change: Callable[[str], str]) -> Sheet:
        """The sheet with each cell as `change` makes it; the header stays."""
        if self.is_tree:
            return dataclasses.replace(self, tree=_mapped(self.tree, change))
        return dataclasses.replace(
            self, rows=tuple(tuple(map(change, row)) for row in self.rows))

    def records(self) -> list[Mapping[str, str]]:
        """The rows by the names of their columns, which are numbers where there is no header."""
        if self.is_tree:
            items = self.tree if isinstance(self.tree, list) else []
            return [{str(key): "" if value is None else str(value)
                     for key, value in _plain(item).items()} for item in items]
        if self.header is None:
            return [{str(column): cell for column, cell in enumerate(row)} for row in self.rows]
        return [dict(zip(self.header, row, strict=False)) for row in self.rows]

    def only(self, kept: list[int]) -> Sheet:
        """The sheet with the rows of these numbers alone; a tree that is no list stays whole."""
        if not self.is_tree:
            return dataclasses.replace(self, rows=tuple(self.rows[number] for number in kept))
        if isinstance(self.tree, list):
            return dataclasses.replace(self, tree=[self.tree[number] for number in kept])
        return self

    def text(self) -> str:
        """The sheet as its format has it."""
        ending = kind(self.name)
        if ending == ".json":
            return json.dumps(self.tree, indent=2, ensure_ascii=False) + "\n"
        if ending in TREES:
            import yaml
            return str(yaml.dump(self.tree, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper),
                                 sort_keys=False, allow_unicode=True, width=2**20))
        if self.delimiter is None:
            return "".join(f"{row[0]}\n" for row in self.rows)
        return _table([*([self.header] if self.header is not None else []), *self.rows],
                      self.delimiter)

    def as_csv(self) -> str:
        """The sheet as CSV; the header of a tree's records is the union of their keys."""
        if not self.is_tree:
            return _table([*([self.header] if self.header is not None else []), *self.rows], ",")
        items = [_plain(item) for item in (self.tree if isinstance(self.tree, list) else [])]
        names = list(dict.fromkeys(key for item in items for key in item))
        return _table([names, *([_cell(item.get(name)) for name in names] for item in items)]
                      if names else [], ",")


def kind(name: str) -> str:
    """The ending of a file's name, in lower case, with its dot."""
    return PurePosixPath(name).suffix.lower()


def parse(data: bytes, *, name: str, has_header: Callable[[tuple[str, ...]], bool],
          is_lines: bool | None = None) -> Sheet:
    """Read a sheet as the ending of `name` says; `has_header` judges a table's first row.

    A .txt file holds plain lines, or a table where its first line has a tab, or a comma and does
    not start with a URL; `is_lines` says which where that is known. Raises SourceError, with all
    faults at once, where it can't be read so.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"the sheet can't be read: {error}", where=name) from error
    if "\0" in text:
        raise SourceError("the sheet can't be read: it holds a NUL character", where=name)
    ending = kind(name)
    if ending in TREES:
        return Sheet(name=name, tree=_tree(text, name))
    delimiter = TABLES.get(ending) or _delimiter(text)
    if is_lines is not None and ending not in TABLES:
        delimiter = None if is_lines else delimiter
    if delimiter is None:
        return Sheet(name=name, rows=tuple((line.strip(),) for line in text.splitlines()
                                           if line.strip()))
    try:
        read = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        lines = [tuple(line) for line in read if any(cell.strip() for cell in line)]
    except csv.Error as error:
        raise SourceError(f"the sheet can't be read: {error}", where=name) from error
    header = lines[0] if lines and has_header(lines[0]) else None
    rows = tuple(lines[1:] if header is not None else lines)
    if header is not None:
        rows = _fitting(rows, len(header), name)
    return Sheet(name=name, header=header, rows=rows, delimiter=delimiter)


def parts(text: str) -> list[str]:
    """A cell's references, several where more than one URL stands in it, and what joins them.

    At even places the references, at odd ones the joints; a plain text is one part.
    """
    if text.count("://") < 2:
        return [text]
    return _REMOTE.split(text)


def staged(text: str, change: Callable[[str], str | None]) -> str:
    """A staged sheet's cell with each path that `change` knows replaced."""
    known = change(text)
    if known is not None:
        return known
    if not _STAGED_JOINT.search(text):
        return text
    return "".join(part if place % 2 else change(part) or part
                   for place, part in enumerate(_STAGED_JOINT.split(text)))


_STAGED_JOINT = re.compile(rf"({_JOINT})(?=(?:data/[0-9a-f]{{64}}|sheets|trees)/)")


def _delimiter(text: str) -> str | None:
    """What parts a .txt file's first line: a tab, a comma, or nothing."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    if "\t" in first:
        return "\t"
    return "," if "," in first and not urls.is_url(first.strip()) else None


def _fitting(rows: tuple[tuple[str, ...], ...], width: int,
             name: str) -> tuple[tuple[str, ...], ...]:
    faults = [f"row {number}: {len(row)} cells, but the header has {width}"
              for number, row in enumerate(rows, 1) if any(map(str.strip, row[width:]))]
    if faults:
        raise SourceError("the sheet's rows do not fit its header:\n"
                          + "\n".join(f"    {fault}" for fault in faults[:20]), where=name)
    return tuple(row[:width] for row in rows)


def _tree(text: str, name: str) -> Any:
    try:
        is_json = kind(name) == ".json"
        tree = parsing.from_json(text, is_unique=False) if is_json else parsing.from_yaml(text)
        judge(tree)
        return tree
    except parsing.Aliased as error:
        raise SourceError("the sheet has YAML aliases, which are not followed", where=name,
                          todo="write out what they stand for") from error
    except ValueError as error:
        raise SourceError(f"the sheet can't be read: {error}", where=name) from error


def judge(tree: Any, depth: int = 0) -> None:
    """ValueError for deep nesting, half a surrogate pair, which no file can hold, and YAML's pairs
    and sets, which would be written as something else."""
    if depth > parsing.MAX_DEPTH:
        raise ValueError(parsing.TOO_DEEP)
    if isinstance(tree, (tuple, set)):
        raise ValueError("!!omap, !!pairs and !!set are not known here")
    if isinstance(tree, str):
        tree.encode()
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            judge(key, depth + 1)
            judge(value, depth + 1)
    elif isinstance(tree, list):
        for value in tree:
            judge(value, depth + 1)


def _texts(tree: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(tree, str):
        yield place, tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _texts(value, f"{place}, {key}")
    elif isinstance(tree, list):
        for number, value in enumerate(tree, 1):
            yield from _texts(value, f"{place}, item {number}")


def _mapped(tree: Any, change: Callable[[str], str]) -> Any:
    if isinstance(tree, str):
        return change(tree)
    if isinstance(tree, Mapping):
        return {key: _mapped(value, change) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_mapped(value, change) for value in tree]
    return tree


def _plain(item: Any) -> Mapping[Any, Any]:
    return item if isinstance(item, Mapping) else {"0": item}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _table(rows: list[Any], delimiter: str) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return out.getvalue()
