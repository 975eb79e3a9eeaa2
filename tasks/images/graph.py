"""What this room builds: the list of images, its lock, and the mirror with its receipt."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tasks.core.config.engines import FILES, REGISTRY, STORE
from tasks.core.config.settings import Config, Pipeline, Site
from tasks.core.graph.deferred import deferred, uncompared
from tasks.core.graph.step import Task, group, step
from tasks.core.graph.verbs import Verbs, for_pipelines
from tasks.core.net.network import Network
from tasks.core.nextflow.environment import Inherited
from tasks.core.paths import PipelinePaths, SitePaths

with deferred():
    from tasks.core.registry.client import Access
    from tasks.images.destination import Destination
    from tasks.images.image_files import FileSources
    from tasks.images.inspect import AskSpec, InspectSpec, inspect_images, list_asked
    from tasks.images.left import to_fetch, to_mirror
    from tasks.images.lock import LockSpec, lock_images
    from tasks.images.mirror import MirrorSpec, PlanSpec, mirror_images, show_plan
    from tasks.images.oci_layout import LayoutSpec, lay_out
    from tasks.images.outdated import OutdatedSpec, show_outdated
    from tasks.images.save import SaveSpec, save_images
    from tasks.images.scan import ListSpec, list_images
    from tasks.images.sif import SifSpec, make_sifs
    from tasks.images.verify import VerifySpec, verify_images


def tasks(config: Config) -> Iterator[Task]:
    """The room's tasks on the online side; offline_graph.py has that of the other."""
    carry = config.site.images.carry
    last = {STORE: "images:layout", FILES: "images:sif"}.get(carry, "images:mirror")
    yield group("images", "images: list, lock and what carries them across",
                ["images:list", "images:lock", last])
    asks_registry: Verbs[Pipeline] = {
        "images:plan": ("what the registry holds, and what would move", _plan),
        "images:mirror": ("the locked images in the organisation's registry", _mirror),
        "images:verify": ("whether the registry still holds them", _verify),
    }
    yield from for_pipelines(config, {
        "images:list": ("every image that a process can use", _list),
        "images:inspect": ("what the real `nextflow inspect` says beside the list", _inspect),
        "images:lock": ("tags resolved to digests, once", _lock),
        "images:outdated": ("which tags have moved at their source since they were locked",
                            _outdated),
        **(asks_registry if carry == REGISTRY else {}),
        "images:layout": ("the locked images on disk, as an OCI image layout", _layout),
        **({"images:sif": ("an image file (SIF) of each locked image", _sif)}
           if carry == FILES else
           {"images:save": ("an archive of each image, for `docker load` and `podman load`",
                            _save)}),
    })


