"""The pipelines' plugins."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core.config import Config
from tasks.core.deferred import deferred
from tasks.core.net.inside import Inside
from tasks.core.paths import PipelinePaths
from tasks.core.step import Task, group, step

with deferred():
    from tasks.plugins.cache import Plugins, cache


def tasks(config: Config) -> Iterator[Task]:
    """`plugins:cache:<pipeline>`: what runs need in one archive, and their list."""
    yield group("plugins", "the pipelines' plugins", ["plugins:cache"])
    yield group("plugins:cache", "the pipelines' plugins, fetched and locked")
    sandbox = config.site.sandbox is not None
    # The local site serves hello's plugin, which is built on this machine.
    served = sandbox and any(pipeline.name == "hello" for pipeline in config.pipelines)
    for pipeline in config.pipelines:
        layout = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
        spec = Plugins(
            pipeline=pipeline.name, nextflow=pipeline.nextflow.version, resolved=layout.resolved,
            at=config.site.plugins, urls=config.site.hosts.urls, by_hand=pipeline.plugins,
            data_manifest=layout.data_manifest, runtime=layout.runtime(pipeline.nextflow.version),
            listed=layout.plugins_list, archive=layout.plugins, lock=layout.lock("plugins"),
            relock=config.relock, hosts=Inside(allowed=config.site.hosts.inside))
        yield step(f"plugins:cache:{pipeline.name}", "the plugins, fetched and locked",
                   cache, spec, needs=[spec.resolved, spec.runtime, spec.data_manifest],
                   makes=[spec.archive, spec.listed], keeps=[spec.lock], always=config.relock,
                   after=["sandbox:plugin"] if served else [],
                   servers=config.site.servers)
