"""The pipelines' data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tasks.core.config.settings import Config, Pipeline
from tasks.core.graph.deferred import deferred, uncompared
from tasks.core.graph.step import Task, step
from tasks.core.graph.verbs import for_pipelines
from tasks.core.net.network import Network
from tasks.core.paths import PipelinePaths

with deferred():
    from tasks.data.locked import bytes_missing
    from tasks.data.mirror import Mirror, PlanSpec, Selection, Source, mirror, show_plan
    from tasks.data.own_samplesheet import OwnSpec, mirror_own
    from tasks.data.references import Wish
    from tasks.data.sources import Reach


def tasks(config: Config) -> Iterator[Task]:
    """`mirror:data:<pipeline>`: sheets, manifest and lock; the files by digest in a cache.

    With input=SHEET it is the user's own data. `data:plan:<pipeline>` shows what the pipeline's
    would cost, and fetches nothing but sheets.
    """
    yield from for_pipelines(config, {
        "mirror:data": ("the pipelines' data, fetched and locked",
                        _mirror_own if "input" in config.variables else _mirror),
        "data:plan": ("what the data would cost", _plan),
    })


def _mirror(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
    spec = Mirror(
        pipeline=pipeline.name, selection=_selection(pipeline), source=_source(config, at),
        store=config.site.store.url, manifest=at.data_manifest, sums=at.data_sums,
        inputs=at.inputs, inputs_store=at.inputs_store)
    return step(name, doc, mirror, spec, needs=[spec.source.code, spec.source.resolved],
                makes=[spec.manifest, spec.sums, spec.inputs, spec.inputs_store],
                keeps=spec.source.lock.paths, always=config.relock, servers=config.site.servers,
                in_all=[f"space:{pipeline.name}"], moves=bytes_missing)


def _mirror_own(name: str, _doc: str, config: Config, pipeline: Pipeline) -> Task:
    """Another action under the same name: the test data's state stays what it was."""
    at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
    sheet = Path(config.variables["input"]).expanduser()
    return step(name, "your own data, fetched and locked", mirror_own, OwnSpec(
        pipeline=pipeline.name, sheet=sheet, source=_source(config, at, lock=f"own-{sheet.stem}"),
        folder=at.own / sheet.stem, limit=pipeline.data.limit, private=config.private),
        always=True, recorded=False, servers=config.site.servers)


def plan_spec(config: Config, pipeline: Pipeline) -> PlanSpec:
    """What is asked to know what the pipeline's data cost."""
    at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
    return PlanSpec(pipeline=pipeline.name, selection=_selection(pipeline),
                    source=_source(config, at), report=at.data_plan)


def _plan(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
    return step(name, doc, show_plan, plan_spec(config, pipeline),
        needs=[at.code, at.resolved], look=True, servers=config.site.servers)


def _selection(pipeline: Pipeline) -> Selection:
    references = pipeline.references
    return Selection(
        profile=pipeline.profile, samples=pipeline.data.rows, given=pipeline.params,
        references=Wish(genome=references.genome, attributes=references.attributes)
        if references else None, folders=pipeline.data.folders, limit=pipeline.data.limit)


def _source(config: Config, at: PipelinePaths, lock: str = "data") -> Source:
    hosts = config.site.hosts
    return Source(
        reach=Reach(prefixes=hosts.urls, buckets=hosts.buckets, folders=hosts.folders,
                    network=Network.of(config)),
        code=at.code, resolved=at.resolved, blobs=at.of_site.blobs, lock=at.locks(lock),
        relock=uncompared(config.relock))
