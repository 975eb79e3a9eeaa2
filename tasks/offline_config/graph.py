"""`config`: offline.config, from the mirror's receipt, the plugins' lock and hand-written toggles.

Where releases carry image files, sif.json takes the receipt's place.

`config:load` is the same for engines that have loaded what images:save writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tasks.core.config import engines
from tasks.core.config.settings import Config, Pipeline
from tasks.core.graph.deferred import deferred
from tasks.core.graph.step import Task, step
from tasks.core.graph.verbs import for_pipelines
from tasks.core.paths import PipelinePaths

with deferred():
    from tasks.offline_config import render

TOGGLES = Path("config/offline.config")


def tasks(config: Config) -> Iterator[Task]:
    """`config:<pipeline>`, and `config:load:<pipeline>` for an engine that loads archives."""
    what = "offline.config: images by digest, for every process"
    yield from for_pipelines(config, {"config": (what, _files)} if (
        config.site.images.carry == engines.FILES) else {
        "config": (what, _config),
        "config:load": ("offline.load.config: images by the names of loaded archives", _loaded),
    })


def _config(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
    spec = render.RenderSpec(
        pipeline=pipeline.name, nextflow=pipeline.nextflow.version, scan=at.images_scan,
        receipt=at.images_receipt, toggles=TOGGLES, output=at.offline_config,
        engine=config.site.offline.engine, plugins=at.lock("plugins"),
        engine_toggles=engines.toggles(config.site.offline.engine))
    return step(name, doc, render.build, spec, needs=[
        spec.scan, spec.receipt, spec.toggles, spec.engine_toggles, at.lock("plugins"),
        at.plugins_list], makes=[spec.output])


def _files(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
    spec = render.FilesSpec(
        pipeline=pipeline.name, nextflow=pipeline.nextflow.version, scan=at.images_scan,
        index=at.sif_index, toggles=TOGGLES, output=at.offline_config,
        plugins=at.lock("plugins"), engine_toggles=engines.toggles(config.site.offline.engine))
    return step(name, doc, render.build_files, spec, needs=[
        spec.scan, spec.index, spec.toggles, spec.engine_toggles, at.lock("plugins"),
        at.plugins_list], makes=[spec.output])


def _loaded(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
    spec = render.LoadedSpec(
        pipeline=pipeline.name, nextflow=pipeline.nextflow.version, scan=at.images_scan,
        index=at.oci_index, toggles=TOGGLES, output=at.load_config, plugins=at.lock("plugins"),
        engine_toggles=engines.toggles(config.site.offline.engine))
    return step(name, doc, render.build_loaded, spec, asked=True, needs=[
        spec.scan, spec.index, spec.toggles, spec.engine_toggles, at.lock("plugins"),
        at.plugins_list], makes=[spec.output])
