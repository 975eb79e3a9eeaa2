"""The pipelines' data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from tasks.core.config import Config, Pipeline
from tasks.core.deferred import deferred
from tasks.core.net.network import Network
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
    return Selection(
        profile=pipeline.profile, samples=pipeline.rows, given=pipeline.params,
        references=Wish(genome=pipeline.genome, attributes=pipeline.attributes)
        if pipeline.genome else None, folders=pipeline.folders, limit=pipeline.limit)


def _own(config: Config, pipeline: Pipeline, at: PipelinePaths) -> OwnSpec:
    sheet = Path(config.variables["input"]).expanduser()
    source = dataclasses.replace(_source(config, at),
                                 lock=at.lock(f"own-{sheet.stem}"))
    return OwnSpec(pipeline=pipeline.name, sheet=sheet, source=source,
                   folder=at.own / sheet.stem, limit=pipeline.limit, private=config.private)


def _source(config: Config, at: PipelinePaths) -> Source:
    return Source(
        reach=Reach(prefixes=config.site.urls, buckets=config.site.buckets,
                    folders=config.site.folders, network=Network.of(config)),
        code=at.code, resolved=at.resolved, blobs=at.of_site.blobs, lock=at.lock("data"),
        relock=config.relock)
