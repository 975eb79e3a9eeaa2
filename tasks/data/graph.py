"""The pipelines' data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tasks.core.config import Config, Pipeline
from tasks.core.deferred import deferred
from tasks.core.net.inside import Inside
from tasks.core.paths import PipelinePaths
from tasks.core.step import Task, group, step

with deferred():
    from tasks.data.mirror import Mirror, PlanSpec, Selection, Source, mirror, show_plan
    from tasks.data.own import OwnSpec, mirror_own
    from tasks.data.references import Wish
    from tasks.data.sources import Reach


def tasks(config: Config) -> Iterator[Task]:
    """`mirror:data:<pipeline>`: sheets, manifest and lock; the files by digest in a cache.

    With input=SHEET it is the user's own data. `data:plan:<pipeline>` shows what the pipeline's
    would cost, and fetches nothing but sheets.
    """
    yield group("mirror:data", "the pipelines' data")
    for pipeline in config.pipelines:
        at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
        name = f"mirror:data:{pipeline.name}"
        if "input" in config.variables:
            # Another action under the same name: the test data's state stays what it was.
            yield step(name, "your own data, fetched and locked", mirror_own,
                       _own(config, pipeline, at), always=True, recorded=False,
                       servers=config.site.servers)
            continue
        spec = Mirror(
            pipeline=pipeline.name, selection=_selection(pipeline),
            source=_source(config, at), store=config.site.store.url,
            manifest=at.data_manifest, sums=at.data_sums, inputs=at.inputs,
            inputs_store=at.inputs_store)
        yield step(name, "the data, fetched and locked", mirror, spec,
                   needs=[spec.source.code, spec.source.resolved],
                   makes=[spec.manifest, spec.sums, spec.inputs, spec.inputs_store],
                   keeps=[spec.source.lock], always=config.relock,
                   servers=config.site.servers)
    yield group("data:plan", "what the data would cost")
    for pipeline in config.pipelines:
        at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
        name = f"data:plan:{pipeline.name}"
        shown = PlanSpec(pipeline=pipeline.name, selection=_selection(pipeline),
                         source=_source(config, at), report=at.data_plan)
        yield step(name, "what the data would cost", show_plan, shown, look=True,
                   needs=[shown.source.code, shown.source.resolved],
                   servers=config.site.servers)


def _selection(pipeline: Pipeline) -> Selection:
    references = pipeline.references
    return Selection(
        profile=pipeline.profile, samples=pipeline.data.rows, given=pipeline.params,
        references=Wish(genome=references.genome, attributes=references.attributes)
        if references else None, folders=pipeline.data.folders, limit=pipeline.data.limit)


def _own(config: Config, pipeline: Pipeline, at: PipelinePaths) -> OwnSpec:
    sheet = Path(config.variables["input"]).expanduser()
    return OwnSpec(pipeline=pipeline.name, sheet=sheet,
                   source=_source(config, at, lock=f"own-{sheet.stem}"),
                   folder=at.own / sheet.stem, limit=pipeline.data.limit, private=config.private)


def _source(config: Config, at: PipelinePaths, lock: str = "data") -> Source:
    hosts = config.site.hosts
    return Source(
        reach=Reach(prefixes=hosts.urls, buckets=hosts.buckets, folders=hosts.folders,
                    hosts=Inside(allowed=hosts.inside)),
        code=at.code, resolved=at.resolved, blobs=at.of_site.blobs, lock=at.lock(lock),
        relock=config.relock)
