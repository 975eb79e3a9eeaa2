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
from typing import Any, NamedTuple

from tasks.core import parsing
from tasks.core.errors import SourceError
from tasks.core.inputs import tables
from tasks.core.inputs.tables import Record

TABLES = {".csv": ",", ".tsv": "\t"}
TREES = (".json", ".yaml", ".yml")
LISTS = (".txt",)
ENDINGS = (*TABLES, *TREES, *LISTS)


class Cell(NamedTuple):
    """A text that may name a file: where it stands, for people, and its column's or key's name."""

    place: str
    text: str
    column: str


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A sheet as its file's ending and its text say: a table, plain lines, or a tree.

    `rows` are a table's cells, one text each of a file of lines; `header` is None where the first
    row is data. `lines` are all lines as they are written, `numbers` those of them that `rows`
    are. `tree` is what JSON or YAML hold, and `source` its text where it is the whole of that.
    """

    name: str
    header: tuple[str, ...] | None = None
    rows: tuple[tuple[str, ...], ...] = ()
    tree: Any = None
    delimiter: str | None = None
    lines: tuple[Record, ...] = ()
    numbers: tuple[int, ...] = ()
    source: str | None = None
    mark: bytes = b""
    encoding: str = "utf-8"

    @property
    def is_tree(self) -> bool:
        return kind(self.name) in TREES

    def cells(self) -> Iterator[Cell]:
        """Each text that may name a file."""
        if self.is_tree:
            yield from _texts(self.tree, self.name, "")
            return
        for number, row in enumerate(self.rows):
            for column, cell in enumerate(row):
                yield Cell(self.place(number, column), cell, self.column(column))

    def column(self, number: int) -> str:
        """A column's name, else its number, counted from 1."""
        known = self.header and number < len(self.header)
        return self.header[number] if self.header and known else str(number + 1)

    def place(self, row: int, column: int) -> str:
        """Where a cell stands, for people: data rows count from 1."""
        return f"{self.name}, row {row + 1}, column {self.column(column)}"

    def mapped(self, change: Callable[[str], str]) -> Sheet:
        """The sheet with each cell as `change` makes it."""
        return self.changed(lambda text, _: change(text))

    def changed(self, change: Callable[[str, str], str]) -> Sheet:
        """The sheet with each cell as `change` makes it, which gets its column's or key's name.

        All else stays as it is written.
        """
        if self.is_tree:
            tree = _mapped(self.tree, change, "")
            return dataclasses.replace(self, tree=tree, source=self._rewritten(change, tree))
        rows, lines = [], list(self.lines)
        for number, row in zip(self.numbers, self.rows, strict=True):
            changed = tuple(change(cell, self.column(at)) for at, cell in enumerate(row))
            rows.append(changed)
            if changed != row:
                line = list(lines[number])
                for at, (old, new) in enumerate(zip(row, changed, strict=True)):
                    if old != new:
                        line[2 * at] = tables.written(line[2 * at], new, self.delimiter)
                lines[number] = tuple(line)
        return dataclasses.replace(self, rows=tuple(rows), lines=tuple(lines))

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
        if self.is_tree:
            if not isinstance(self.tree, list) or len(kept) == len(self.tree):
                return self
            return dataclasses.replace(self, tree=[self.tree[number] for number in kept],
                                       source=None)
        gone = {self.numbers[row] for row in set(range(len(self.rows))) - set(kept)}
        places = [number for number in range(len(self.lines)) if number not in gone]
        moved = {number: place for place, number in enumerate(places)}
        return dataclasses.replace(
            self, rows=tuple(self.rows[row] for row in kept),
            lines=tuple(self.lines[number] for number in places),
            numbers=tuple(moved[self.numbers[row]] for row in kept))

    def text(self) -> str:
        """The sheet as its format has it."""
        if not self.is_tree:
            return "".join(text for line in self.lines for text in line)
        if self.source is not None:
            return self.source
        if kind(self.name) == ".json":
            return json.dumps(self.tree, indent=2, ensure_ascii=False) + "\n"
        import yaml
        return str(yaml.dump(self.tree, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper),
                             sort_keys=False, allow_unicode=True, width=2**20))

    def data(self) -> bytes:
        """The sheet as bytes, in the encoding and with the mark that it had."""
        return self.mark + self.text().encode(self.encoding)

    def as_csv(self) -> str:
        """The sheet as CSV; the header of a tree's records is the union of their keys."""
        if not self.is_tree:
            return _table([*([self.header] if self.header is not None else []), *self.rows], ",")
        items = [_plain(item) for item in (self.tree if isinstance(self.tree, list) else [])]
        names = list(dict.fromkeys(key for item in items for key in item))
        return _table([names, *([_cell(item.get(name)) for name in names] for item in items)]
                      if names else [], ",")

    def _rewritten(self, change: Callable[[str, str], str], tree: Any) -> str | None:
        """A tree's own text with the changed texts in it, where that says the same as `tree`."""
        texts = {cell.text: new for cell in self.cells()
                 if (new := change(cell.text, cell.column)) != cell.text}
        if self.source is None or not texts:
            return self.source
        longest = sorted(map(re.escape, texts), key=len, reverse=True)
        text = re.sub(rf"(?<![\w/.:-])(?:{'|'.join(longest)})(?![\w/.-])",
                      lambda match: texts[match[0]], self.source)
        try:
            return text if _tree(text, self.name) == tree else None
        except SourceError:
            return None


