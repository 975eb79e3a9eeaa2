"""images:plan and images:mirror: the locked images brought to the destination, and read back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tasks.core import files
from tasks.core.errors import ImageError, RegistryError
from tasks.core.registry.client import Access, Manifest, Registries, Registry, uploading
from tasks.images import convert
from tasks.images import plan as planning
from tasks.images.locked import Image, read_lock
from tasks.images.plan import BlobMove, ImageMove, Plan, Present
from tasks.images.progress import Progress
from tasks.images.reference import Destination, Reference, refuse_shared_homes

THREADS = 8
T = TypeVar("T")
R = TypeVar("R")


class Source(Protocol):
    """What holds images by repository: a registry, or a layout on disk."""

    def blob(self, path: str, digest: str, size: int) -> AbstractContextManager[Iterator[bytes]]:
        """The blob's bytes as they come; they end with IntegrityError where they aren't it."""

    def manifest(self, path: str, reference: str) -> Manifest:
        """A manifest by its digest."""


class Sources(Protocol):
    """Where images come from, by the host in their references."""

    def at(self, host: str) -> Source:
        """What holds the images of this host."""


@dataclass(frozen=True, kw_only=True)
class PlanSpec:
    """What images:plan reads: the receipt where there is one, and the locks of the whole site.

    `report` is where the plan is written for programs.
    """

    pipeline: str
    lock: Path
    locks: tuple[Path, ...]
    receipt: Path
    report: Path
    destination: Destination
    access: Access


@dataclass(frozen=True, kw_only=True)
class MirrorSpec:
    """What images:mirror reads and writes."""

    pipeline: str
    lock: Path
    receipt: Path
    destination: Destination
    access: Access


def show_plan(spec: PlanSpec) -> str:
    """Print what is there, what would move and why; nothing is changed at the destination."""
    registries = Registries(spec.access)
    images = convert.as_held(registries, read_lock(spec.lock), spec.destination, spec.receipt)
    elsewhere = [image for path in spec.locks if path.is_file() for image in read_lock(path)]
    refuse_shared_homes([image.source for image in (*images, *elsewhere)], spec.destination)
    made = planning.make(images, survey(registries, images, spec.destination), spec.destination)
    files.write_json(spec.report, planning.as_json(made, spec.destination))
    print(planning.table(made, spec.destination), end="", flush=True)
    return planning.summary(made, spec.destination)


def mirror_images(spec: MirrorSpec) -> str:
    """Move what the destination lacks, read everything back, and write the receipt of it."""
    locked = read_lock(spec.lock)
    registries = Registries(spec.access)
    addresses = planning.addresses(locked, spec.destination)
    for address in addresses:
        registries.at(address).ping()
    images = convert.as_held(registries, locked, spec.destination, spec.receipt)
    made = planning.make(images, survey(registries, images, spec.destination), spec.destination)
    mirror = Mirror(registries, registries, spec.destination)
    mirror.carry_out(made, title=f"mirror {spec.pipeline}")
    converted = mirror.convert(made, locked, spec.receipt.parent)
    images = [converted.get(image.source, image) for image in images]
    each_of(lambda image: read_back(registries, image, spec.destination), images)
    files.write_json(spec.receipt, receipt(images, spec.destination))
    moved = sum(not move.held_by for move in made.blobs)
    return (f"{len(images)} images at {' and '.join(addresses)}; {files.human_size(made.size)} "
            f"moved in {moved} blobs" + (f", {len(converted)} converted" if converted else ""))


def each_of(function: Callable[[T], R], values: Sequence[T]) -> list[R]:
    """The results of a function over values, several at a time; the first fault ends it."""
    with ThreadPoolExecutor(THREADS, thread_name_prefix="mirror") as pool:
        futures = [pool.submit(function, value) for value in values]
        try:
            done, left = wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        for future in left:
            future.cancel()
        for future in done:
            if not future.cancelled() and (error := future.exception()):
                raise error
    return [future.result() for future in futures]


def survey(registries: Registries, images: Sequence[Image], destination: Destination) -> Present:
    """What the destination holds of these images, by HEAD requests alone."""
    def ask(name: str) -> tuple[Registry, str]:
        address, _, path = name.partition("/")
        return registries.at(address), path

    def digest(pair: tuple[str, str]) -> str | None:
        target, path = ask(pair[0])
        return target.manifest_digest(path, pair[1])

    def size(pair: tuple[str, str]) -> int | None:
        target, path = ask(pair[0])
        return target.blob_size(path, pair[1])

    names = [(destination.repository(image.source), image) for image in images]
    manifests = sorted({(name, each) for name, image in names for each in image.manifests})
    tags = sorted({(name, image.source.tag) for name, image in names if image.source.tag})
    blobs = sorted({(name, blob.digest) for name, image in names for blob in image.all_blobs})
    found = each_of(digest, [*manifests, *tags])
    digests, means = found[:len(manifests)], found[len(manifests):]
    sizes = each_of(size, blobs)
    return Present(
        manifests=frozenset(pair for pair, digest in zip(manifests, digests, strict=True)
                            if pair[1] == digest),
        tags={pair: digest for pair, digest in zip(tags, means, strict=True) if digest},
        blobs={pair: size for pair, size in zip(blobs, sizes, strict=True) if size is not None})


class Mirror:
    """Carries out a plan: blobs first, then manifests, so that no manifest is ever incomplete."""

    def __init__(self, sources: Sources, targets: Registries, destination: Destination) -> None:
        self._sources, self._targets, self._destination = sources, targets, destination

    def carry_out(self, plan: Plan, *, title: str) -> None:
        with Progress(title, sum(move.moved for move in plan.blobs)) as progress:
            self._progress = progress
            each_of(self._blob, plan.blobs)
        each_of(self._image, [move for move in plan.images if move.put])

    def convert(self, plan: Plan, locked: Sequence[Image], folder: Path) -> dict[Reference, Image]:
        """Put the images that can't stay as they are, and return them as the far side has them."""
        originals = {image.source: image for image in locked}
        moves = [move for move in plan.images if move.is_to_convert]

        def one(move: ImageMove) -> Image:
            image = originals[move.image.source]
            return convert.carry(self._sources.at(image.source.host), self._target(move), image,
                                 move.repository, folder / f"converting-{image.manifest[-12:]}")

        return {image.source: image for image in each_of(one, moves)}

    def _target(self, move: ImageMove) -> Registry:
        return self._targets.at(self._destination.registry(move.image.source))

    def _blob(self, move: BlobMove) -> None:
        """Upload once, then mount into the other repositories.

        Another pipeline's mirror, under way at the same time, may have brought the blob since the
        survey, into this repository or into another one.
        """
        target = self._targets.at(move.address)
        with uploading(target, move.digest) as known:
            holder = move.held_by or known.held_by
            for repository in move.repositories:
                if holder is None or not target.mount(repository, move.digest, holder):
                    if target.blob_size(repository, move.digest) != move.size:
                        self._upload(repository, move, None if move.held_by else self._progress)
                    holder = repository
            known.held_by = holder

    def _upload(self, repository: str, move: BlobMove, progress: Progress | None) -> None:
        source_at = self._sources.at(move.source.host)

        @contextmanager
        def source() -> Iterator[Iterator[bytes]]:
            with source_at.blob(move.source.path, move.digest, move.size) as chunks:
                yield _counted(chunks, progress)

        self._targets.at(move.address).upload(repository, move.digest, move.size, source)

    def _image(self, move: ImageMove) -> None:
        """Put the manifests by digest and tag, with the source's own bytes."""
        image, target = move.image, self._target(move)
        for digest, references in move.put:
            manifest = (target.manifest(move.repository, digest) if image.converted_from else
                        self._sources.at(image.source.host).manifest(image.source.path, digest))
            for reference in references:
                if target.put_manifest(move.repository, reference, manifest):
                    continue
                self._repair(move, target)
                if not target.put_manifest(move.repository, reference, manifest):
                    raise RegistryError(f"{target.host} has no place for {image.source}: it "
                                        "misses a blob that was just uploaded",
                                        where=move.repository, todo="see the registry's log; its "
                                        "blob store may be damaged")

    def _repair(self, move: ImageMove, target: Registry) -> None:
        """Upload everything: a HEAD said that a blob is there, and the registry lacks it."""
        for blob in move.image.all_blobs:
            self._upload(move.repository, BlobMove(
                digest=blob.digest, size=blob.size, source=move.image.source,
                address=target.host, repositories=(move.repository,), held_by=None), None)


