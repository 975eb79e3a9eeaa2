"""`release`, `push` and `tool`: what is carried, signed, and brought into the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tasks.core.config import Config, Pipeline, Signing, Site, StoreAt
from tasks.core.deferred import deferred
from tasks.core.paths import MANIFEST, PipelinePaths, SitePaths
from tasks.core.step import Task, group, step
from tasks.release import places

with deferred():
    from tasks.release import push, release, sign, tool

PARTS = {
    "code": "the pipeline's code",
    "data": "test data and samplesheets",
    "plugins": "Nextflow's plugins",
    "runtime": "Nextflow itself",
    "smoke": "what the smoke run wrote",
    "release": "the signed list, then the pointer to it",
}


def tasks(config: Config) -> Iterator[Task]:
    """`release`, `release:sign` and `push:<part>` of each pipeline; `tool` with its own."""
    yield group("release", "the list of all that is carried")
    yield group("release:sign", "the signature of that list; alone opens the signing key")
    for pipeline in config.pipelines:
        yield _release(config.site, pipeline)
        yield _sign(config.site, pipeline)
    yield group("images:sign", "the signature of the archives that images:save makes")
    for pipeline in config.pipelines:
        yield _sign_images(config.site, pipeline)
    parts = {part: doc for part, doc in PARTS.items()
             if part != "smoke" or config.site.smokes}
    yield group("push", "the release into the store", [f"push:{part}" for part in parts])
    for part, doc in parts.items():
        yield group(f"push:{part}", f"into the store: {doc}")
        for pipeline in config.pipelines:
            yield _push(config.site, pipeline, part, doc)
    yield from _tool(config.site)


def _release(site: Site, pipeline: Pipeline) -> Task:
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    spec = release.ReleaseSpec(
        pipeline=pipeline.name, layout=at, runtime=pipeline.nextflow.version,
        profile=pipeline.profile, run=pipeline.run, platform=site.platform,
        carry=site.images.carry, smoke=site.smoke,
        configs=pipeline.configs is not None, own=at.own_names(), isolation=site.isolation)
    carried = [place for _, place in places.fixed(
        at, pipeline.nextflow.version, carry=site.images.carry, configs=spec.configs).values()]
    return step(f"release:{pipeline.name}", "the list of all that is carried",
                release.make, spec,
                needs=[*carried, *(at.own / name / MANIFEST for name in spec.own),
                       at.resolved, at.data_sums, at.runtime_sums(pipeline.nextflow.version),
                       at.lock("plugins")],
                makes=[at.release / name for name in places.LISTED])


def _sign(site: Site, pipeline: Pipeline) -> Task:
    """After the last step that runs the pipeline's code: what is signed is final by then."""
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    spec = sign.SignSpec(pipeline=pipeline.name, layout=at, store=site.store,
                         signing=site.signing)
    return step(f"release:sign:{pipeline.name}", "that list, signed as the current one",
                sign.sign_release, spec, needs=[at.release / name for name in places.LISTED],
                makes=[at.release / name for name in places.SIGNED], keeps=[site.signing.public],
                still=_still(site.signing, at.release / places.PROMOTION), servers=site.packages,
                after=[f"dev:smoke:{pipeline.name}"] if site.smokes else [])


def _still(signing: Signing, promotion: Path) -> Callable[[], bool] | None:
    """Whether a promotion needs no new signature yet; one without an end never does."""
    if signing.valid is None:
        return None

    def holds() -> bool:
        from tasks.release.sign import holds
        return holds(promotion)
    return holds


def _sign_images(site: Site, pipeline: Pipeline) -> Task:
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    spec = sign.SignImagesSpec(pipeline=pipeline.name, listed=at.archives / "SHA256SUMS",
                               signing=site.signing)
    return step(f"images:sign:{pipeline.name}", "the signature of its archives",
                sign.sign_images, spec, needs=[spec.listed], keeps=[site.signing.public],
                makes=[at.archives / "SHA256SUMS.sig"], asked=True, servers=site.packages)


def _push(site: Site, pipeline: Pipeline, part: str, doc: str) -> Task:
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    spec = push.PushSpec(pipeline=pipeline.name, part=part, layout=at, store=site.store)
    carried = places.fixed(at, pipeline.nextflow.version, carry=site.images.carry,
                           configs=pipeline.configs is not None).values()
    needs = [*(at.release / name for name in places.LISTED),
             *(place for kind, place in carried if kind in places.KINDS.get(part, ()))]
    action = push.push
    if part == "release":
        action = push.push_release
        needs += [*(at.release / name for name in places.SIGNED),
                  *(at.push_receipt(before) for before in places.BEFORE_RELEASE)]
    elif part == "smoke":
        action = push.push_smoke
        needs += [at.smoke / name for name in places.SMOKE]
    return step(f"push:{part}:{pipeline.name}", f"into the store: {doc}", action, spec,
                needs=needs, makes=[at.push_receipt(part)])


def _tool(site: Site) -> Iterator[Task]:
    at = SitePaths(site=site.name)
    spec = tool.ToolSpec(layout=at, platform=site.platform, python=site.python,
                         config=offline_site(site))
    unsigned = [at.tool / name for name in ("airlock.tar", "tool.json")]
    signed = [at.tool / name for name in ("airlock.tar.sig", *places.PROMOTED)]
    yield step("tool", "this project and its wheels", tool.make, spec,
               needs=places.sources(), makes=unsigned)
    yield step("tool:sign", "its signature, as the current tool", sign.sign_tool,
               sign.SignToolSpec(layout=at, store=site.store, signing=site.signing),
               needs=unsigned, makes=signed, keeps=[site.signing.public],
               still=_still(site.signing, at.tool / places.PROMOTION), servers=site.packages)
    yield step("push:tool", "into the store: this project and its wheels", tool.push,
               tool.PushToolSpec(layout=at, store=site.store), needs=[*unsigned, *signed],
               makes=[at.tool_receipt])


def offline_site(site: Site) -> dict[str, Any]:
    """The keys of the site's file that role=prod reads, or that its schema demands."""
    return {
        "pipelines": list(site.pipelines),
        "platform": site.platform,
        "python": list(site.python),
        "registry": {"host": site.registry.host, "port": site.registry.port},
        "plugins": {key: value for key, value in vars(site.plugins).items() if value},
        "store": _store(site.offline.store),
        "signing": {"key": str(site.signing.key), "identity": site.signing.identity},
        "offline": {"trust": str(site.offline.trust)},
        "images": {"carry": site.images.carry},
    }


def _store(at: StoreAt) -> dict[str, str]:
    keys = {"url": at.url, "endpoint": at.endpoint, "region": at.region}
    return {key: value for key, value in keys.items() if value is not None}
