"""`space:<pipeline>`: the one step that asks several rooms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tasks.core.config.settings import Config, Pipeline
from tasks.core.graph.deferred import deferred
from tasks.core.graph.step import Task, step
from tasks.core.graph.verbs import for_pipelines
from tasks.core.paths import PipelinePaths, SitePaths
from tasks.data.graph import plan_spec as data_plan
from tasks.images.graph import plan_spec as images_plan

with deferred():
    from tasks.commands.space import SpaceSpec, space


def tasks(config: Config) -> Iterator[Task]:
    """`space:<pipeline>`, which comes before all that moves much, where everything is built."""
    yield from for_pipelines(config, {
        "space": ("what is to be fetched, and whether the disks have room", _space)})


def _space(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    site = config.site
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    spec = SpaceSpec(
        pipeline=pipeline.name, images=images_plan(config, pipeline),
        layout=at.of_site.blobs if site.images.carry == "store" else None,
        data=data_plan(config, pipeline), runtime=at.runtime(pipeline.nextflow.version),
        store=site.store.folder, near=_near(config))
    return step(name, doc, space, spec, look=True, servers=site.servers,
                needs=[at.lock("images"), at.images_pinned, at.code, at.resolved])


def _near(config: Config) -> tuple[Path, ...]:
    """Where the local site's registry and its engines keep images; nothing elsewhere."""
    if config.site.sandbox is None:
        return ()
    sandbox = SitePaths(site=config.site.name).sandbox
    engines = ("engine", "host") if config.site.smokes else ("host",)
    return (sandbox / "nexus", *(sandbox / name for name in engines))
