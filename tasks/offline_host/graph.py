"""`prod:*`: on the offline host, from the store and the registry alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial

from tasks.core.config.settings import TOOL, Config
from tasks.core.engine.address import Engine
from tasks.core.graph.deferred import deferred, uncompared
from tasks.core.graph.step import Task, group, step
from tasks.core.graph.verbs import for_names
from tasks.core.net.network import Network
from tasks.core.nextflow.environment import Inherited, RunSettings
from tasks.core.nextflow.machine import Machine, this_machine
from tasks.core.paths import OfflinePaths
from tasks.offline_host import freshness

with deferred():
    from tasks.offline_host import bootstrap, fetch, run


def tasks(config: Config) -> Iterator[Task]:
    """`prod:fetch:<pipeline>`, `prod:bootstrap:<pipeline>` and `prod:run:<pipeline>`."""
    yield group("prod", "bring the current release in, and run it",
                ["prod:fetch", "prod:bootstrap", "prod:run"])
    machine, pulling = this_machine(config.environment), threading.Lock()
    own = "input" in config.variables or "params" in config.variables
    yield from for_names(config, {
        "prod:fetch": ("a release out of the store, checked", _fetch),
        "prod:bootstrap": ("all that the release needs on this host",
                           partial(_bootstrap, machine=machine, pulling=pulling)),
        "prod:run": ("the pipeline, offline", _run_own if own else _run),
    }, {name: name for name in config.names})


def _fetch(name: str, doc: str, config: Config, pipeline: str) -> Task:
    site, given = config.site, config.variables
    at = OfflinePaths(site=site.name, pipeline=pipeline)
    host = freshness.Host(trust=site.offline.trust, identity=site.signing.identity,
                          seen=freshness.state_folder(site.name, config.environment))
    return step(name, doc, fetch.fetch, fetch.FetchSpec(
        pipeline=pipeline, layout=at, store=site.offline.store, host=host, tool=TOOL,
        asked="tool" in given, release=given.get("release")),
        needs=[TOOL] if TOOL.is_file() else [], always=True, makes=[at.current])


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
    at, offline = OfflinePaths(site=config.site.name, pipeline=pipeline), config.site.offline
    return step(name, f"{doc}, on its test data", run.run_test, run.RunSpec(
        pipeline=pipeline, layout=at, settings=RunSettings.of(config.environment),
        inherited=uncompared(Inherited.of(config.environment)), runs=uncompared(offline.runs),
        key=uncompared(offline.key), tool=TOOL, command=uncompared(config.variables)),
        needs=[at.bootstrap], makes=[at.run])


def _run_own(name: str, doc: str, config: Config, pipeline: str) -> Task:
    """Another run under the same name: the test run's success stays what it was."""
    at, offline = OfflinePaths(site=config.site.name, pipeline=pipeline), config.site.offline
    return step(name, f"{doc}, on your own data", run.run_own, run.OwnRunSpec(
        pipeline=pipeline, layout=at, settings=RunSettings.of(config.environment),
        inherited=uncompared(Inherited.of(config.environment)), runs=uncompared(offline.runs),
        key=uncompared(offline.key), tool=TOOL, command=uncompared(config.variables),
        input=config.variables.get("input"), params=config.variables.get("params")),
        needs=[at.bootstrap], always=True, recorded=False)
