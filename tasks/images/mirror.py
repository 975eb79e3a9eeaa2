"""images:plan and images:mirror: the locked images brought to the destination, and read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core import files
from tasks.core.lock_files import LockFiles
from tasks.core.parallel import run_all
from tasks.core.registry.client import Access, Registries
from tasks.images import convert, labels, plan
from tasks.images.destination import Destination, refuse_shared_homes
from tasks.images.lock_format import Image, read_lock
from tasks.images.locked_sources import LockedSources
from tasks.images.plan import ImageMove, Plan
from tasks.images.read_back import read_back
from tasks.images.receipt import receipt
from tasks.images.reference import Reference
from tasks.images.survey import open_registries, survey
from tasks.images.transfer import Transfer


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
    """What images:mirror reads and writes; `committed` are the lock's files, for the errors.

    `labels` is where it keeps what the images say of themselves.
    """

    pipeline: str
    lock: Path
    committed: LockFiles
    receipt: Path
    labels: Path
    destination: Destination
    access: Access


def planned(spec: PlanSpec) -> Plan:
    """What would move, asked of the destination by as few requests as it takes."""
    registries = Registries(spec.access)
    images = convert.as_held(registries, read_lock(spec.lock), spec.destination, spec.receipt)
    return plan.make(images, survey(registries, images, spec.destination), spec.destination)


def show_plan(spec: PlanSpec) -> str:
    """Print what is there, what would move and why; nothing is changed at the destination."""
    registries = Registries(spec.access)
    images = convert.as_held(registries, read_lock(spec.lock), spec.destination, spec.receipt)
    elsewhere = [image for path in spec.locks if path.is_file() for image in read_lock(path)]
    refuse_shared_homes([image.source for image in (*images, *elsewhere)], spec.destination)
    present = survey(registries, images, spec.destination, every=True)
    moves = plan.make(images, present, spec.destination)
    files.write_json(spec.report, plan.as_json(moves, spec.destination))
    print(plan.table(moves, spec.destination), end="", flush=True)
    return plan.summary(moves, spec.destination)


def mirror_images(spec: MirrorSpec) -> str:
    """Move what the destination lacks, read everything back, and write the receipt of it."""
    locked = read_lock(spec.lock)
    registries = Registries(spec.access)
    addresses = open_registries(registries, locked, spec.destination)
    images = convert.as_held(registries, locked, spec.destination, spec.receipt)
    moves = plan.make(images, survey(registries, images, spec.destination), spec.destination)
    sources = LockedSources(registries, spec.committed, f"an image that is whole at "
                            f"{' and '.join(addresses)} stays, and is used as it is")
    transfer = Transfer(sources, registries, spec.destination)
    transfer.carry_out(moves, title=f"mirror {spec.pipeline}")
    converted = _convert(spec, sources, registries, locked, moves)
    images = [converted.get(image.source, image) for image in images]
    labels.write(spec.labels, images, labels.at_destination(registries, spec.destination))
    files.write_json(spec.receipt, receipt(images, spec.destination))
    moved = sum(not blob.held_by for blob in moves.blobs)
    return (f"{len(images)} images at {' and '.join(addresses)}; {files.human_size(moves.size)} "
            f"moved in {moved} blobs" + (f", {len(converted)} converted" if converted else ""))


def _convert(spec: MirrorSpec, sources: LockedSources, registries: Registries,
             locked: Sequence[Image], moves: Plan) -> dict[Reference, Image]:
    """Put the images that can't stay as they are, and return them as the far side has them."""
    originals = {image.source: image for image in locked}

    def convert_one(move: ImageMove) -> Image:
        image = originals[move.image.source]
        folder = spec.receipt.parent / f"converting-{image.manifest[-12:]}"
        target = registries.at(spec.destination.registry(image.source))
        converted = convert.carry(sources.at(image.source.repository), target, image,
                                  move.repository, folder)
        read_back(registries, converted, spec.destination)
        return converted

    return {image.source: image for image in run_all(
        convert_one, [move for move in moves.images if move.is_to_convert])}
