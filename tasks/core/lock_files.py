"""Locks: what was resolved from the mutable world, and the one answer to a change of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.core import schema
from tasks.core.errors import SourceError


def read(path: Path, name: str) -> Any | None:
    """Return the lock at `path`, checked against schema `name`; None where there is none yet."""
    return schema.read_json(path, name) if path.is_file() else None


def compare(locked: Mapping[str, str], current: Mapping[str, str], *, lock: Path,
            relock: bool) -> None:
    """Refuse what differs from the lock; both map a thing's name to its digest or commit.

    Things that stand in one of the two alone are no difference. Raises SourceError that lists
    every difference with both values, unless the user asked to take what is there now.
    """
    changed = [f"{name}\n      locked: {locked[name]}\n      found:  {current[name]}"
               for name in sorted({*locked} & {*current}) if locked[name] != current[name]]
    if changed and not relock:
        raise SourceError("what the lock holds has changed at its source:\n"
                             + "\n".join(f"    {line}" for line in changed), where=lock,
                             todo="find out why; to take what is there now, add relock=1")
