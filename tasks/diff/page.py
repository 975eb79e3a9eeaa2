"""The comparison as one page, for those who decide whether a release is carried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import Any

from tasks.core import page
from tasks.diff.model import Promoted

TEMPLATE = Path(__file__).with_name("diff.html")
PROMOTED = tuple(field.name for field in fields(Promoted))
MAX_ROWS = 2000
"""Changes of a part that the page shows; the JSON has all."""


def html(document: Mapping[str, Any], name: str) -> str:
    """The page; `name` is that of the JSON beside it."""
    parts = [{**part, "more": max(len(part["changes"]) - MAX_ROWS, 0),
              "most": _largest(part),
              "groups": [(group, list(rows)) for group, rows in groupby(
                  part["changes"][:MAX_ROWS], key=lambda row: row["group"])]}
             for part in document["parts"]]
    ends = {key: {**document[key], "promoted": {**dict.fromkeys(PROMOTED),
                                                 **document[key]["promoted"]}}
             for key in ("from", "to")}
    return page.render(TEMPLATE, {**document, **ends, "parts": parts, "json": name})


def _largest(part: Mapping[str, Any]) -> int | None:
    """The largest size that a change of the part has, before or after; None where none has any."""
    return max((row[key] for row in part["changes"][:MAX_ROWS]
                for key in ("from_bytes", "to_bytes") if key in row), default=None)
