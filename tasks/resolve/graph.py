"""`resolve`: each pipeline's config, as its own Nextflow resolves it with the profile."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core.config.settings import Config, Pipeline
from tasks.core.graph.deferred import deferred, uncompared
from tasks.core.graph.step import Task, step
from tasks.core.graph.verbs import for_pipelines
from tasks.core.nextflow.environment import Inherited
from tasks.core.paths import PipelinePaths

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
        script=pipeline.script,
        isolation=config.site.isolation,
        inherited=uncompared(Inherited.of(config.environment)))
    return step(name, doc, resolve, spec, needs=[spec.code, spec.runtime], makes=[spec.output])
