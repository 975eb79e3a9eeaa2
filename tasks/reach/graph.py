"""`reach`: what a pipeline would still ask of the network when it runs, and what answers it."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core import config_places
from tasks.core.config.settings import Config, Pipeline
from tasks.core.graph.deferred import deferred
from tasks.core.graph.step import Task, step
from tasks.core.graph.verbs import for_pipelines
from tasks.core.paths import PipelinePaths

with deferred():
    from tasks.reach.reach import ReachSpec, reach



def tasks(config: Config) -> Iterator[Task]:
    """`reach:<pipeline>`."""
    yield from for_pipelines(config, {
        "reach": ("what would still reach out at run time, and what answers it", _reach)})


def _reach(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
    spec = ReachSpec(
        pipeline=pipeline.name, profile=pipeline.profile, code=at.code, resolved=at.resolved,
        data_manifest=at.data_manifest, plugins=at.plugins_list, output=at.reach,
        toggles=config_places.offline_config(),
        engine_toggles=config_places.engine(config.site.offline.engine))
    return step(name, doc, reach, spec,
                needs=[spec.code, spec.resolved, spec.data_manifest, spec.plugins, spec.toggles,
                       spec.engine_toggles],
                makes=[spec.output])