def _counted(chunks: Iterator[bytes], progress: Progress | None) -> Iterator[bytes]:
    for chunk in chunks:
        if progress is not None:
            progress.add(len(chunk))
        yield chunk


def differences(registries: Registries, image: Image, destination: Destination) -> list[str]:
    """What the destination lacks of an image, or holds otherwise: manifests, tag and blobs."""
    path = destination.path(image.source)
    target = registries.at(destination.registry(image.source))
    found = []
    for each in image.manifests:
        if target.manifest_digest(path, each) is None:
            found.append(f"manifest {each} is missing")
        else:
            target.manifest(path, each)
    if image.source.tag:
        digest = target.manifest_digest(path, image.source.tag)
        if digest != image.tagged:
            found.append(f"tag {image.source.tag} is {digest or 'missing'}, not {image.tagged}")
    for blob in image.all_blobs:
        size = target.blob_size(path, blob.digest)
        if size != blob.size:
            found.append(f"blob {blob.digest} is missing" if size is None else
                         f"blob {blob.digest} has {size} bytes, not {blob.size}")
    return found


def read_back(registries: Registries, image: Image, destination: Destination) -> None:
    """ImageError where the destination doesn't hold the image whole."""
    faults = differences(registries, image, destination)
    if faults:
        raise ImageError(f"{image.source} is not whole at the destination:\n  "
                         + "\n  ".join(faults), where=destination.repository(image.source),
                         todo="run images:mirror again; if it stays, see the registry's log")


def receipt(images: Sequence[Image], destination: Destination) -> dict[str, Any]:
    """The receipt's form, by schemas/images-receipt.schema.json; what doesn't apply is left out."""
    return {"registry": destination.address, "images": [
        _entry(image, destination) for image in sorted(images, key=lambda each: str(each.source))]}


def _entry(image: Image, destination: Destination) -> dict[str, Any]:
    told: dict[str, Any] = {
        "source": str(image.source), "destination": destination.repository(image.source),
        "digest": image.manifest, "platform": image.platform, "size": image.size}
    if image.converted_from:
        told["converted"] = {"from": image.converted_from, "reason": image.convert}
    if image.whole:
        told["index"] = image.index
    if image.others:
        told["others"] = [{"digest": each.manifest, "platform": each.platform, "size": each.size}
                          for each in image.others]
    return told
