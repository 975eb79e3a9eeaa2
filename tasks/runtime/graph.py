"""The Nextflow runtime of each pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tasks.core.config.settings import Config, Nextflow, Pipeline
from tasks.core.graph.deferred import deferred, uncompared
from tasks.core.graph.step import Task, step
from tasks.core.graph.verbs import for_pipelines
from tasks.core.net import urls
from tasks.core.net.network import Network
from tasks.core.paths import PipelinePaths

with deferred():
    from tasks.runtime.build import Runtime, build
    from tasks.runtime.dist import Dist


def tasks(config: Config) -> Iterator[Task]:
    """`runtime:<pipeline>`: one archive with launcher and jars, and what is said of these."""
    yield from for_pipelines(config, {"runtime": ("the Nextflow runtimes", _runtime)})


def _runtime(name: str, _doc: str, config: Config, pipeline: Pipeline) -> Task:
    site, nextflow, version = config.site, pipeline.nextflow, pipeline.nextflow.version
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    spec = Runtime(
        pipeline=pipeline.name, version=version, coordinates=nextflow.coordinates,
        dist=_dist(config, nextflow), archive=at.runtime(version), sums=at.runtime_sums(version),
        jars=at.runtime_jars(version), lock=at.locks("runtime"), log=at.log(name),
        relock=uncompared(config.relock), repository=at.of_site.maven,
        central=_central(config, nextflow), isolation=site.isolation,
        environment=uncompared(config.environment))
    source = "Maven" if nextflow.dist is None else "its -dist file"
    own = (Path(nextflow.dist).expanduser()
           if nextflow.dist and not urls.is_url(nextflow.dist) else None)
    return step(name, f"Nextflow {version}, from {source}", build, spec,
                needs=[own] if own and own.is_file() else [],
                makes=[spec.archive, spec.sums, spec.jars],
                keeps=spec.lock.paths, always=config.relock,
                servers=site.packages if nextflow.dist is None else site.servers)


def _central(config: Config, nextflow: Nextflow) -> str | None:
    """The site's own place for Maven Central, where its file names one and Maven is asked."""
    place = urls.mapped(urls.MAVEN_CENTRAL, config.site.hosts.urls)
    return place if nextflow.dist is None and place != urls.MAVEN_CENTRAL else None


def _dist(config: Config, nextflow: Nextflow) -> Dist | None:
    if nextflow.dist is None:
        return None
    return Dist(place=nextflow.dist, sha256=nextflow.sha256, network=Network.of(config),
                reached_at=urls.mapped(nextflow.dist, config.site.hosts.urls))
