"""`batch:*`: pipelines on AWS Batch, known to work before a job is submitted."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core.config.settings import Config
from tasks.core.graph.step import Task, group


def tasks(config: Config) -> Iterator[Task]:
    """The room's tasks, for a site that has `aws` and `batch`."""
    yield group("batch", "AWS Batch: what it needs, made, checked and tried", [])
