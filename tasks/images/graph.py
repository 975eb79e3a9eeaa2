"""What this room builds: the list of images, its lock, and the mirror with its receipt."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core.config import Config, Pipeline
from tasks.core.graph import Task, group, step
from tasks.core.layout import Layout
from tasks.core.registry.client import Access
from tasks.images.lock import LockSpec, lock_images
from tasks.images.mirror import MirrorSpec, PlanSpec, mirror_images, show_plan
from tasks.images.outdated import OutdatedSpec, show_outdated
from tasks.images.reference import Destination
from tasks.images.scan import ListSpec, list_images
from tasks.images.verify import VerifySpec, verify_images

VERBS = {
    "images:list": "every image that a process can use",
    "images:lock": "tags resolved to digests, once",
    "images:outdated": "which tags have moved at their source since they were locked",
    "images:plan": "what the registry holds, and what would move",
    "images:mirror": "the locked images in the organisation's registry",
    "images:verify": "whether the registry still holds them",
}


def tasks(config: Config) -> Iterator[Task]:
    """The room's tasks."""
    yield group("images", "images: list, lock and mirror",
                ["images:list", "images:lock", "images:mirror"])
    for verb, doc in VERBS.items():
        yield group(verb, doc)
        for pipeline in config.pipelines:
            yield _step(verb, config, pipeline)


def _step(verb: str, config: Config, pipeline: Pipeline) -> Task:
    site = config.site
    at = Layout(site=site.name, pipeline=pipeline.name)
    name, doc = f"{verb}:{pipeline.name}", VERBS[verb]
    lock = at.lock("images")
    access = Access(registries=site.registries, ca=site.registry.ca,
                    authfile=site.registry.authfile)
    destination = Destination(address=site.registry.address, prefix=site.registry.prefix,
                              repositories=site.registry.repositories)
    locks = tuple(Layout(site=site.name, pipeline=each).lock("images") for each in site.pipelines)
    if verb == "images:list":
        return step(name, doc, list_images, ListSpec(
            pipeline=pipeline.name, code=at.code, profile=pipeline.profile,
            given=pipeline.images, images=at.images, scan=at.images_scan),
            needs=[at.code], makes=[at.images, at.images_scan])
    if verb == "images:lock":
        return step(name, doc, lock_images, LockSpec(
            pipeline=pipeline.name, images=at.images, lock=lock, pinned=at.images_pinned,
            platform=site.platform, further=site.image_platforms, licences=site.licences,
            access=access, relock=config.relock),
            needs=[at.images], makes=[at.images_pinned], keeps=[lock],
            always=config.relock, servers=site.servers)
    if verb == "images:outdated":
        return step(name, doc, show_outdated, OutdatedSpec(
            pipeline=pipeline.name, lock=lock, access=access),
            needs=[at.images_pinned], look=True, servers=site.servers)
    if verb == "images:plan":
        return step(name, doc, show_plan, PlanSpec(
            pipeline=pipeline.name, lock=lock, locks=locks, receipt=at.images_receipt,
            report=at.images_plan, destination=destination, access=access),
            needs=[at.images_pinned], look=True, servers=site.servers)
    if verb == "images:mirror":
        return step(name, doc, mirror_images, MirrorSpec(
            pipeline=pipeline.name, lock=lock, receipt=at.images_receipt,
            destination=destination, access=access),
            needs=[lock, at.images_pinned], makes=[at.images_receipt], servers=site.servers)
    return step(name, doc, verify_images, VerifySpec(
        pipeline=pipeline.name, lock=lock, locks=locks, receipt=at.images_receipt,
        destination=destination, access=access),
        needs=[at.images_receipt], look=True, servers=site.servers)
