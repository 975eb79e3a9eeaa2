"""`preflight`, `space`, `release:diff` and `report`: the steps that ask several rooms."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tasks.core import config_places
from tasks.core.config import engines
from tasks.core.config.settings import Config, Pipeline
from tasks.core.graph.deferred import deferred, uncompared
from tasks.core.graph.step import Task, step
from tasks.core.graph.verbs import for_pipelines
from tasks.core.net.network import Network
from tasks.core.paths import PipelinePaths, SitePaths
from tasks.data.graph import plan_spec as data_plan
from tasks.images.graph import destination
from tasks.images.graph import plan_spec as images_plan

with deferred():
    from tasks.commands.preflight import PreflightSpec, preflight
    from tasks.commands.release_diff import DiffSpec, diff
    from tasks.commands.release_now import NowSpec
    from tasks.commands.release_report import ReportSpec, report
    from tasks.commands.space import SpaceSpec, space
    from tasks.images.mirror import PlanSpec

NOW = "now"
"""What from= and to= call the release that would be made of what stands here."""
READ = ("release", "images:lock", "mirror:data", "plugins:cache", "config", "reach")
"""The steps whose files release:diff reads where they are fresh, and doesn't ask for elsewhere."""


def tasks(config: Config) -> Iterator[Task]:
    """Where everything is built, `preflight` comes first, and `space:<pipeline>` before all that
    moves much; `release:diff:<pipeline>` is asked before that, and `report:<pipeline>` comes last.
    """
    yield _preflight(config)
    yield from for_pipelines(config, {
        "space": ("what is to be fetched, and whether the disks have room", _space),
        "release:diff": ("what differs between two releases, or from what would be made now",
                         _diff),
        "report": ("what the promoted release is, as a page beside it in the store", _report)})


def _preflight(config: Config) -> Task:
    site, network = config.site, Network.of(config)
    is_asked = site.images.carry == engines.REGISTRY
    locks = [PipelinePaths(site=site.name, pipeline=name).lock("images") for name in config.names]
    spec = PreflightSpec(
        destination=destination(site) if is_asked else None, ca=site.ca,
        authfile=site.authfile, network=network,
        locks=tuple(locks), store=site.store, signing=site.signing,
        starts="./doit sandbox:up starts it" if site.sandbox else None)
    return step("preflight", "whether registry, login, store and signing key are as they must be",
                # The local site starts its own, and has them as they must be.
                preflight, spec, look=True, first=site.sandbox is None, servers=site.servers)


def _space(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    site = config.site
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    spec = SpaceSpec(
        pipeline=pipeline.name, images=_images(config, pipeline), lock=at.lock("images"),
        layout=None if site.images.carry == engines.REGISTRY else at.of_site.blobs,
        sifs=at.of_site.sifs if site.images.carry == engines.FILES else None,
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


def _diff(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    """Of what would be made now, no more is built than code, resolved config and images' lock."""
    site = config.site
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    before, after = config.variables.get("from"), config.variables.get("to", NOW)
    standing = {f"{verb}:{pipeline.name}": "" for verb in READ}
    asks = NOW in (before, after)
    spec = DiffSpec(
        pipeline=pipeline.name, layout=at, store=site.store, signing=site.signing,
        signers=at.of_site.trusted, before=before, after=after,
        now=_now(config, pipeline, standing) if asks else None)
    images = [] if at.images_unknown.is_file() else [at.images_scan, at.images_pinned]
    version = pipeline.nextflow.version
    return step(name, doc, diff, spec, look=True, standing=standing if asks else None,
                servers=site.servers if asks else site.packages,
                needs=[at.code, at.code_manifest, at.resolved, at.runtime(version), *images,
                       *([at.configs, at.configs_manifest] if pipeline.configs else [])]
                if asks else [])


def _report(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    """Asked by its name, it tells of what the store holds, and builds nothing."""
    site = config.site
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    return step(name, doc, report, ReportSpec(
        pipeline=pipeline.name, layout=at, store=site.store, signing=site.signing,
        trust=site.offline.trust, asked=config.variables.get("release")),
        makes=[at.report, at.report.with_suffix(".html")], always=True, servers=site.packages,
        keeps=[at.of_site.trusted, site.signing.public], ends=partial(_page, at=at),
        in_all=[f"release:promote:{pipeline.name}"])


def _page(_result: str | None, at: PipelinePaths) -> list[str]:
    page = at.report.with_suffix(".html")
    return [f"the release's page: {page}"] if page.is_file() else []


def _now(config: Config, pipeline: Pipeline, standing: dict[str, str]) -> NowSpec:
    site = config.site
    in_registry = site.images.carry == engines.REGISTRY
    return NowSpec(
        pipeline=pipeline.name, configs=pipeline.configs is not None, by_hand=pipeline.plugins,
        layout=PipelinePaths(site=site.name, pipeline=pipeline.name),
        toggles=config_places.offline_config(),
        engine=site.offline.engine, engine_toggles=config_places.engine(site.offline.engine),
        images=_images(config, pipeline), data=data_plan(config, pipeline),
        asks_registry=in_registry, standing=uncompared(standing), about={
            "nextflow": pipeline.nextflow.version, "profile": pipeline.profile,
            "run": pipeline.run, "platform": site.platform,
            "smoke": site.smoke if in_registry else "none", "isolation": site.isolation,
            **({} if site.images.carry == engines.FILES else
               {"registry": site.own_registry.address})})


def _images(config: Config, pipeline: Pipeline) -> PlanSpec | None:
    """What the registry is asked; nothing where releases carry image files."""
    return None if config.site.images.carry == engines.FILES else images_plan(config, pipeline)
