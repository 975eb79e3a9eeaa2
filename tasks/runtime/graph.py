"""The Nextflow runtime of each pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tasks.core.config import Config, Pipeline
from tasks.core.deferred import deferred
from tasks.core.net import urls
from tasks.core.net.network import Network
from tasks.core.paths import PipelinePaths
from tasks.core.step import Task, group, step

with deferred():
    from tasks.runtime.build import Runtime, build
    from tasks.runtime.dist import Dist


def tasks(config: Config) -> Iterator[Task]:
    """`runtime:<pipeline>`: one archive with launcher and jars."""
    yield group("runtime", "the Nextflow runtimes")
    for pipeline in config.pipelines:
        layout = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
        spec = Runtime(
            pipeline=pipeline.name, version=pipeline.runtime, coordinates=pipeline.coordinates,
            dist=_dist(config, pipeline),
            archive=layout.runtime(pipeline.runtime), sums=layout.runtime_sums(pipeline.runtime),
            lock=layout.lock("runtime"), log=layout.log(f"runtime:{pipeline.name}"),
            relock=config.relock, repository=layout.of_site.maven,
            isolation=config.site.isolation)
        source = "Maven" if spec.dist is None else "its -dist file"
        own = (Path(pipeline.dist).expanduser()
               if pipeline.dist and not urls.is_url(pipeline.dist) else None)
        yield step(f"runtime:{pipeline.name}", f"Nextflow {pipeline.runtime}, from {source}",
                   build, spec, needs=[own] if own and own.is_file() else [],
                   makes=[spec.archive, spec.sums], keeps=[spec.lock],
                   always=config.relock,
                   servers=config.site.servers if spec.dist else config.site.packages)


def _dist(config: Config, pipeline: Pipeline) -> Dist | None:
    if pipeline.dist is None:
        return None
    return Dist(place=pipeline.dist, reached_at=urls.mapped(pipeline.dist, config.site.urls),
                sha256=pipeline.dist_sha256, network=Network.of(config))
