"""The comparison as text: a line for each part, then what differs in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from tasks.core import files
from tasks.core.errors import shown

MAX_ROWS, MAX_TEXT = 40, 160
"""Changes of a part, and characters of one text, that are printed; the page and the JSON have all.
"""
SIGNS = {"added": "+", "gone": "-", "changed": "~"}


def text(document: Mapping[str, Any], page: object) -> str:
    """The lines that are printed; `page` is where all of it stands."""
    lines = [f"from  {_end(document['from'])}", f"to    {_end(document['to'])}", ""]
    if document["equal"] is True:
        lines.append("no difference")
    elif document["equal"] is None:
        lines.append("no difference as far as it is known")
    width = max((len(part["title"]) for part in document["parts"]), default=0)
    lines += [f"{_mark(part)} {part['title']:<{width}}  {_line(part['summary'])}"
              for part in document["parts"]]
    lines += [f"! {_line(notice)}" for notice in document["attention"]]
    for part in document["parts"]:
        if part["changes"] or part["unknown"]:
            lines += ["", part["title"], *_details(part, page)]
    return "\n".join(lines)


def _end(end: Mapping[str, Any]) -> str:
    """Which of the two it is, and what its promotion says."""
    promoted = end["promoted"]
    number = f"promotion {promoted['number']} of {promoted['signed']}" if "number" in promoted \
        else ""
    state = [*(["current"] if promoted.get("is_current") else []), *([number] if number else []),
             *(["withdrawn"] if "withdrawn" in promoted else [])]
    return _line(end["title"]) + (f"  ({', '.join(state)})" if state else "")


def _mark(part: Mapping[str, Any]) -> str:
    return {True: "~", False: "=", None: "?"}[part["differs"]]


def _details(part: Mapping[str, Any], page: object) -> Iterator[str]:
    for name, value in part["facts"].items():
        yield f"  {name}: {_line(value)}"
    rows = part["changes"][:MAX_ROWS]
    for group, members in groupby(rows, key=lambda row: row["group"]):
        if group:
            yield f"  {_line(group)}"
        for row in members:
            yield f"  {'  ' if group else ''}{SIGNS[row['change']]} {_row(row)}"
    if len(part["changes"]) > len(rows):
        yield f"  … and {len(part['changes']) - len(rows)} more: {page}"
    for reason in part["unknown"]:
        yield f"  ? not known: {_line(reason)}"


def _row(row: Mapping[str, Any]) -> str:
    """One change: its name, what it was and is, and its bytes."""
    values = [_line(row[key]) for key in ("from", "to") if key in row]
    if "from_bytes" in row or "to_bytes" in row:
        values.append(" → ".join(dict.fromkeys(
            files.human_size(row[key]) for key in ("from_bytes", "to_bytes") if key in row)))
        if row["change"] != "changed":  # the digest alone says little
            values = values[-1:]
    middle = " → ".join(values[:2]) if {"from", "to"} <= row.keys() else values[0] if values else ""
    more = f"  ({values[2]})" if len(values) > 2 else ""
    return f"{_line(row['name'])}{'  ' if middle else ''}{middle}{more}".rstrip()


def _line(text: str) -> str:
    """Others' text in one line that steers no terminal."""
    line = shown(text).replace("\n", "\\n").replace("\t", "\\t")
    return line if len(line) <= MAX_TEXT else f"{line[:MAX_TEXT]} …"
