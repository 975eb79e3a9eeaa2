"""What this room builds: the list of images, its lock, and the mirror with its receipt."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tasks.core.config import Config, Pipeline, Site
from tasks.core.deferred import deferred, uncompared
from tasks.core.net.inside import Inside
from tasks.core.nextflow.environment import Inherited
from tasks.core.paths import OfflinePaths, PipelinePaths
from tasks.core.step import Task, group, step

with deferred():
    from tasks.core.registry.client import Access
    from tasks.images.destination import Destination
    from tasks.images.inspect import InspectSpec, inspect_images
    from tasks.images.load import LoadSpec, load_images
    from tasks.images.lock import LockSpec, lock_images
    from tasks.images.mirror import MirrorSpec, PlanSpec, mirror_images, show_plan
    from tasks.images.oci_layout import LayoutSpec, lay_out
    from tasks.images.outdated import OutdatedSpec, show_outdated
    from tasks.images.save import SaveSpec, save_images
    from tasks.images.scan import ListSpec, list_images
    from tasks.images.verify import VerifySpec, verify_images

VERBS = {
    "images:list": "every image that a process can use",
    "images:inspect": "what the real `nextflow inspect` says beside the list",
    "images:lock": "tags resolved to digests, once",
    "images:outdated": "which tags have moved at their source since they were locked",
    "images:plan": "what the registry holds, and what would move",
    "images:mirror": "the locked images in the organisation's registry",
    "images:verify": "whether the registry still holds them",
    "images:layout": "the locked images on disk, as an OCI image layout",
    "images:save": "an archive of each image, for `docker load` and `podman load`",
}
ACROSS = ("images:plan", "images:mirror", "images:verify")
"""What asks the organisation's registry, where it spans the gap."""


def tasks(config: Config) -> Iterator[Task]:
    """The room's tasks; on the offline host images:load alone, where releases carry images."""
    in_store = config.site.images.carry == "store"
    if config.role == "prod":
        if in_store:
            yield from _load(config)
        return
    last = "images:layout" if in_store else "images:mirror"
    yield group("images", "images: list, lock and what carries them across",
                ["images:list", "images:lock", last])
    for verb, doc in VERBS.items():
        if in_store and verb in ACROSS:
            continue
        yield group(verb, doc)
        for pipeline in config.pipelines:
            yield MAKERS.get(verb, _step)(verb, config, pipeline)


def _load(config: Config) -> Iterator[Task]:
    doc = "the registry filled from the release"
    yield group("images:load", doc)
    for name in config.names:
        at = OfflinePaths(site=config.site.name, pipeline=name)
        yield step(f"images:load:{name}", doc, load_images,
                   LoadSpec(pipeline=name, layout=at, trust=config.site.offline.trust),
                   needs=[at.current], makes=[at.images_receipt])


def _destination(site: Site) -> Destination:
    return Destination(address=site.registry.address, prefix=site.registry.prefix,
                       repositories=site.registry.repositories)


def _access(site: Site, *, with_destination: bool = False) -> Access:
    """How registries are reached: the public ones, and our own where a step asks it."""
    own = (site.registry.address, *site.registry.repositories.values()) if with_destination else ()
    return Access(registries=site.hosts.registries, ca=site.registry.ca,
                  authfile=site.registry.authfile, hosts=_hosts(site.hosts.inside, own))


@cache
def _hosts(inside: tuple[str, ...], own: tuple[str, ...]) -> Inside:
    """What may be asked of the inner network; worked out once, not for each pipeline."""
    return Inside(allowed=inside).naming(*(f"https://{address}" for address in own))


@cache
def _locks(site: str, pipelines: tuple[str, ...]) -> tuple[Path, ...]:
    """The locks of all of a site's images: worked out once, not for each pipeline."""
    return tuple(PipelinePaths(site=site, pipeline=name).lock("images") for name in pipelines)


