"""What this room builds."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core.config import Config
from tasks.core.graph import Task


def tasks(config: Config) -> Iterator[Task]:
    """The room's tasks."""
    yield from ()
