"""What this room builds: nothing but the sandbox itself, hello's plugin, and the crossing."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core.config import Config
from tasks.core.graph import Task, group, step
from tasks.core.layout import Layout, SiteLayout
from tasks.sandbox import packages, plugin, servers
from tasks.sandbox.plan import SiteSpec


def tasks(config: Config) -> Iterator[Task]:
    """The room's tasks: none for a site without a sandbox."""
    site = config.site
    if site.sandbox is None:
        return
    sandbox = SiteLayout(site=site.name).sandbox
    yield group("sandbox", "the local site's own servers, started", ["sandbox:up"])
    yield step("sandbox:packages", "Debian packages of the local site, installed or unpacked",
               packages.provide, packages.PackagesSpec(unpacked=sandbox / "packages"), always=True)
    yield step("sandbox:up", "start the local site's servers that are not running", servers.up,
               SiteSpec(site=site), always=True, after=["sandbox:packages"])
    yield step("sandbox:down", "end the local site's servers", servers.down, SiteSpec(site=site),
               always=True)
    yield step("sandbox:status", "what of the local site is running", servers.status,
               SiteSpec(site=site), look=True)
    for each in config.pipelines:
        if each.name == "hello":
            served = sandbox / "internet/files/plugins"
            runtime = Layout(site=site.name, pipeline=each.name).runtime(each.runtime)
            yield step("sandbox:plugin", "hello's plugin and its index, on the local internet",
                       plugin.build, plugin.PluginSpec(runtime=runtime, folder=served),
                       needs=[runtime, *plugin.sources()], makes=[plugin.index(served)],
                       servers=["sandbox:packages"])
