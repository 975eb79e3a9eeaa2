"""`release`, `push` and `tool`: what is carried, signed, and brought into the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from tasks.core.config import engines
from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.image_settings import Registry
from tasks.core.config.settings import Config, Pipeline, Site
from tasks.core.graph.deferred import deferred, uncompared
from tasks.core.graph.step import Task, group, step
from tasks.core.graph.verbs import MakeStep, Verbs, for_pipelines
from tasks.core.net import urls
from tasks.core.paths import MANIFEST, PipelinePaths, SitePaths
from tasks.release import places, prune_graph

with deferred():
    from tasks.release import approve, back, history, promote, push, release, sign, tool
    from tasks.release.push import PushSpec


def tasks(config: Config) -> Iterator[Task]:
    """`release`, `release:sign` and `push:<part>` of each pipeline; `tool` with its own."""
    yield from for_pipelines(config, {
        "release": ("the list of all that is carried", _release),
        "release:sign": ("that list, signed", _sign),
        **({} if config.site.images.carry == engines.FILES else {
            "images:sign": ("the signature of the archives that images:save makes",
                            _sign_images)}),
    })
    pushes: Verbs[Pipeline] = {
        "push:code": ("into the store: the pipeline's code", _push_part("code")),
        "push:data": ("into the store: test data and samplesheets", _push_part("data")),
        "push:plugins": ("into the store: Nextflow's plugins", _push_part("plugins")),
        "push:runtime": ("into the store: Nextflow itself", _push_part("runtime")),
        **({"push:smoke": ("into the store: what the smoke run wrote", _push_smoke)}
           if config.site.smokes and not config.unproven else {}),
        "push:release": ("into the store: the signed list", _push_release),
    }
    yield group("push", "the release into the store", pushes)
    yield from for_pipelines(config, pushes)
    yield from for_pipelines(config, {
        "release:promote": ("the pushed release made the current one, once it is proven", _promote),
        "release:approve": ("a second person's signature over what was promoted", _approve),
        "release:list": ("what the store holds of its releases, and which is current", _list),
        "release:back": ("an older release made the current one again", _back),
        "release:withdraw": ("a release that no host may run any more", _withdraw),
    })
    yield from _tool(config)
    yield from prune_graph.tasks(config)


def _release(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    site, version = config.site, pipeline.nextflow.version
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    spec = release.ReleaseSpec(
        pipeline=pipeline.name, layout=at, runtime=version, profile=pipeline.profile,
        run=pipeline.run, platform=site.platform, carry=site.images.carry, smoke=site.smoke,
        configs=pipeline.configs is not None, own=at.own_names(), isolation=site.isolation)
    carried = [place for _, place in places.fixed(
        at, version, carry=site.images.carry, configs=spec.configs).values()
        if place != at.images_carried]
    return step(name, doc, release.make, spec,
                needs=[*carried, *(at.own / own / MANIFEST for own in spec.own),
                       at.data_sums, at.runtime_sums(version), at.lock("images"),
                       at.lock("plugins")],
                makes=[*(at.release / file for file in places.LISTED), at.images_carried])


def _sign(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    site = config.site
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    return step(name, doc, sign.sign_release, sign.SignSpec(
        pipeline=pipeline.name, layout=at, signing=site.signing),
        needs=[at.release / file for file in places.LISTED],
        makes=[at.release / places.SEAL], keeps=[site.signing.public], servers=site.packages)


def _promote(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    """Looks at the store each time, where others promote as well.

    A validation or smoke run that failed keeps the release from becoming current.
    """
    site = config.site
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    checks = [] if config.unproven else [f"dev:validate:{pipeline.name}", *(
        [f"dev:smoke:{pipeline.name}"] if site.smokes else [])]

    def left(failed: Sequence[str]) -> str | None:
        from tasks.release.promote import left_behind
        return left_behind(at, failed)
    return step(name, doc, promote.promote_release, promote.PromoteSpec(
        pipeline=pipeline.name, layout=at, store=site.store, signing=site.signing,
        no_smoke=_no_smoke(site), unproven=config.unproven, after=config.after),
        needs=[*(at.release / file for file in places.SEALED), at.push_receipt("release"),
               *([at.smoke / "smoke.log", at.smoke / "trace.txt"] if checks[1:] else [])],
        makes=[at.push_receipt("promote")], always=True, servers=site.packages,
        keeps=[at.promoted, at.validate, at.of_site.trusted, site.signing.public], checks=checks,
        left=left, ends=None if site.sandbox else _next)


def _next(result: str | None) -> list[str]:
    """What comes behind the first line of what was returned: where to go on, and with what."""
    return (result or "").split("\n")[1:]


def _no_smoke(site: Site) -> str | None:
    """Why there is no smoke run, where there is none."""
    if site.smokes:
        return None
    if site.smoke == "none":
        return "the site has no smoke run"
    if site.images.carry == engines.FILES:
        return (f"the release carries image files for {site.offline.engine}, which no engine on "
                "this side runs")
    return "the store carries the images, so no engine on this side can pull them"


def _approve(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    site = config.site
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    return step(name, doc, approve.approve_release, approve.ApproveSpec(
        pipeline=pipeline.name, layout=at, store=site.store, signing=site.signing,
        name=config.variables.get("release"), after=config.after), always=True,
        servers=site.packages)


def _list(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    site = config.site
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    return step(name, doc, history.show, history.HistorySpec(
        pipeline=pipeline.name, layout=at, store=site.store, signing=site.signing), look=True)


def _back(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    site, given = config.site, config.variables
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    return step(name, doc, back.go_back, back.BackSpec(
        pipeline=pipeline.name, layout=at, store=site.store, signing=site.signing,
        to=given.get("to"), reason=given.get("reason"), after=config.after), look=True)


def _withdraw(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    site, given = config.site, config.variables
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    return step(name, doc, back.withdraw, back.WithdrawSpec(
        pipeline=pipeline.name, layout=at, store=site.store, signing=site.signing,
        id=given.get("id"), reason=given.get("reason")), look=True)


def _sign_images(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    site = config.site
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    spec = sign.SignImagesSpec(pipeline=pipeline.name, listed=at.archives / "SHA256SUMS",
                               signing=site.signing)
    return step(name, doc, sign.sign_images, spec, needs=[spec.listed],
                keeps=[site.signing.public], makes=[at.archives / "SHA256SUMS.sig"], asked=True,
                servers=site.packages)


def _push_part(part: str) -> MakeStep[Pipeline]:
    def push_part(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
        return _push(name, doc, push.push, config, pipeline, part)
    return push_part


def _push_smoke(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
    return _push(name, doc, push.push_smoke, config, pipeline, "smoke",
                 [at.smoke / file for file in places.SMOKE])


def _push_release(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    """Last of all: what it names is in the store by then.

    It looks each time: a prune may have taken what was pushed once.
    """
    at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
    return _push(name, doc, push.push_release, config, pipeline, "release", [
        at.release / places.SEAL, *(at.push_receipt(part) for part in places.BEFORE_RELEASE)],
        always=True)


def _push(name: str, doc: str, action: Callable[[PushSpec], str], config: Config,
          pipeline: Pipeline, part: str, needs: Sequence[Path] = (), *,
          always: bool = False) -> Task:
    site = config.site
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    carried = _carried(at.site, at.pipeline, pipeline.nextflow.version, site.images.carry,
                       pipeline.configs is not None)
    spec = PushSpec(pipeline=pipeline.name, part=part, layout=at, store=site.store)
    return step(name, doc, action, spec, makes=[at.push_receipt(part)], always=always,
                moves=push.bytes_left if part in places.KINDS else None,
                needs=[*(at.release / file for file in places.LISTED), *needs,
                       *(place for kind, place in carried
                         if kind in places.KINDS.get(part, ()))])


@cache
def _carried(site: str, pipeline: str, runtime: str, carry: str,
             configs: bool) -> tuple[tuple[str, Path], ...]:
    """Kind and place of what a release has: worked out once, not for each part that is pushed."""
    return tuple(places.fixed(PipelinePaths(site=site, pipeline=pipeline), runtime, carry=carry,
                              configs=configs).values())


def _tool(config: Config) -> Iterator[Task]:
    site = config.site
    at = SitePaths(site=site.name)
    spec = tool.ToolSpec(layout=at, platform=site.platform, python=site.python,
                         carry=site.images.carry, config=offline_site(site),
                         index=uncompared(urls.pypi(site.hosts.urls, config.environment)))
    unsigned = [at.tool / name for name in ("airlock.tar", "tool.json")]
    seal = at.tool / "airlock.tar.sig"
    yield step("tool", "this project and its wheels", tool.make, spec,
               needs=places.top(), makes=unsigned)
    yield step("tool:sign", "its signature", sign.sign_tool,
               sign.SignToolSpec(layout=at, signing=site.signing), needs=unsigned, makes=[seal],
               keeps=[site.signing.public], servers=site.packages)
    yield step("push:tool", "into the store: this project and its wheels, as the current tool",
               tool.push, tool.PushToolSpec(layout=at, store=site.store, signing=site.signing,
                                            after=config.after),
               needs=[*unsigned, seal], makes=[at.tool_receipt], always=True,
               keeps=[at.tool_promoted, at.trusted, site.signing.public], servers=site.packages,
               ends=None if site.sandbox else partial(_copied, store=site.offline.store.url))
    yield step("tool:approve", "a second person's signature over the promoted tool",
               approve.approve_tool, approve.ApproveToolSpec(
                   layout=at, store=site.store, signing=site.signing, after=config.after),
               always=True, servers=site.packages)


def _copied(result: str | None, *, store: str) -> list[str]:
    """Where a host that has no tool yet gets it from, by the id that the step's line begins with.
    """
    name = (result or "").rpartition("\n")[2].partition(" ")[0]
    return [f"a host without this tool copies it first: tool/{name} in {store}"] if name else []


def offline_site(site: Site) -> dict[str, Any]:
    """The keys of the site's file that role=prod reads, or that its schema demands."""
    return {
        "pipelines": list(site.pipelines),
        "platform": site.platform,
        "python": list(site.python),
        **_registry(site.registry),
        "plugins": {key: value for key, value in vars(site.plugins).items() if value},
        "store": _store(site.offline.store),
        # This key isn't read there; its place differs between colleagues, and the tool must not.
        "signing": {"key": "on-the-online-side", "identity": site.signing.identity},
        "offline": {"engine": site.offline.engine, "trust": str(site.offline.trust),
                    "runs": str(site.offline.runs), **{
                        key: str(place) for key, place in (("library", site.offline.library),
                                                           ("key", site.offline.key)) if place}},
        "images": {"carry": site.images.carry},
        "prune": {"recent": f"{site.prune.recent // 3600} hours"},
    }


def _registry(at: Registry | None) -> dict[str, Any]:
    if at is None:
        return {}
    return {"registry": {"host": at.host, **({} if at.port is None else {"port": at.port})}}


def _store(at: StoreAt) -> dict[str, str]:
    keys = {"url": at.url, "endpoint": at.endpoint, "region": at.region}
    return {key: value for key, value in keys.items() if value is not None}
