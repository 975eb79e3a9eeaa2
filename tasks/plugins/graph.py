"""The pipelines' plugins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from tasks.core.config.settings import Config, Pipeline
from tasks.core.graph import examples
from tasks.core.graph.deferred import deferred, uncompared
from tasks.core.graph.step import Task, group, step
from tasks.core.graph.verbs import for_pipelines
from tasks.core.net.network import Network
from tasks.core.paths import PipelinePaths

with deferred():
    from tasks.plugins.cache import Plugins, cache


def tasks(config: Config) -> Iterator[Task]:
    """`plugins:cache:<pipeline>`: what runs need in one archive, and their list."""
    yield group("plugins", "the pipelines' plugins", ["plugins:cache"])
    # The local site serves hello's plugin, which is built on this machine.
    after = ["sandbox:plugin"] if examples.asking(examples.HELLO, config) else []
    yield from for_pipelines(config, {
        "plugins:cache": ("the pipelines' plugins, fetched and locked",
                          partial(_cache, after=after))})


def _cache(name: str, doc: str, config: Config, pipeline: Pipeline, *,
           after: Sequence[str]) -> Task:
    site, version = config.site, pipeline.nextflow.version
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    spec = Plugins(
        pipeline=pipeline.name, nextflow=version, resolved=at.resolved, at=site.plugins,
        urls=site.hosts.urls, by_hand=pipeline.plugins, data_manifest=at.data_manifest,
        runtime=at.runtime(version), listed=at.plugins_list, archive=at.plugins,
        lock=at.locks("plugins"), merged=at.lock("plugins"), relock=uncompared(config.relock),
        network=Network.of(config))
    return step(name, doc, cache, spec, needs=[spec.resolved, spec.runtime, spec.data_manifest],
                makes=[spec.archive, spec.listed, spec.merged], keeps=spec.lock.paths,
                always=config.relock, after=after, servers=site.servers)
