"""Samplesheets: read, trimmed, and written with other cells."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass

from tasks.core.errors import SourceError


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A samplesheet: the header's names, and rows of as many cells at most."""

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def place(self, row: int, column: int) -> str:
        """Where a cell stands, for people: data rows count from 1."""
        return f"{self.name}, row {row + 1}, column {self.header[column]}"


def parse(data: bytes, *, name: str, rows: int) -> Sheet:
    """Read CSV, or TSV where `name` ends in .tsv; keep the first `rows` rows, or all for 0.

    Raises SourceError, with all faults at once, where it is no table with a header.
    """
    try:
        text = data.decode("utf-8-sig")
        delimiter = "\t" if name.lower().endswith(".tsv") else ","
        read = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        lines = [tuple(line) for line in read if any(cell.strip() for cell in line)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"the samplesheet can't be read: {error}", where=name) from error
    if not lines:
        raise SourceError("the samplesheet is empty: not even a header", where=name)
    header, body = lines[0], lines[1:]
    kept = tuple(body[:rows] if rows else body)
    faults = [f"row {number}: {len(line)} cells, but the header has {len(header)}"
              for number, line in enumerate(kept, 1) if len(line) > len(header)]
    if faults:
        raise SourceError("the samplesheet's rows do not fit its header:\n"
                          + "\n".join(f"    {fault}" for fault in faults), where=name)
    return Sheet(name=name, header=header, rows=kept)


def render(sheet: Sheet, cell: Callable[[str], str]) -> str:
    """The sheet as CSV, each cell of its rows replaced by what `cell` makes of it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(sheet.header)
    writer.writerows([cell(value) for value in row] for row in sheet.rows)
    return out.getvalue()