def _list(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    """The code alone, but where that left something open: then what `nextflow inspect` needs."""
    at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
    configs = at.configs if pipeline.configs else None
    needs = [at.code, *([configs] if configs else [])]
    makes = [at.images, at.images_scan]
    if not at.images_unknown.is_file():
        return step(name, doc, list_images, ListSpec(
            pipeline=pipeline.name, code=at.code, profile=pipeline.profile, given=pipeline.images,
            images=at.images, scan=at.images_scan, unknown=at.images_unknown, configs=configs,
            script=pipeline.script, engine=config.site.offline.engine),
            needs=needs, makes=makes)
    asks = _asked(name, config, pipeline)
    return step(name, doc, list_asked, AskSpec(
        pipeline=pipeline.name, code=at.code, profile=pipeline.profile, given=pipeline.images,
        images=at.images, scan=at.images_scan, unknown=at.images_unknown, configs=configs,
        script=pipeline.script, engine=config.site.offline.engine, asks=asks), makes=makes,
        needs=[*needs, asks.runtime, asks.plugins, at.lock("plugins"), asks.data_manifest,
               at.inputs])


def _inspect(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
    spec = _asked(name, config, pipeline)
    return step(name, doc, inspect_images, spec, look=True,
                needs=[spec.code, spec.runtime, spec.plugins, at.lock("plugins"),
                       spec.data_manifest, at.inputs, spec.scan])


def _asked(name: str, config: Config, pipeline: Pipeline) -> InspectSpec:
    at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
    return InspectSpec(
        pipeline=pipeline.name, profile=pipeline.profile, code=at.code,
        runtime=at.runtime(pipeline.nextflow.version), plugins=at.plugins, scan=at.images_scan,
        data_manifest=at.data_manifest, blobs=at.of_site.blobs, log=at.log(name),
        script=pipeline.script, isolation=config.site.isolation, plugins_lock=at.lock("plugins"),
        engine=config.site.offline.engine,
        inherited=uncompared(Inherited.of(config.environment)))


def _lock(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    site = config.site
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    lock = at.locks("images")
    return step(name, doc, lock_images, LockSpec(
        pipeline=pipeline.name, images=at.images, lock=lock, merged=at.lock("images"),
        pinned=at.images_pinned,
        platform=site.platform, platforms=site.image_platforms, licences=site.images.licences,
        access=_access(config), relock=uncompared(config.relock), files=_files(config)),
        needs=[at.images], makes=[at.images_pinned, at.lock("images")], keeps=lock.paths,
        always=config.relock, servers=site.servers)


def _outdated(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
    return step(name, doc, show_outdated, OutdatedSpec(
        pipeline=pipeline.name, lock=at.lock("images"), access=_access(config)),
        needs=[at.images_pinned], look=True, servers=config.site.servers)


def plan_spec(config: Config, pipeline: Pipeline) -> PlanSpec:
    """What is asked to know what of the pipeline's images would move."""
    site = config.site
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    return PlanSpec(
        pipeline=pipeline.name, lock=at.lock("images"), locks=_locks(site.name, site.pipelines),
        receipt=at.images_receipt, report=at.images_plan, destination=destination(site),
        access=_access(config, with_destination=True))


def _plan(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
    spec = plan_spec(config, pipeline)
    return step(name, doc, show_plan, spec, needs=[at.images_pinned, spec.lock], look=True,
                servers=config.site.servers)


def _mirror(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    site = config.site
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    lock = at.lock("images")
    return step(name, doc, mirror_images, MirrorSpec(
        pipeline=pipeline.name, lock=lock, committed=at.locks("images"),
        receipt=at.images_receipt, labels=at.images_labels, destination=destination(site),
        access=_access(config, with_destination=True)),
        needs=[lock, at.images_pinned], makes=[at.images_receipt, at.images_labels],
        servers=site.servers, in_all=[f"space:{pipeline.name}"], moves=to_mirror)


def _verify(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    site = config.site
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    lock = at.lock("images")
    return step(name, doc, verify_images, VerifySpec(
        pipeline=pipeline.name, lock=lock, locks=_locks(site.name, site.pipelines),
        receipt=at.images_receipt, destination=destination(site), store=site.store,
        access=_access(config, with_destination=True)),
        needs=[at.images_receipt, lock], look=True, servers=site.servers)


def _layout(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    site, in_store = config.site, config.site.images.carry == STORE
    is_carried = site.images.carry != REGISTRY
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    lock = at.lock("images")
    return step(name, doc, lay_out, LayoutSpec(
        pipeline=pipeline.name, lock=lock, committed=at.locks("images"), index=at.oci_index,
        marker=at.oci_marker, blobs=at.of_site.blobs, receipt=at.images_receipt,
        labels=at.images_labels if is_carried else None,
        access=_access(config), destination=destination(site) if in_store else None,
        files=_files(config)),
        needs=[lock, at.images_pinned], servers=site.servers, asked=not is_carried,
        in_all=[f"space:{pipeline.name}"], moves=to_fetch,
        makes=[at.oci_index, at.oci_marker, *([at.images_receipt] if in_store else []),
               *([at.images_labels] if is_carried else [])])


def _sif(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    """Not where images go another way: an engine that pulls has no use for image files."""
    site = config.site
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    spec = SifSpec(pipeline=pipeline.name, lock=at.lock("images"), index=at.oci_index,
                   blobs=at.of_site.blobs, made=at.of_site.sifs, platform=site.platform,
                   output=at.sif_index)
    return step(name, doc, make_sifs, spec, needs=[spec.lock, spec.index], makes=[spec.output])


def _save(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    """Which archives there are is known only once the images are locked, so each run looks."""
    at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
    lock = at.lock("images")
    return step(name, doc, save_images, SaveSpec(
        pipeline=pipeline.name, lock=lock, index=at.oci_index, blobs=at.of_site.blobs,
        config=at.load_config, folder=at.archives), always=True,
        needs=[lock, at.oci_index, at.load_config],
        makes=[at.archives / "SHA256SUMS", *sorted(at.archives.glob("*.tar"))])


def destination(site: Site) -> Destination:
    """Where in the organisation's registry the site's images go."""
    own = site.own_registry
    return Destination(address=own.address, prefix=own.prefix, repositories=own.repositories,
                       connections=own.connections)


def _access(config: Config, *, with_destination: bool = False) -> Access:
    """How registries are reached: the public ones, and our own where a step asks it."""
    site, network = config.site, Network.of(config)
    if with_destination:
        own = (site.own_registry.address, *site.own_registry.repositories.values())
        network = network.naming(*(f"https://{address}" for address in own))
    return Access(registries=site.hosts.registries, ca=site.ca,
                  authfile=site.authfile, network=network)


def _files(config: Config) -> FileSources | None:
    """Where image files come from, where releases carry any."""
    site = config.site
    if site.images.carry != FILES:
        return None
    return FileSources(access=_access(config), blobs=SitePaths(site=site.name).blobs,
                       platform=site.platform, urls=site.hosts.urls)


@cache
def _locks(site: str, pipelines: tuple[str, ...]) -> tuple[Path, ...]:
    """The locks of all of a site's images: worked out once, not for each pipeline.

    Also of a pipeline that was not built here yet.
    """
    return tuple(path for name in pipelines
                 for path in PipelinePaths(site=site, pipeline=name).locks("images").paths)
