"""`batch:*`: pipelines on AWS Batch, known to work before a job is submitted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tasks.core.config.settings import Config
from tasks.core.graph.deferred import deferred
from tasks.core.graph.step import Task, group, perform, step

with deferred():
    from tasks.batch.diagnose import DiagnoseSpec, diagnose


def tasks(config: Config) -> Iterator[Task]:
    """The room's tasks, for a site that has `aws` and `batch`."""
    yield group("batch", "AWS Batch: what it needs, made, checked and tried", [])
    yield _diagnose("batch:diagnose", "what a log or a status reason says: cause and cure")


def _diagnose(name: str, doc: str) -> Task:
    task = step(name, doc, diagnose, DiagnoseSpec(files=()), look=True)
    (_, given), = task["actions"]
    return task | {
        "actions": [(_with_words, given)], "pos_arg": "words",
        "params": [{"name": "as_json", "long": "json", "type": bool, "default": False,
                    "help": "print JSON for programs"}]}


def _with_words(name: str, action: Any, _: Any, words: Sequence[str], as_json: bool) -> Any:
    """Perform a step with the words behind its name: the spec's files, which no graph knows."""
    return perform(name, action, DiagnoseSpec(files=tuple(words), as_json=as_json))
