"""When releases last ran, by the records that runs leave: all that pruning asks of them."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from tasks.core import nofollow, parsing
from tasks.core.errors import IntegrityError

MAX_RECORD = 64 << 20
"""Bytes of a record: it lists each result."""


def last_ran(runs: Path) -> dict[str, dict[str, datetime]]:
    """When each release last began to run, by pipeline and id; `runs` has a folder for each run.

    A record that can't be read says nothing.
    """
    last: dict[str, dict[str, datetime]] = {}
    for path in runs.glob("*/*/run.json"):
        try:
            record = parsing.from_json(nofollow.read(path, most=MAX_RECORD))
            of_pipeline = last.setdefault(str(record["pipeline"]), {})
            name = str(record["release"]["id"])
            begun = datetime.fromisoformat(record["started"].removesuffix("Z")).replace(
                tzinfo=timezone.utc)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, IntegrityError):
            continue
        of_pipeline[name] = max(begun, of_pipeline.get(name, begun))
    return last
