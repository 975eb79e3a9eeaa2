"""`resolve`: each pipeline's config, as its own Nextflow resolves it with the profile."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core.config import Config, Pipeline
from tasks.core.deferred import deferred, uncompared
from tasks.core.nextflow.environment import Inherited
from tasks.core.paths import PipelinePaths
from tasks.core.step import Task, step
from tasks.core.verbs import for_pipelines

with deferred():
    from tasks.resolve.resolve import ResolveSpec, resolve


def tasks(config: Config) -> Iterator[Task]:
    """`resolve:<pipeline>`: the one step online whose params and plugins come from Nextflow."""
    yield from for_pipelines(config, {
        "resolve": ("the pipelines' configs, as Nextflow resolves them", _resolve)})


def _resolve(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
    spec = ResolveSpec(
        pipeline=pipeline.name, profile=pipeline.profile, given=pipeline.params, code=at.code,
        runtime=at.runtime(pipeline.nextflow.version), output=at.resolved, log=at.log(name),
        isolation=config.site.isolation,
        inherited=uncompared(Inherited.of(config.environment)))
    return step(name, doc, resolve, spec, needs=[spec.code, spec.runtime], makes=[spec.output])
