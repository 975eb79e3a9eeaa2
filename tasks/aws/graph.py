"""`aws:*`: a store at AWS that is locked down."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core.config.settings import Config
from tasks.core.graph.step import Task, group


def tasks(config: Config) -> Iterator[Task]:
    """The room's tasks, for a site that has `aws`."""
    yield group("aws", "the store at AWS: planned, made, checked, and its policies", [])
