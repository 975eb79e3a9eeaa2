"""`config`: offline.config, from the mirror's receipt and the hand-written toggles.

`config:load` is the same for engines that have loaded what images:save writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tasks.core.config import Config
from tasks.core.deferred import deferred
from tasks.core.paths import PipelinePaths
from tasks.core.step import Task, group, step

with deferred():
    from tasks.offline_config import render

TOGGLES = Path("config/offline.config")


def tasks(config: Config) -> Iterator[Task]:
    """`config:<pipeline>`."""
    yield group("config", "offline.config: images by digest, for every process")
    for pipeline in config.pipelines:
        at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
        spec = render.RenderSpec(pipeline=pipeline.name, nextflow=pipeline.nextflow.version,
                                 scan=at.images_scan, receipt=at.images_receipt,
                                 toggles=TOGGLES, output=at.offline_config)
        yield step(f"config:{pipeline.name}", "offline.config: images by digest", render.build,
                   spec, needs=[spec.scan, spec.receipt, spec.toggles], makes=[spec.output])
    yield group("config:load", "offline.load.config: images by the names of loaded archives")
    for pipeline in config.pipelines:
        at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
        loaded = render.LoadedSpec(pipeline=pipeline.name, nextflow=pipeline.nextflow.version,
                                   scan=at.images_scan, index=at.oci_index, toggles=TOGGLES,
                                   output=at.load_config)
        yield step(f"config:load:{pipeline.name}", "offline.load.config: images by name",
                   render.build_loaded, loaded, asked=True,
                   needs=[loaded.scan, loaded.index, loaded.toggles], makes=[loaded.output])
