"""`preflight` and `space:<pipeline>`: the steps that ask several rooms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tasks.core.config.settings import Config, Pipeline
from tasks.core.graph.deferred import deferred
from tasks.core.graph.step import Task, step
from tasks.core.graph.verbs import for_pipelines
from tasks.core.net.network import Network
from tasks.core.paths import PipelinePaths, SitePaths
from tasks.data.graph import plan_spec as data_plan
from tasks.images.graph import destination
from tasks.images.graph import plan_spec as images_plan

with deferred():
    from tasks.commands.preflight import PreflightSpec, preflight
    from tasks.commands.space import SpaceSpec, space


def tasks(config: Config) -> Iterator[Task]:
    """Where everything is built, `preflight` comes first, and `space:<pipeline>` before all that
    moves much."""
    yield _preflight(config)
    yield from for_pipelines(config, {
        "space": ("what is to be fetched, and whether the disks have room", _space)})


def _preflight(config: Config) -> Task:
    site, network = config.site, Network.of(config)
    is_asked = site.images.carry == "registry"
    locks = [PipelinePaths(site=site.name, pipeline=name).lock("images") for name in config.names]
    spec = PreflightSpec(
        destination=destination(site) if is_asked else None, ca=site.registry.ca,
        authfile=site.registry.authfile, network=network,
        locks=tuple(locks), store=site.store, signing=site.signing,
        starts="./doit sandbox:up starts it" if site.sandbox else None)
    return step("preflight", "whether registry, login, store and signing key are as they must be",
                preflight, spec, look=True, first=True, servers=site.servers)


def _space(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    site = config.site
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    spec = SpaceSpec(
        pipeline=pipeline.name, images=images_plan(config, pipeline),
        layout=at.of_site.blobs if site.images.carry == "store" else None,
        data=data_plan(config, pipeline), runtime=at.runtime(pipeline.nextflow.version),
        store=site.store.folder, near=_near(config))
    return step(name, doc, space, spec, look=True, servers=site.servers,
                needs=[at.lock("images"), at.images_pinned, at.code, at.resolved])


def _near(config: Config) -> tuple[Path, ...]:
    """Where the local site's registry and its engines keep images; nothing elsewhere."""
    if config.site.sandbox is None:
        return ()
    sandbox = SitePaths(site=config.site.name).sandbox
    engines = ("engine", "host") if config.site.smokes else ("host",)
    return (sandbox / "nexus", *(sandbox / name for name in engines))
