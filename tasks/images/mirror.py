"""images:plan and images:mirror: the locked images brought to the destination, and read back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.errors import ImageError, RegistryError
from tasks.core.parallel import run_all
from tasks.core.progress import Progress
from tasks.core.registry.client import Access, Manifest, Registries, Registry, seen
from tasks.core.registry.uploads import uploading
from tasks.images import convert
from tasks.images import plan as planning
from tasks.images.contents import Contents
from tasks.images.destination import Destination, refuse_shared_homes
from tasks.images.locked import Image, read_lock
from tasks.images.plan import BlobMove, ImageMove, Plan, Present
from tasks.images.reference import Reference


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
    present = survey(registries, images, spec.destination, every=True)
    made = planning.make(images, present, spec.destination)
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
    run_all(mirror.confirm, images)
    files.write_json(spec.receipt, receipt(images, spec.destination))
    moved = sum(not move.held_by for move in made.blobs)
    return (f"{len(images)} images at {' and '.join(addresses)}; {files.human_size(made.size)} "
            f"moved in {moved} blobs" + (f", {len(converted)} converted" if converted else ""))


def survey(registries: Registries, images: Sequence[Image], destination: Destination, *,
           every: bool = False) -> Present:
    """What the destination holds of these images, by HEAD requests alone.

    Without `every`, no more is asked than what must be known to bring them: of an image whose
    manifest is missing no tag, and each blob in one repository, since mounts bring the others.
    """
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
    asked = sorted({(name, each) for name, image in names for each in image.manifests})
    manifests = frozenset(pair for pair, found in zip(asked, run_all(digest, asked), strict=True)
                          if pair[1] == found)
    whole = [(name, image) for name, image in names
             if every or manifests.issuperset((name, each) for each in image.manifests)]
    tags = sorted({(name, image.source.tag) for name, image in whole if image.source.tag})
    means = run_all(digest, tags)
    wanted = {(name, blob.digest) for name, image in whole for blob in image.all_blobs}
    once: dict[tuple[str, str], tuple[str, str]] = {}
    for name, image in names:
        for blob in image.all_blobs:
            once.setdefault((destination.registry(image.source), blob.digest), (name, blob.digest))
    blobs = sorted(wanted.union(once.values()))
    sizes = run_all(size, blobs)
    return Present(
        manifests=manifests,
        tags={pair: digest for pair, digest in zip(tags, means, strict=True) if digest},
        blobs={pair: size for pair, size in zip(blobs, sizes, strict=True) if size is not None})


class Mirror:
    """Carries out a plan: blobs first, then manifests, so that no manifest is ever incomplete."""

    def __init__(self, contents: Contents, targets: Registries, destination: Destination) -> None:
        self._contents, self._targets, self._destination = contents, targets, destination

    def carry_out(self, plan: Plan, *, title: str) -> None:
        sizes: Counter[str] = Counter()
        for move in plan.blobs:
            sizes[str(move.source)] += move.moved
        with Progress(title, sizes) as progress:
            self._progress = progress
            run_all(self._blob, plan.blobs)
        run_all(self._image, [move for move in plan.images if move.put])

    def confirm(self, image: Image) -> None:
        """Read an image back; what is missing in spite of all is uploaded once more, by force."""
        found = differences(self._targets, image, self._destination)
        if found and not image.converted_from:
            target = self._targets.at(self._destination.registry(image.source))
            self._restore(image, target)
            for digest in image.manifests:
                tag = image.source.tag if digest == image.tagged else None
                target.put_manifest(self._destination.path(image.source), tag or digest,
                                    self._manifest(image, digest))
        if found:
            read_back(self._targets, image, self._destination)

    def convert(self, plan: Plan, locked: Sequence[Image], folder: Path) -> dict[Reference, Image]:
        """Put the images that can't stay as they are, and return them as the far side has them."""
        originals = {image.source: image for image in locked}
        moves = [move for move in plan.images if move.is_to_convert]

        def one(move: ImageMove) -> Image:
            image = originals[move.image.source]
            return convert.carry(self._contents.at(image.source.host), self._target(move), image,
                                 move.repository, folder / f"converting-{image.manifest[-12:]}")

        return {image.source: image for image in run_all(one, moves)}

    def _target(self, move: ImageMove) -> Registry:
        return self._targets.at(self._destination.registry(move.image.source))

    def _blob(self, move: BlobMove) -> None:
        """Upload once, then mount into the other repositories.

        Another pipeline's mirror, under way at the same time, may have brought the blob since the
        survey, into this repository or into another one.
        """
        target = self._targets.at(move.address)
        with uploading(target.address, move.digest) as known:
            holder = move.held_by or known.held_by
            for repository in move.repositories:
                if holder is None:
                    self._upload(target, repository, move, self._progress)
                elif not (repository == holder or target.mount(repository, move.digest, holder)
                          or target.blob_size(repository, move.digest) == move.size):
                    self._upload(target, repository, move, None)
                holder = repository
            known.held_by = holder

    def _upload(self, target: Registry, repository: str, move: BlobMove,
                progress: Progress | None) -> None:
        @contextmanager
        def source() -> Iterator[Iterator[bytes]]:
            with self._contents.at(move.source.host).blob(
                    move.source.path, move.digest, move.size) as chunks:
                yield _counted(chunks, progress.of(str(move.source)) if progress else None)

        target.upload(repository, move.digest, move.size, source)

    def _image(self, move: ImageMove) -> None:
        """Put the manifests, with the source's own bytes; a tag's put is by digest as well."""
        image, target = move.image, self._target(move)
        for digest, references in move.put:
            manifest = (target.manifest(move.repository, digest) if image.converted_from else
                        self._manifest(image, digest))
            if target.put_manifest(move.repository, references[-1], manifest):
                continue
            self._restore(image, target)
            if not target.put_manifest(move.repository, references[-1], manifest):
                raise RegistryError(f"{target.host} has no place for {image.source}: it "
                                    "misses a blob that was just uploaded",
                                    where=move.repository, todo="see the registry's log; its "
                                    "blob store may be damaged")

    def _manifest(self, image: Image, digest: str) -> Manifest:
        return seen(digest) or self._contents.at(image.source.host).manifest(image.source.path,
                                                                            digest)

    def _restore(self, image: Image, target: Registry) -> None:
        """Upload everything: a HEAD said that a blob is there, and the registry lacks it."""
        path = self._destination.path(image.source)
        for blob in image.all_blobs:
            with uploading(target.address, blob.digest):
                self._upload(target, path, BlobMove(
                    digest=blob.digest, size=blob.size, source=image.source,
                    address=target.host, repositories=(path,), held_by=None), None)


def _counted(chunks: Iterator[bytes], count: Callable[[int], None] | None) -> Iterator[bytes]:
    for chunk in chunks:
        if count is not None:
            count(len(chunk))
        yield chunk


def differences(registries: Registries, image: Image, destination: Destination) -> list[str]:
    """What the destination lacks of an image, or holds otherwise: manifests, tag and blobs."""
    path = destination.path(image.source)
    target = registries.at(destination.registry(image.source))
    found = [f"manifest {each} is missing" for each in image.manifests
             if target.find_manifest(path, each) is None]
    if image.source.tag:
        tagged = target.find_manifest(path, image.source.tag)
        if tagged is None or tagged.digest != image.tagged:
            found.append(f"tag {image.source.tag} is {tagged.digest if tagged else 'missing'}, "
                         f"not {image.tagged}")
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
