"""`config`: offline.config, from the mirror's receipt, the plugins' lock and hand-written toggles.

Where releases carry image files, sif.json takes the receipt's place.

`config:load` is the same for engines that have loaded what images:save writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.core import config_places
from tasks.core.config import engines
from tasks.core.config.settings import Config, Pipeline
from tasks.core.graph.deferred import deferred
from tasks.core.graph.step import Task, step
from tasks.core.graph.verbs import for_pipelines
from tasks.core.paths import PipelinePaths

with deferred():
    from tasks.offline_config import render

if TYPE_CHECKING:
    from tasks.offline_config.render import CommonSpec



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
    kind = config.site.offline.engine
    spec = render.RenderSpec(**_common(at, pipeline, kind), receipt=at.images_receipt,
                               output=at.offline_config, engine=kind)
    return step(name, doc, render.build, spec, needs=[*_needs(at, spec), spec.receipt],
                makes=[spec.output])


def _files(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
    kind = config.site.offline.engine
    spec = render.IndexSpec(**_common(at, pipeline, kind), index=at.sif_index,
                            output=at.offline_config)
    return step(name, doc, render.build_files, spec, needs=[*_needs(at, spec), spec.index],
                makes=[spec.output])


def _loaded(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
    spec = render.IndexSpec(
        **_common(at, pipeline, config.site.offline.engine),
        index=at.oci_index, output=at.load_config)
    return step(name, doc, render.build_loaded, spec, asked=True,
                needs=[*_needs(at, spec), spec.index], makes=[spec.output])


def _common(at: PipelinePaths, pipeline: Pipeline, kind: str) -> dict[str, Any]:
    """What each of the specs has, for an engine of this kind."""
    return {"pipeline": pipeline.name, "nextflow": pipeline.nextflow.version,
            "scan": at.images_scan, "toggles": config_places.offline_config(),
            "engine_toggles": config_places.engine(kind), "plugins": at.lock("plugins")}


def _needs(at: PipelinePaths, spec: CommonSpec) -> list[Path]:
    return [spec.scan, spec.toggles, spec.engine_toggles, at.lock("plugins"), at.plugins_list]
