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
from tasks.images import plan as planning
from tasks.images.lock import Image, read_lock
from tasks.images.plan import BlobMove, ImageMove, Plan, Present
from tasks.images.progress import Progress
from tasks.images.reference import Destination

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
    """What images:plan reads."""

    pipeline: str
    lock: Path
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
    """Print what is there and what would move; nothing is changed."""
    images = read_lock(spec.lock)
    target = Registries(spec.access).at(spec.destination.address)
    made = planning.make(images, survey(target, images, spec.destination), spec.destination)
    print(planning.table(made, spec.destination), end="", flush=True)
    return planning.summary(made, spec.destination)


def mirror_images(spec: MirrorSpec) -> str:
    """Move what the destination lacks, read everything back, and write the receipt of it."""
    images = read_lock(spec.lock)
    registries = Registries(spec.access)
    target = registries.at(spec.destination.address)
    target.ping()
    made = planning.make(images, survey(target, images, spec.destination), spec.destination)
    Mirror(registries, target, spec.destination).carry_out(made, title=f"mirror {spec.pipeline}")
    each_of(lambda image: read_back(target, image, spec.destination), images)
    files.write_json(spec.receipt, receipt(images, spec.destination))
    moved = sum(not move.held_by for move in made.blobs)
    return (f"{len(images)} images at {spec.destination.address}; {files.human_size(made.size)} "
            f"moved in {moved} blobs")


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


def survey(target: Registry, images: Sequence[Image], destination: Destination) -> Present:
    """What the destination holds of these images, by HEAD requests alone."""
    manifests = {(destination.path(image.source), image.manifest) for image in images}
    tags = {(destination.path(image.source), image.source.tag) for image in images
            if image.source.tag}
    blobs = {(destination.path(image.source), blob.digest)
             for image in images for blob in image.blobs}
    asked = [(path, name) for path, name in sorted({*manifests, *tags}) if name]
    found = each_of(lambda each: target.manifest_digest(*each), asked)
    there = {pair: digest for pair, digest in zip(asked, found, strict=True) if digest}
    wanted = sorted(blobs)
    sizes = each_of(lambda each: target.blob_size(*each), wanted)
    return Present(
        manifests=frozenset(pair for pair, digest in there.items()
                            if pair in manifests and pair[1] == digest),
        tags={pair: digest for pair, digest in there.items() if pair in tags},
        blobs={pair: size for pair, size in zip(wanted, sizes, strict=True) if size is not None})


class Mirror:
    """Carries out a plan: blobs first, then manifests, so that no manifest is ever incomplete."""

    def __init__(self, sources: Sources, target: Registry, destination: Destination) -> None:
        self._sources, self._target, self._destination = sources, target, destination

    def carry_out(self, plan: Plan, *, title: str) -> None:
        with Progress(title, plan.size) as progress:
            self._progress = progress
            each_of(self._blob, plan.blobs)
        each_of(self._image, [move for move in plan.images if move.put])

    def _blob(self, move: BlobMove) -> None:
        """Upload once, then mount into the other repositories.

        Another pipeline's mirror, under way at the same time, may have brought the blob since the
        survey, into this repository or into another one.
        """
        with uploading(self._target, move.digest) as known:
            holder = move.held_by or known.held_by
            for repository in move.repositories:
                if holder is None or not self._target.mount(repository, move.digest, holder):
                    if self._target.blob_size(repository, move.digest) != move.size:
                        self._upload(repository, move, None if move.held_by else self._progress)
                    holder = repository
            known.held_by = holder

    def _upload(self, repository: str, move: BlobMove, progress: Progress | None) -> None:
        source_at = self._sources.at(move.source.host)

        @contextmanager
        def source() -> Iterator[Iterator[bytes]]:
            with source_at.blob(move.source.path, move.digest, move.size) as chunks:
                yield _counted(chunks, progress)

        self._target.upload(repository, move.digest, move.size, source)

    def _image(self, move: ImageMove) -> None:
        """Put the manifest by digest and tag, with the source's own bytes."""
        image = move.image
        manifest = self._sources.at(image.source.host).manifest(image.source.path, image.manifest)
        for reference in move.put:
            if self._target.put_manifest(move.repository, reference, manifest):
                continue
            # A HEAD said that a blob is there, and the registry doesn't find it.
            for blob in image.blobs:
                self._upload(move.repository, BlobMove(
                    digest=blob.digest, size=blob.size, source=image.source,
                    repositories=(move.repository,), held_by=None), None)
            if not self._target.put_manifest(move.repository, reference, manifest):
                raise RegistryError(f"{self._target.host} has no place for {image.source}: it "
                                    "misses a blob that was just uploaded",
                                    where=move.repository,
                                    todo="see the registry's log; its blob store may be damaged")


def _counted(chunks: Iterator[bytes], progress: Progress | None) -> Iterator[bytes]:
    for chunk in chunks:
        if progress is not None:
            progress.add(len(chunk))
        yield chunk


def differences(target: Registry, image: Image, destination: Destination) -> list[str]:
    """What the destination lacks of an image, or holds otherwise: manifest, tag and blobs."""
    path = destination.path(image.source)
    if target.manifest_digest(path, image.manifest) is None:
        return [f"manifest {image.manifest} is missing"]
    target.manifest(path, image.manifest)
    found = []
    if image.source.tag:
        digest = target.manifest_digest(path, image.source.tag)
        if digest != image.manifest:
            found.append(f"tag {image.source.tag} is {digest or 'missing'}, "
                         f"not {image.manifest}")
    for blob in image.blobs:
        size = target.blob_size(path, blob.digest)
        if size != blob.size:
            found.append(f"blob {blob.digest} is missing" if size is None else
                         f"blob {blob.digest} has {size} bytes, not {blob.size}")
    return found


def read_back(target: Registry, image: Image, destination: Destination) -> None:
    """ImageError where the destination doesn't hold the image whole."""
    faults = differences(target, image, destination)
    if faults:
        raise ImageError(f"{image.source} is not whole at the destination:\n  "
                         + "\n  ".join(faults), where=destination.repository(image.source),
                         todo="run images:mirror again; if it stays, see the registry's log")


def receipt(images: Sequence[Image], destination: Destination) -> dict[str, Any]:
    """The receipt's form, by schemas/images-receipt.schema.json."""
    return {"registry": destination.address, "images": [{
        "source": str(image.source), "destination": destination.repository(image.source),
        "digest": image.manifest, "platform": image.platform, "size": image.size}
        for image in sorted(images, key=lambda each: str(each.source))]}


