"""What has to move to the destination, worked out from the lock and what is there: no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.core import files
from tasks.images.lock import Image
from tasks.images.reference import Destination, Reference, refuse_collisions


@dataclass(frozen=True, kw_only=True)
class Present:
    """What the destination holds.

    `manifests` are (repository, digest); `tags` map (repository, tag) to a digest; `blobs` map
    (repository, digest) to a size in bytes. Repositories without the registry's address.
    """

    manifests: frozenset[tuple[str, str]] = frozenset()
    tags: Mapping[tuple[str, str], str]
    blobs: Mapping[tuple[str, str], int]


@dataclass(frozen=True, kw_only=True)
class BlobMove:
    """One blob, for all repositories that lack it.

    Where `held_by` names a repository of the destination, nothing is moved: it is mounted.
    """

    digest: str
    size: int
    source: Reference
    repositories: tuple[str, ...]
    held_by: str | None

    @property
    def moved(self) -> int:
        """Bytes that go over the wire."""
        return 0 if self.held_by else self.size


@dataclass(frozen=True, kw_only=True)
class ImageMove:
    """One image's manifest, and by which references it is to be put: digest, tag, both or none."""

    image: Image
    repository: str
    put: tuple[str, ...]
    lacking: int

    @property
    def is_present(self) -> bool:
        return not self.put and not self.lacking


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The moves; blobs the largest first."""

    blobs: tuple[BlobMove, ...]
    images: tuple[ImageMove, ...]

    @property
    def size(self) -> int:
        """Bytes that will move."""
        return sum(move.moved for move in self.blobs)


def make(images: Sequence[Image], present: Present, destination: Destination) -> Plan:
    """The plan; ImageError where two images would be put into one place."""
    refuse_collisions([(image.source, image.manifest) for image in images], destination)
    lacking: dict[str, list[str]] = {}
    about: dict[str, tuple[int, Reference]] = {}
    holders: dict[str, str] = {}
    moves = []
    for image in images:
        repository = destination.path(image.source)
        missing = 0
        for blob in image.blobs:
            about.setdefault(blob.digest, (blob.size, image.source))
            if present.blobs.get((repository, blob.digest)) == blob.size:
                holders.setdefault(blob.digest, repository)
            else:
                missing += 1
                lacking.setdefault(blob.digest, []).append(repository)
        moves.append(ImageMove(image=image, repository=repository, lacking=missing,
                               put=_references(image, repository, present)))
    blobs = [BlobMove(digest=digest, size=about[digest][0], source=about[digest][1],
                      repositories=tuple(dict.fromkeys(repositories)),
                      held_by=holders.get(digest))
             for digest, repositories in lacking.items()]
    return Plan(blobs=tuple(sorted(blobs, key=lambda move: (-move.size, move.digest))),
                images=tuple(moves))


def _references(image: Image, repository: str, present: Present) -> tuple[str, ...]:
    """By what the manifest is put: its digest, and its tag where that means something else."""
    wanted = []
    if (repository, image.manifest) not in present.manifests:
        wanted.append(image.manifest)
    tag = image.source.tag
    if tag and present.tags.get((repository, tag)) != image.manifest:
        wanted.append(tag)
    return tuple(wanted)


def table(plan: Plan, destination: Destination) -> str:
    """The plan for people: a line for each image, and a sum."""
    lines = []
    uploads = {move.digest: move.moved for move in plan.blobs}
    for move in plan.images:
        # A shared blob counts for the first image that needs it.
        count = sum(uploads.pop(blob.digest, 0) for blob in move.image.blobs)
        state = "present" if move.is_present else f"moves {files.human_size(count)}"
        lines.append((state, str(move.image.source)))
    width = max((len(state) for state, _ in lines), default=0)
    shown = "".join(f"{state:<{width}}  {source}\n" for state, source in lines)
    return shown + summary(plan, destination) + "\n"


def summary(plan: Plan, destination: Destination) -> str:
    """The plan in one line."""
    present = sum(move.is_present for move in plan.images)
    moving = sum(not move.held_by for move in plan.blobs)
    return (f"{present} of {len(plan.images)} images present at {destination.address}; "
            f"{files.human_size(plan.size)} in {moving} blobs to move")
