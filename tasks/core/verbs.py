"""How every room's graph.py names its verbs: one table, from a verb to the function of its step.

    yield from for_pipelines(config, {
        "images:lock": ("tags resolved to digests, once", _lock),
    })

makes the group `images:lock`, and for each pipeline what `_lock` answers for the name
`images:lock:<pipeline>`. So one finds a step by its name: the table's line, the function there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias, TypeVar

from tasks.core.config import Config, Pipeline
from tasks.core.step import Task, group

Subject = TypeVar("Subject")
MakeStep: TypeAlias = Callable[[str, str, Config, Subject], Task]
"""Takes the step's name, its line in `doit list`, the configuration, and what it is for."""
Verbs: TypeAlias = Mapping[str, tuple[str, MakeStep[Subject]]]


def for_pipelines(config: Config, verbs: Verbs[Pipeline]) -> Iterator[Task]:
    """Each verb's group, and its step for each pipeline."""
    return for_names(config, verbs, {pipeline.name: pipeline for pipeline in config.pipelines})


def for_names(config: Config, verbs: Verbs[Subject],
              subjects: Mapping[str, Subject]) -> Iterator[Task]:
    """The same for other subjects than all pipelines: a step's name ends in the subject's."""
    for verb, (doc, make_step) in verbs.items():
        yield group(verb, doc)
        for name, subject in subjects.items():
            yield make_step(f"{verb}:{name}", doc, config, subject)