def kind(name: str) -> str:
    """The ending of a file's name, in lower case, with its dot."""
    return PurePosixPath(name).suffix.lower()


def parse(data: bytes, *, name: str, has_header: Callable[[tuple[str, ...]], bool],
          is_lines: bool | None = None) -> Sheet:
    """Read a sheet as the ending of `name` and its text say; `has_header` judges the first row.

    A .txt file holds plain lines, or a table where all its lines are parted alike; `is_lines` says
    which where that is known. Raises SourceError, with all faults at once, where it can't be read.
    """
    text, mark, encoding = tables.decode(data, name)
    ending = kind(name)
    if ending in TREES:
        return Sheet(name=name, tree=_tree(text, name), source=text, mark=mark, encoding=encoding)
    delimiter = tables.delimiter_of(text, TABLES.get(ending))
    if is_lines is not None and ending not in TABLES:
        delimiter = None if is_lines else delimiter
    lines = tuple(tables.records(text, delimiter, name))
    numbers = [number for number, line in enumerate(lines) if tables.is_row(line)]
    rows = [tuple(map(tables.value, lines[number][::2])) for number in numbers]
    if delimiter in (None, tables.SPACES):
        rows = [tuple(cell.strip() for cell in row) for row in rows]
    header = rows[0] if rows and delimiter is not None and has_header(rows[0]) else None
    if header is not None:
        rows, numbers = _fitting(rows[1:], len(header), name), numbers[1:]
    return Sheet(name=name, header=header, rows=tuple(rows), delimiter=delimiter, lines=lines,
                 numbers=tuple(numbers), mark=mark, encoding=encoding)


def _fitting(rows: list[tuple[str, ...]], width: int, name: str) -> list[tuple[str, ...]]:
    faults = [f"row {number}: {len(row)} cells, but the header has {width}"
              for number, row in enumerate(rows, 1) if any(map(str.strip, row[width:]))]
    if faults:
        raise SourceError("the sheet's rows do not fit its header:\n"
                          + "\n".join(f"    {fault}" for fault in faults[:20]), where=name)
    return [row[:width] for row in rows]


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


def _texts(tree: Any, place: str, key: str) -> Iterator[Cell]:
    if isinstance(tree, str):
        yield Cell(place, tree, key)
    elif isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from _texts(value, f"{place}, {name}", str(name))
    elif isinstance(tree, list):
        for number, value in enumerate(tree, 1):
            yield from _texts(value, f"{place}, item {number}", key)


def _mapped(tree: Any, change: Callable[[str, str], str], key: str) -> Any:
    if isinstance(tree, str):
        return change(tree, key)
    if isinstance(tree, Mapping):
        return {name: _mapped(value, change, str(name)) for name, value in tree.items()}
    if isinstance(tree, list):
        return [_mapped(value, change, key) for value in tree]
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
