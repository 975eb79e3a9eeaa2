"""A sheet as nf-schema reads it before it holds it against its schema (FilesHelper.groovy)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tasks.core import parsing
from tasks.core.errors import SourceError
from tasks.core.inputs import tables

DELIMITERS = {".csv": ",", ".tsv": "\t"}
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
MAX_DIGITS = 300


def read(path: Path, schema: dict[str, Any]) -> Any:
    """Rows as mappings, or what YAML and JSON hold, without nulls and empty cells.

    SourceError where the sheet can't be read so.
    """
    ending = path.suffix.lower()
    try:
        text = path.read_bytes().decode()
        if ending in (".yml", ".yaml"):
            return without_nulls(parsing.from_yaml(text))
        if ending == ".json":
            return without_nulls(parsing.from_json(text, is_unique=False))
    except ValueError as error:
        raise SourceError(f"it can't be read: {error}", where=path.name) from error
    delimiter = DELIMITERS.get(ending) or _likely(text, path.name)
    if schema.get("type") == "object":
        raise SourceError("a table is no mapping, which the schema wants", where=path.name)
    return _rows(text, delimiter, path.name, has_header=bool(_properties(schema)))


def _properties(schema: dict[str, Any]) -> Any:
    items = schema.get("items")
    return items.get("properties") if isinstance(items, dict) else None


def _likely(text: str, name: str) -> str:
    header = text.partition("\n")[0]
    commas, tabs = header.count(","), header.count("\t")
    if commas == tabs:
        raise SourceError("neither commas nor tabs part its first line", where=name)
    return "," if commas > tabs else "\t"


def _rows(text: str, delimiter: str, name: str, *, has_header: bool) -> list[Any]:
    lines = [[tables.value(cell).strip() for cell in record[::2]]
             for record in tables.records(text, delimiter, name, lenient=True)
             if any(cell.strip() for cell in record[::2])]
    if has_header and not lines:
        raise SourceError("Missing 'header' in CSV file", where=name)
    if not has_header:
        return [_plain(line[0]) if len(line) == 1 else [_plain(cell) for cell in line]
                for line in lines]
    header, *rows = lines
    return [{column: value for column, cell in zip(header, row, strict=False)
             if column and (value := _plain(cell)) is not None} for row in rows]


def _plain(cell: str) -> Any:
    """A cell as org.json's `stringToValue` takes it; an empty one is null."""
    low = cell.lower()
    if low in ("", "null"):
        return None
    if low in ("true", "false"):
        return low == "true"
    if len(cell) < MAX_DIGITS and _NUMBER.fullmatch(cell):
        return int(cell) if cell.lstrip("-").isdecimal() else float(cell)
    return cell


def without_nulls(value: Any) -> Any:
    """A value whose mappings have no nulls, as `excludeNulls` writes it."""
    if isinstance(value, dict):
        return {key: without_nulls(member) for key, member in value.items() if member is not None}
    return [without_nulls(member) for member in value] if isinstance(value, list) else value
