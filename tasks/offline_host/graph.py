"""`prod:*`: on the offline host, from the store and the registry alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from tasks.core import in_place
from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.engines import STORE
from tasks.core.config.settings import TOOL, Config
from tasks.core.engine import address
from tasks.core.graph.deferred import deferred, uncompared
from tasks.core.graph.step import Task, group, step
from tasks.core.graph.verbs import for_names
from tasks.core.net.network import Network
from tasks.core.nextflow.environment import OF_A_RUN, Inherited, RunSettings
from tasks.core.nextflow.machine import Machine, this_machine
from tasks.core.offline_paths import OfflinePaths
from tasks.core.paths import SitePaths
from tasks.offline_host import freshness, prune_graph, taken

with deferred():
    from tasks.offline_host import bootstrap, fetch, own_configs, run, submit, take


def tasks(config: Config) -> Iterator[Task]:
    """`prod:fetch:<pipeline>`, `prod:bootstrap:<pipeline>`, `prod:run:<pipeline>`; and
    `prod:submit:<pipeline>`."""
    yield group("prod", "bring the current release in, and run it",
                ["prod:fetch", "prod:bootstrap", "prod:run"])
    yield _take(config)
    machine = this_machine(config.environment)
    own = "input" in config.variables or "params" in config.variables
    yield from for_names(config, {
        "prod:fetch": ("a release out of the store, checked", _fetch),
        "prod:bootstrap": ("all that the release needs on this host",
                           partial(_bootstrap, machine=machine)),
        "prod:run": ("the pipeline, offline", _run_own if own else _run),
        "prod:submit": ("a run's head job as a batch script", _submit),
    }, {name: name for name in config.names})
    yield from prune_graph.tasks(config)


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
    return freshness.Host(trust=config.site.offline.trust, identity=config.site.signing.identity,
                          seen=_seen(config))


def _fetch(name: str, doc: str, config: Config, pipeline: str) -> Task:
    site, given = config.site, config.variables
    at = OfflinePaths(site=site.name, pipeline=pipeline)
    return step(name, doc, fetch.fetch, fetch.FetchSpec(
        pipeline=pipeline, layout=at, store=_source(config)[0], host=_host(config), tool=TOOL,
        asked="tool" in given, release=given.get("release"),
        hold=None if "hold" not in given else given["hold"] not in ("", "0"),
        library=site.offline.library, place=uncompared(in_place.shared(config.shared, at))),
        needs=[TOOL] if TOOL.is_file() else [], always=True, makes=[at.current],
        after=["prod:take"] if "from" in given else [])


def _seen(config: Config) -> Path:
    """The folder that remembers what this host has seen, and what it may not run."""
    return freshness.state_folder(config.site.name, config.environment)


def _bootstrap(name: str, doc: str, config: Config, pipeline: str, *, machine: Machine) -> Task:
    """It mends, too: each run starts it, and what is there stays."""
    site = config.site
    at = OfflinePaths(site=site.name, pipeline=pipeline)
    return step(name, doc, bootstrap.bootstrap, bootstrap.BootstrapSpec(
        pipeline=pipeline, layout=at, launch=at.launch.absolute(), trust=site.offline.trust,
        network=Network.of(config), machine=machine,
        engine=address.of_site(site.offline.engine, config.environment),
        place=uncompared(in_place.shared(config.shared, at)), kind=site.offline.engine,
        library=site.offline.library),
        needs=[at.current, *([at.images_receipt] if site.images.carry == STORE else [])],
        makes=[at.bootstrap], mends=True)


def _run(name: str, doc: str, config: Config, pipeline: str) -> Task:
    """With other settings it is another run, which leaves this one's success as it was."""
    at, offline = OfflinePaths(site=config.site.name, pipeline=pipeline), config.site.offline
    place = in_place.shared(config.shared, at)
    is_plain = not {"profile", "config"} & config.variables.keys()
    return step(name, f"{doc}, on its test data", run.run_test, run.RunSpec(
        pipeline=pipeline, layout=at, seen=uncompared(_seen(config)),
        settings=RunSettings.of(config.environment),
        inherited=uncompared(Inherited.of(config.environment)), runs=uncompared(offline.runs),
        key=uncompared(offline.key), tool=TOOL, command=uncompared(config.variables),
        place=uncompared(place), own_configs=_own_configs(config),
        library=uncompared(offline.library)),
        needs=[at.bootstrap], makes=[at.run], on=place.digest, always=not is_plain,
        recorded=is_plain, ends=partial(_ends, at=at, runs=offline.runs))


def _run_own(name: str, doc: str, config: Config, pipeline: str) -> Task:
    """Another run under the same name: the test run's success stays what it was."""
    at, offline = OfflinePaths(site=config.site.name, pipeline=pipeline), config.site.offline
    return step(name, f"{doc}, on your own data", run.run_own, run.OwnRunSpec(
        pipeline=pipeline, layout=at, seen=uncompared(_seen(config)),
        settings=RunSettings.of(config.environment),
        inherited=uncompared(Inherited.of(config.environment)), runs=uncompared(offline.runs),
        key=uncompared(offline.key), tool=TOOL, command=uncompared(config.variables),
        place=uncompared(in_place.shared(config.shared, at)), own_configs=_own_configs(config),
        library=uncompared(offline.library), input=config.variables.get("input"),
        params=config.variables.get("params")),
        needs=[at.bootstrap], always=True, recorded=False,
        ends=partial(_ends, at=at, runs=offline.runs))


def _ends(result: str | None, *, at: OfflinePaths, runs: Path) -> Iterable[str]:
    from tasks.offline_host.ending import of_run
    return of_run(result, at, runs)


def _submit(name: str, doc: str, config: Config, pipeline: str) -> Task:
    """Where this machine has no engine, too: the node bootstraps that the job comes to."""
    at, environment = OfflinePaths(site=config.site.name, pipeline=pipeline), config.environment
    return step(name, doc, submit.submit, submit.SubmitSpec(
        pipeline=pipeline, layout=at, here=Path().absolute(), seen=_seen(config),
        path=uncompared(Inherited.of(environment).path), variables=uncompared(config.variables),
        environment=uncompared({name: environment[name] for name in OF_A_RUN
                                if name in environment}),
        own_configs=_own_configs(config), library=config.site.offline.library,
        place=uncompared(in_place.shared(config.shared, at))),
        needs=[at.current], makes=[at.submit], always=True, recorded=False)


def _own_configs(config: Config) -> own_configs.OwnConfigs:
    """What `profile=` and `config=` name, each a list with commas."""
    def listed(name: str) -> list[str]:
        return list(filter(None, map(str.strip, config.variables.get(name, "").split(","))))

    return own_configs.OwnConfigs(profiles=tuple(listed("profile")), configs=tuple(
        Path(place).expanduser().absolute() for place in listed("config")))
