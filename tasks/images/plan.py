"""What has to move to the destination, worked out from the lock and what is there: no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.core import files
from tasks.images.destination import Destination, refuse_collisions
from tasks.images.lock_format import Image
from tasks.images.reference import Reference


@dataclass(frozen=True, kw_only=True)
class Present:
    """What the destination holds.

    `manifests` are (repository, digest); `tags` map (repository, tag) to a digest; `blobs` map
    (repository, digest) to a size in bytes. Repositories with their registry's address.
    """

    manifests: frozenset[tuple[str, str]] = frozenset()
    tags: Mapping[tuple[str, str], str]
    blobs: Mapping[tuple[str, str], int]


@dataclass(frozen=True, kw_only=True)
class BlobMove:
    """One blob, for all repositories of one registry that lack it.

    Where `held_by` names a repository of that registry, nothing is moved: it is mounted.
    `repositories` and `held_by` are paths below `address`.
    """

    digest: str
    size: int
    source: Reference
    address: str
    repositories: tuple[str, ...]
    held_by: str | None

    @property
    def moved(self) -> int:
        """Bytes that go over the wire."""
        return 0 if self.held_by else self.size


@dataclass(frozen=True, kw_only=True)
class ImageMove:
    """One image's manifests, and by which references each is to be put: digest, tag or both.

    `put` is in order: an index comes after what it lists. `why` says in words what is amiss.
    """

    image: Image
    repository: str
    put: tuple[tuple[str, tuple[str, ...]], ...]
    lacking: int
    is_to_convert: bool = False
    why: tuple[str, ...] = ()

    @property
    def is_present(self) -> bool:
        return not self.why

    @property
    def state(self) -> str:
        return "present" if self.is_present else "converts" if self.is_to_convert else "moves"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The moves; blobs that several repositories wait for come first, then the largest."""

    blobs: tuple[BlobMove, ...]
    images: tuple[ImageMove, ...]

    @property
    def size(self) -> int:
        """Bytes that will move, those of images that are converted among them."""
        return (sum(move.moved for move in self.blobs)
                + sum(move.image.size for move in self.images if move.is_to_convert))


def make(images: Sequence[Image], present: Present, destination: Destination) -> Plan:
    """The plan; ImageError where two images would be put into one place."""
    refuse_collisions([(image.source, image.tagged) for image in images], destination)
    lacking: dict[tuple[str, str], list[str]] = {}
    about: dict[str, tuple[int, Reference]] = {}
    holders: dict[tuple[str, str], str] = {}
    moves = []
    for image in images:
        name, path = destination.repository(image.source), destination.path(image.source)
        address = destination.registry(image.source)
        missing = [blob for blob in image.all_blobs
                   if present.blobs.get((name, blob.digest)) != blob.size]
        move = _image(image, path, name, present, len(missing))
        moves.append(move)
        for blob in image.all_blobs:
            about.setdefault(blob.digest, (blob.size, image.source))
            if blob not in missing:
                holders.setdefault((address, blob.digest), path)
            elif not move.is_to_convert:
                lacking.setdefault((address, blob.digest), []).append(path)
    blobs = [BlobMove(digest=digest, size=about[digest][0], source=about[digest][1],
                      address=address, repositories=tuple(dict.fromkeys(paths)),
                      held_by=holders.get((address, digest)))
             for (address, digest), paths in lacking.items()]
    return Plan(images=tuple(moves), blobs=tuple(sorted(blobs, key=lambda blob: (
        len(blob.repositories) == 1, -blob.size, blob.digest))))


def _image(image: Image, path: str, name: str, present: Present, missing: int) -> ImageMove:
    """What is amiss with an image at its repository `path`, which in full is `name`."""
    tag = image.source.tag
    lost = [digest for digest in image.manifests if (name, digest) not in present.manifests]
    if image.convert and (lost or missing or not image.converted_from):
        return ImageMove(image=image, repository=path, put=(), lacking=missing,
                         is_to_convert=True, why=(f"is in {image.convert}",))
    means = present.tags.get((name, tag)) if tag else None
    put, why = [], []
    for digest in image.manifests:
        names = [digest] if digest in lost else []
        if tag and digest == image.tagged and means != digest:
            names.append(tag)
        if names:
            put.append((digest, tuple(names)))
    if lost:
        why.append("manifest missing" if len(lost) == 1 else f"{len(lost)} manifests missing")
    if missing:
        why.append(f"{missing} blob{'s' * (missing > 1)} missing")
    if tag and means != image.tagged and not lost:
        why.append(f"tag points to {means}" if means else "tag missing")
    return ImageMove(image=image, repository=path, put=tuple(put), lacking=missing, why=tuple(why))


def sizes(plan: Plan, destination: Destination) -> list[int]:
    """The bytes that each image moves; a shared blob counts for the first one that needs it."""
    uploads = {(move.address, move.digest): move.moved for move in plan.blobs}
    return [move.image.size if move.is_to_convert else
            sum(uploads.pop((destination.registry(move.image.source), blob.digest), 0)
                for blob in move.image.all_blobs) for move in plan.images]


def table(plan: Plan, destination: Destination) -> str:
    """The plan for people: a line for each image with what moves and why."""
    rows = []
    for move, size in zip(plan.images, sizes(plan, destination), strict=True):
        licence = [f"needs a licence: {move.image.licence}"] if move.image.licence else []
        rows.append((move.state, "" if move.is_present else files.human_size(size),
                     str(move.image.source), "; ".join([*move.why, *licence])))
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    return "".join(f"{state:<{widths[0]}}  {size:>{widths[1]}}  {source:<{widths[2]}}  {why}"
                   .rstrip() + "\n" for state, size, source, why in rows)


def summary(plan: Plan, destination: Destination) -> str:
    """The plan in one line."""
    present = sum(move.is_present for move in plan.images)
    moving = sum(not move.held_by for move in plan.blobs)
    converting = sum(move.is_to_convert for move in plan.images)
    return (f"{present} of {len(plan.images)} images present at "
            f"{' and '.join(addresses([move.image for move in plan.images], destination))}; "
            f"{files.human_size(plan.size)} in {moving} blobs to move"
            + (f", {converting} to convert" if converting else ""))


def addresses(images: Sequence[Image], destination: Destination) -> list[str]:
    """host:port of every registry that these images go to."""
    return (sorted({destination.registry(image.source) for image in images})
            or [destination.address])


def as_json(plan: Plan, destination: Destination) -> dict[str, Any]:
    """The plan for programs, by schemas/images-plan.schema.json."""
    return {"bytes": plan.size, "blobs": sum(not move.held_by for move in plan.blobs), "images": [
        {"source": str(move.image.source), "state": move.state, "bytes": size,
         "destination": destination.repository(move.image.source), "why": list(move.why),
         **({"licence": move.image.licence} if move.image.licence else {})}
        for move, size in zip(plan.images, sizes(plan, destination), strict=True)]}
