"""`prod:*`: on the offline host, from the store and the registry alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.settings import TOOL, Config
from tasks.core.engine.address import Engine
from tasks.core.graph.deferred import deferred, uncompared
from tasks.core.graph.step import Task, group, step
from tasks.core.graph.verbs import for_names
from tasks.core.net.network import Network
from tasks.core.nextflow.environment import Inherited, RunSettings
from tasks.core.nextflow.machine import Machine, this_machine
from tasks.core.paths import OfflinePaths, SitePaths
from tasks.offline_host import freshness, taken

with deferred():
    from tasks.offline_host import bootstrap, fetch, run, take


def tasks(config: Config) -> Iterator[Task]:
    """`prod:fetch:<pipeline>`, `prod:bootstrap:<pipeline>` and `prod:run:<pipeline>`."""
    yield group("prod", "bring the current release in, and run it",
                ["prod:fetch", "prod:bootstrap", "prod:run"])
    yield _take(config)
    machine, pulling = this_machine(config.environment), threading.Lock()
    own = "input" in config.variables or "params" in config.variables
    yield from for_names(config, {
        "prod:fetch": ("a release out of the store, checked", _fetch),
        "prod:bootstrap": ("all that the release needs on this host",
                           partial(_bootstrap, machine=machine, pulling=pulling)),
        "prod:run": ("the pipeline, offline", _run_own if own else _run),
    }, {name: name for name in config.names})


def _take(config: Config) -> Task:
    """Where from=DIR is given, before anything is fetched; else only when it is named."""
    given = config.variables.get("from")
    return step("prod:take", "a folder that was carried by disk, verified, into the store",
                take.take, take.TakeSpec(
                    carried=given, store=config.site.offline.store, into=_source(config)[1],
                    host=_host(config), back="release" in config.variables),
                always=True, recorded=False)


def _source(config: Config) -> tuple[StoreAt, Path | None]:
    """Where releases are read from, and the folder that carried files are put into."""
    given, store = config.variables.get("from"), config.site.offline.store
    return taken.source(given, store, SitePaths(site=config.site.name).carry) if given else (
        store, None)


def _host(config: Config) -> freshness.Host:
    site = config.site
    return freshness.Host(trust=site.offline.trust, identity=site.signing.identity,
                          seen=freshness.state_folder(site.name, config.environment))


def _fetch(name: str, doc: str, config: Config, pipeline: str) -> Task:
    site, given = config.site, config.variables
    at = OfflinePaths(site=site.name, pipeline=pipeline)
    return step(name, doc, fetch.fetch, fetch.FetchSpec(
        pipeline=pipeline, layout=at, store=_source(config)[0], host=_host(config), tool=TOOL,
        asked="tool" in given, release=given.get("release")),
        needs=[TOOL] if TOOL.is_file() else [], always=True, makes=[at.current],
        after=["prod:take"] if "from" in given else [])


def _bootstrap(name: str, doc: str, config: Config, pipeline: str, *, machine: Machine,
               pulling: threading.Lock) -> Task:
    """Steps that share `pulling` pull images one after the other."""
    site = config.site
    at = OfflinePaths(site=site.name, pipeline=pipeline)
    return step(name, doc, bootstrap.bootstrap, bootstrap.BootstrapSpec(
        pipeline=pipeline, layout=at, launch=at.launch.absolute(), trust=site.offline.trust,
        network=Network.of(config), engine=Engine.of(config.environment), machine=machine,
        pulling=uncompared(pulling)),
        needs=[at.current, *([at.images_receipt] if site.images.carry == "store" else [])],
        makes=[at.bootstrap])


def _run(name: str, doc: str, config: Config, pipeline: str) -> Task:
    at = OfflinePaths(site=config.site.name, pipeline=pipeline)
    return step(name, f"{doc}, on its test data", run.run_test, run.RunSpec(
        pipeline=pipeline, layout=at, settings=RunSettings.of(config.environment),
        inherited=uncompared(Inherited.of(config.environment))),
        needs=[at.bootstrap], makes=[at.run])


def _run_own(name: str, doc: str, config: Config, pipeline: str) -> Task:
    """Another run under the same name: the test run's success stays what it was."""
    at = OfflinePaths(site=config.site.name, pipeline=pipeline)
    return step(name, f"{doc}, on your own data", run.run_own, run.OwnRunSpec(
        pipeline=pipeline, layout=at, settings=RunSettings.of(config.environment),
        inherited=uncompared(Inherited.of(config.environment)),
        input=config.variables.get("input"), params=config.variables.get("params")),
        needs=[at.bootstrap], always=True, recorded=False)
