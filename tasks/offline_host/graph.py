"""`prod:*`: on the offline host, from the store and the registry alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from tasks.core.config import TOOL, Config
from tasks.core.deferred import deferred, uncompared
from tasks.core.engine.address import Engine
from tasks.core.nextflow.environment import Inherited, RunSettings
from tasks.core.nextflow.machine import this_machine
from tasks.core.paths import OfflinePaths
from tasks.core.step import Task, group, step
from tasks.offline_host import freshness

with deferred():
    from tasks.offline_host import bootstrap, fetch, run


def tasks(config: Config) -> Iterator[Task]:
    """`prod:fetch:<pipeline>`, `prod:bootstrap:<pipeline>` and `prod:run:<pipeline>`."""
    yield group("prod", "bring the current release in, and run it",
                ["prod:fetch", "prod:bootstrap", "prod:run"])
    yield group("prod:fetch", "a release out of the store, checked")
    yield group("prod:bootstrap", "all that the release needs on this host")
    yield group("prod:run", "the pipeline, offline")
    pulling = threading.Lock()
    for name in config.names:
        yield from _pipeline(config, name, pulling)


def _pipeline(config: Config, name: str, pulling: threading.Lock) -> Iterator[Task]:
    site, given = config.site, config.variables
    at = OfflinePaths(site=site.name, pipeline=name)
    host = freshness.Host(trust=site.offline.trust, identity=site.signing.identity,
                          seen=freshness.state_folder(site.name, config.environment))
    yield step(f"prod:fetch:{name}", "a release out of the store, checked", fetch.fetch,
               fetch.FetchSpec(pipeline=name, layout=at, store=site.offline.store, host=host,
                               tool=TOOL, asked="tool" in given, release=given.get("release")),
               always=True, makes=[at.current])
    yield step(f"prod:bootstrap:{name}", "all that the release needs on this host",
               bootstrap.bootstrap,
               bootstrap.BootstrapSpec(
                   pipeline=name, layout=at, launch=at.launch.absolute(),
                   trust=site.offline.trust, engine=Engine.of(config.environment),
                   machine=this_machine(config.environment), pulling=uncompared(pulling)),
               needs=[at.current, *([at.images_receipt] if site.images.carry == "store" else [])],
               makes=[at.bootstrap])
    started: dict[str, Any] = {
        "pipeline": name, "layout": at, "settings": RunSettings.of(config.environment),
        "inherited": uncompared(Inherited.of(config.environment))}
    if "input" in given or "params" in given:
        own = run.OwnRunSpec(**started, input=given.get("input"), params=given.get("params"))
        # Another run under the same name: the test run's success stays what it was.
        yield step(f"prod:run:{name}", "the pipeline on your own data, offline", run.run_own, own,
                   needs=[at.bootstrap], always=True, recorded=False)
    else:
        yield step(f"prod:run:{name}", "the pipeline on its test data, offline", run.run_test,
                   run.RunSpec(**started), needs=[at.bootstrap], makes=[at.run])
