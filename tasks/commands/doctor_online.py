"""What `doit doctor` looks at on the online side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from tasks.core.config import engines
from tasks.core.config.settings import Config, Pipeline
from tasks.core.engine.address import Engine
from tasks.core.findings import OK, Finding
from tasks.core.net import urls
from tasks.core.net.network import Network
from tasks.core.nextflow.environment import Inherited
from tasks.core.paths import PipelinePaths, SitePaths
from tasks.doctor import disk, engine, key, machine, registry, sources, stores
from tasks.doctor.checks import Check
from tasks.doctor.registry import RegistrySpec

START = "./doit sandbox:up starts it"
"""Of the local site's own servers."""


def checks(config: Config) -> list[Check]:
    """All checks, in the order in which they are shown."""
    site = config.site
    return [
        *_registries(config),
        Check(name="store", look=lambda: stores.written(site.store)),
        Check(name="key", look=lambda: key.key(_key(config)),
              cure="see that ssh-agent answers, where it holds the key"),
        Check(name="git", look=lambda: machine.git(needed=[
            pipeline.name for pipeline in config.pipelines if _by_git(pipeline)])),
        _engine(config),
        Check(name="java", look=lambda: machine.java_for(
            _nextflow(config.pipelines), Inherited.of(config.environment))),
        *(Check(name="nextflow", look=partial(_runtime, config, pipeline))
          for pipeline in config.pipelines),
        Check(name="plugins", look=lambda: sources.plugins(
            site.plugins, START if site.sandbox else None)),
        *(Check(name="code", look=partial(sources.code, pipeline, site.hosts.urls))
          for pipeline in config.pipelines),
        Check(name="isolation", look=lambda: machine.namespaces(site.isolation)),
        Check(name="disk", look=lambda: [disk.room(SitePaths(site=site.name).root,
                                                   "what is built")]),
        Check(name="proxies", look=lambda: [sources.proxies(_asked(config), config.environment)]),
        Check(name="python", look=lambda: machine.python(())),
    ]


def _registries(config: Config) -> Iterator[Check]:
    """The site's registry, and those places of source hosts that are others."""
    site = config.site
    if site.images.carry == engines.FILES:
        none = Finding(check="registry", status=OK,
                       text="releases carry image files, so no registry is asked")
        yield Check(name="registry", look=lambda: [none])
        return
    if site.images.carry == engines.STORE:
        yield Check(name="registry",
                    look=lambda: [registry.not_asked(site.own_registry.address)])
        return
    places = dict.fromkeys([(site.own_registry.address, site.own_registry.prefix), *(
        (place.partition("/")[0], place.partition("/")[2])
        for place in site.own_registry.repositories.values())])
    network = Network(inside=Network.of(config).inside)
    for address, path in places:
        spec = RegistrySpec(address=address, path=path, ca=site.ca,
                            authfile=site.authfile, network=network, pushes=True,
                            starts=START if site.sandbox else None)
        yield Check(name="registry", look=partial(registry.registry, spec))


def _key(config: Config) -> key.KeySpec:
    at = SitePaths(site=config.site.name)
    folder = at.sandbox / "host/trust" if config.site.sandbox else at.trust
    return key.KeySpec(
        signing=config.site.signing, pipelines=config.names, allowed=folder / "allowed_signers",
        laid_by="./doit sandbox:cross lays it there" if config.site.sandbox
        else f"./doit site {config.site.name} lays it ready")


def _engine(config: Config) -> Check:
    site = config.site
    if not site.smokes:
        none = Finding(check="engine", status=OK,
                       text="there is no smoke run on this site, so no engine is asked")
        return Check(name="engine", look=lambda: [none])
    spec = engine.EngineSpec(
        engine=Engine.of(config.environment, site.engine), platform=site.platform,
        registry=site.own_registry.address, authfile=site.authfile, pulls=True,
        without="; or leave the smoke run out: `smoke: none` in the site's file",
        starts=START if site.sandbox else None)
    return Check(name="engine", look=lambda: engine.engine(spec),
                 cure="look at the engine's log, and restart it")


def _by_git(pipeline: Pipeline) -> bool:
    return not (pipeline.code.is_folder or pipeline.code.is_archive)


def _nextflow(pipelines: Iterable[Pipeline]) -> dict[str, list[str]]:
    """Pipelines by the version of Nextflow that they run with."""
    by_version: dict[str, list[str]] = {}
    for pipeline in pipelines:
        by_version.setdefault(pipeline.nextflow.version, []).append(pipeline.name)
    return by_version


def _runtime(config: Config, pipeline: Pipeline) -> Iterator[Finding]:
    at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
    return sources.nextflow(pipeline, at.runtime(pipeline.nextflow.version),
                            config.site.hosts.urls)


def _asked(config: Config) -> list[str]:
    """URLs of all that this side asks, as far as the configuration names it."""
    site = config.site
    store = [site.store.endpoint or "https://s3.amazonaws.com"] if site.store.url.startswith(
        "s3:") else []
    own = [f"https://{site.registry.address}"] if site.registry else []
    return [*own, *store, urls.mapped(urls.MAVEN_CENTRAL, site.hosts.urls),
            *filter(None, (site.plugins.index, site.plugins.registry)),
            *(site.hosts.registries.values() or ("https://quay.io", "https://registry-1.docker.io")),
            *(pipeline.source for pipeline in config.pipelines if "://" in pipeline.source)]
