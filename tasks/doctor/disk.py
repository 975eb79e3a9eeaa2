"""Room on the disks that things pass through."""

from __future__ import annotations

from pathlib import Path

from tasks.core import files
from tasks.core.disk import free_at
from tasks.core.findings import FAIL, OK, WARN, Finding

LEAST, LITTLE = 500 * 10**6, 10 * 10**9
"""Bytes without which not even a small pipeline crosses, and below which most don't."""


def room(place: Path, what: str) -> Finding:
    """How much is free where `place` is, or will be."""
    free = free_at(place)
    status = FAIL if free < LEAST else WARN if free < LITTLE else OK
    return Finding(check="disk", status=status,
                   text=f"{files.human_size(free)} are free for {what} ({place})",
                   cure=None if status == OK else
                   f"free space there, or put {what} on a larger disk: real pipelines take some "
                   f"{files.human_size(LITTLE)} and more")
