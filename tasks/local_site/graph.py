"""What this room builds: nothing but the sandbox itself, hello's plugin, and the crossing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tasks.core.config.settings import Config, Pipeline
from tasks.core.graph import examples
from tasks.core.graph.deferred import deferred
from tasks.core.graph.step import Task, group, step
from tasks.core.graph.verbs import for_pipelines
from tasks.core.paths import PipelinePaths, SitePaths

with deferred():
    from tasks.local_site import cross, packages, servers
    from tasks.local_site.plan import SiteSpec


def tasks(config: Config) -> Iterator[Task]:
    """The room's tasks: none for a site without a sandbox."""
    site = config.site
    if site.sandbox is None:
        return
    sandbox = SitePaths(site=site.name).sandbox
    yield group("sandbox", "the local site's own servers, started", ["sandbox:up"])
    yield step("sandbox:packages", "Debian packages of the local site, installed or unpacked",
               packages.provide, packages.PackagesSpec(unpacked=sandbox / "packages",
                                                        kind=site.offline.engine), always=True)
    yield step("sandbox:up", "start the local site's servers that are not running", servers.up,
               SiteSpec(site=site, chromapipe=bool(examples.asking(examples.CHROMAPIPE, config))),
               always=True)
    yield step("sandbox:python", "images with Python for trials of Batch, on the local internet",
               servers.offer_python, SiteSpec(site=site), always=True, after=["sandbox:up"])
    yield step("sandbox:down", "end the local site's servers", servers.down, SiteSpec(site=site),
               always=True)
    yield step("sandbox:status", "what of the local site is running", servers.status,
               SiteSpec(site=site), look=True)
    yield from _plugin(config)
    yield from for_pipelines(config, {
        "sandbox:cross": ("the whole way: from the store to results on the offline host", _cross)})


def _cross(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    site = config.site
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)

    def ends(result: str | None) -> Iterable[str]:
        from tasks.local_site.ending import of_crossing
        return of_crossing(at)
    return step(name, doc, cross.cross, cross.CrossSpec(
        pipeline=pipeline.name, layout=at, key=site.signing.key, identity=site.signing.identity,
        store=site.store, offline_store=site.offline.store, trust=site.offline.trust,
        engine=config.environment.get("AIRLOCK_ENGINE"), kind=site.offline.engine),
        needs=[*(at.push_receipt(part) for part in ("release", "promote")),
               at.of_site.tool_receipt, at.of_site.tool / "airlock.tar.sig"], makes=[at.crossing],
        keeps=[site.signing.public], servers=["sandbox:up"], ends=ends)


def _plugin(config: Config) -> Iterator[Task]:
    """hello's plugin, where a pipeline asks for it; of which runtime's jars it is compiled against
    it has no trace.
    """
    at = SitePaths(site=config.site.name)
    served = at.sandbox / "internet/files/plugins"
    for pipeline in examples.asking(examples.HELLO, config)[:1]:
        from tasks.local_site import plugin
        runtime = PipelinePaths(site=at.site, pipeline=pipeline.name).runtime(
            pipeline.nextflow.version)
        yield step("sandbox:plugin", "hello's plugin and its index, on the local internet",
                   plugin.build, plugin.PluginSpec(runtime=runtime, folder=served),
                   needs=[runtime, *plugin.sources()],
                   makes=[plugin.index(served), plugin.archive(served)],
                   servers=["sandbox:packages"])