def _step(verb: str, config: Config, pipeline: Pipeline) -> Task:
    site = config.site
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    name, doc = f"{verb}:{pipeline.name}", VERBS[verb]
    lock = at.lock("images")
    access, both = _access(site), _access(site, with_destination=True)
    destination = _destination(site)
    if verb == "images:list":
        return step(name, doc, list_images, ListSpec(
            pipeline=pipeline.name, code=at.code, profile=pipeline.profile,
            given=pipeline.images, images=at.images, scan=at.images_scan),
            needs=[at.code], makes=[at.images, at.images_scan])
    if verb == "images:lock":
        return step(name, doc, lock_images, LockSpec(
            pipeline=pipeline.name, images=at.images, lock=lock, pinned=at.images_pinned,
            platform=site.platform, further=site.image_platforms, licences=site.images.licences,
            access=access, relock=config.relock),
            needs=[at.images], makes=[at.images_pinned], keeps=[lock],
            always=config.relock, servers=site.servers)
    if verb == "images:outdated":
        return step(name, doc, show_outdated, OutdatedSpec(
            pipeline=pipeline.name, lock=lock, access=access),
            needs=[at.images_pinned], look=True, servers=site.servers)
    locks = _locks(site.name, site.pipelines)
    if verb == "images:plan":
        return step(name, doc, show_plan, PlanSpec(
            pipeline=pipeline.name, lock=lock, locks=locks, receipt=at.images_receipt,
            report=at.images_plan, destination=destination, access=both),
            needs=[at.images_pinned, lock], look=True, servers=site.servers)
    if verb == "images:mirror":
        return step(name, doc, mirror_images, MirrorSpec(
            pipeline=pipeline.name, lock=lock, receipt=at.images_receipt,
            destination=destination, access=both),
            needs=[lock, at.images_pinned], makes=[at.images_receipt], servers=site.servers)
    return step(name, doc, verify_images, VerifySpec(
        pipeline=pipeline.name, lock=lock, locks=locks, receipt=at.images_receipt,
        destination=destination, access=both),
        needs=[at.images_receipt, lock], look=True, servers=site.servers)


def _layout(verb: str, config: Config, pipeline: Pipeline) -> Task:
    site, in_store = config.site, config.site.images.carry == "store"
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    lock = at.lock("images")
    return step(f"{verb}:{pipeline.name}", VERBS[verb], lay_out, LayoutSpec(
        pipeline=pipeline.name, lock=lock, index=at.oci_index, marker=at.oci_marker,
        blobs=at.of_site.blobs, receipt=at.images_receipt,
        access=_access(site),
        destination=_destination(site) if in_store else None),
        needs=[lock, at.images_pinned], servers=site.servers, asked=not in_store,
        makes=[at.oci_index, at.oci_marker, *([at.images_receipt] if in_store else [])])


def _save(verb: str, config: Config, pipeline: Pipeline) -> Task:
    """Which archives there are is known only once the images are locked, so each run looks."""
    at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
    lock = at.lock("images")
    return step(f"{verb}:{pipeline.name}", VERBS[verb], save_images, SaveSpec(
        pipeline=pipeline.name, lock=lock, index=at.oci_index, blobs=at.of_site.blobs,
        config=at.load_config, folder=at.archives), always=True,
        needs=[lock, at.oci_index, at.load_config],
        makes=[at.archives / "SHA256SUMS", *sorted(at.archives.glob("*.tar"))])


def _inspect(verb: str, config: Config, pipeline: Pipeline) -> Task:
    at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
    spec = InspectSpec(
        pipeline=pipeline.name, profile=pipeline.profile, code=at.code,
        runtime=at.runtime(pipeline.nextflow.version), plugins=at.plugins, scan=at.images_scan,
        data_manifest=at.data_manifest, blobs=at.of_site.blobs,
        log=at.log(f"images:inspect:{pipeline.name}"), isolation=config.site.isolation,
        inherited=uncompared(Inherited.of(config.environment)))
    return step(f"{verb}:{pipeline.name}", VERBS[verb], inspect_images, spec, look=True,
                needs=[spec.code, spec.runtime, spec.plugins, spec.data_manifest, at.inputs,
                       spec.scan])


MAKERS = {"images:inspect": _inspect, "images:layout": _layout, "images:save": _save}
