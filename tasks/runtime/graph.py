"""The Nextflow runtime of each pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tasks.core.config import Config, Nextflow, Site
from tasks.core.deferred import deferred, uncompared
from tasks.core.net import urls
from tasks.core.net.inside import Inside
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
        nextflow, version = pipeline.nextflow, pipeline.nextflow.version
        spec = Runtime(
            pipeline=pipeline.name, version=version, coordinates=nextflow.coordinates,
            dist=_dist(config.site, nextflow),
            archive=layout.runtime(version), sums=layout.runtime_sums(version),
            lock=layout.lock("runtime"), log=layout.log(f"runtime:{pipeline.name}"),
            relock=config.relock, repository=layout.of_site.maven,
            isolation=config.site.isolation, environment=uncompared(config.environment))
        source = "Maven" if spec.dist is None else "its -dist file"
        own = (Path(nextflow.dist).expanduser()
               if nextflow.dist and not urls.is_url(nextflow.dist) else None)
        yield step(f"runtime:{pipeline.name}", f"Nextflow {version}, from {source}",
                   build, spec, needs=[own] if own and own.is_file() else [],
                   makes=[spec.archive, spec.sums], keeps=[spec.lock],
                   always=config.relock,
                   servers=config.site.servers if spec.dist else config.site.packages)


def _dist(site: Site, nextflow: Nextflow) -> Dist | None:
    if nextflow.dist is None:
        return None
    return Dist(place=nextflow.dist, reached_at=urls.mapped(nextflow.dist, site.hosts.urls),
                sha256=nextflow.sha256, hosts=Inside(allowed=site.hosts.inside))
