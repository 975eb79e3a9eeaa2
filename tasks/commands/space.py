"""`space`: what a pipeline's images and data are in bytes, and whether the disks have room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tasks.core import files
from tasks.core.disk import Disks, Need
from tasks.core.errors import AirlockError
from tasks.data import mirror as data
from tasks.images import image_files, sif
from tasks.images import mirror as images
from tasks.images.blobs import Blobs
from tasks.images.lock_format import distinct, read_lock


@dataclass(frozen=True, kw_only=True)
class SpaceSpec:
    """What `space` asks: the plans of images and data, and where bytes come to lie.

    With `layout`, images are kept in that folder by digest, and `images` isn't asked. With `sifs`,
    the folder that knows which were made before, image files are made of them as well. `store` is
    a folder of this machine, or None. `near` are those of the local site's registry and engines,
    the offline host's last.
    """

    pipeline: str
    images: images.PlanSpec | None
    lock: Path
    layout: Path | None
    sifs: Path | None = None
    data: data.PlanSpec
    runtime: Path
    store: Path | None
    near: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class _Amount:
    """Bytes that come, of so many in all; or why that isn't known."""

    coming: int
    whole: int
    count: str
    fault: str | None = None

    def __str__(self) -> str:
        if self.fault is not None:
            return f"  not known: {self.fault}"
        if not self.coming:
            return f"{'there':>9}, {files.human_size(self.whole)} in {self.count}"
        return (f"{files.human_size(self.coming):>9} to fetch, of {files.human_size(self.whole)} "
                f"in {self.count}")


def space(spec: SpaceSpec) -> str:
    """Print what comes, of what kind; HostError where a disk has not enough room for it.

    What is there already counts for nothing. Images are counted as they travel; engines unpack
    them, which takes more.
    """
    pictures, samples = _asked(_images, spec), _asked(_data, spec)
    rows = {"images": pictures, "data": samples, "runtime": _runtime(spec.runtime),
            "plugins": "    known once their index is asked, some MB each"}
    print("\n".join(f"{kind:<8} {text}" for kind, text in rows.items()), flush=True)
    disks = spec.data.source.reach.network.shared.once(Disks, Disks)
    lines = disks.promise(_needs(spec, pictures, samples))
    print("\n".join(f"{'room':<8} {line}" for line in lines), flush=True)
    total = files.human_size(pictures.coming + samples.coming)
    return f"{total} to fetch, and room for it"


def _asked(ask: Callable[[SpaceSpec], _Amount], spec: SpaceSpec) -> _Amount:
    """What is answered; the step that moves these tells of a fault by itself."""
    try:
        return ask(spec)
    except AirlockError as error:
        return _Amount(coming=0, whole=0, count="", fault=error.what)


def _data(spec: SpaceSpec) -> _Amount:
    with data.surveyed(spec.data.selection, spec.data.source) as plan:
        begun = sum(path.stat().st_size for path in spec.data.source.blobs.glob(".partial/*"))
        unknown = f", {plan.unknown} of them of unknown size" if plan.unknown else ""
        return _Amount(coming=max(plan.coming - begun, 0), whole=plan.size,
                       count=f"{len(plan.items)} files{unknown}")


def _runtime(path: Path) -> _Amount:
    """The runtime, which was fetched before: it tells which data there are."""
    return _Amount(coming=0, whole=path.stat().st_size if path.is_file() else 0, count="an archive")


def _images(spec: SpaceSpec) -> _Amount:
    blobs = distinct(read_lock(spec.lock))
    whole, count = sum(blob.size for blob in blobs), f"{len(blobs)} blobs"
    if spec.layout is None:
        return _Amount(coming=images.planned(spec.images).size if spec.images else 0, whole=whole,
                       count=count)
    kept = Blobs(root=spec.layout, todo="mirror the images again")
    coming = sum(blob.size for blob in blobs if not kept.is_there(blob.digest, blob.size))
    if own := image_files.read_lock(spec.lock):
        whole, count = whole + sum(file.size for file in own), f"{count}, {len(own)} image files"
        coming += sum(file.size for file in own if not file.is_kept(spec.layout))
    return _Amount(coming=coming, whole=whole, count=count)


def _to_make(spec: SpaceSpec) -> int:
    """Bytes of image files that are to be made: about those of the images' layers."""
    if spec.sifs is None or not spec.lock.is_file():
        return 0
    return sum(image.size for image in read_lock(spec.lock)
               if not sif.note(spec.sifs, image).is_file())


def _needs(spec: SpaceSpec, pictures: _Amount, samples: _Amount) -> list[Need]:
    kept, made = samples.coming + (pictures.coming if spec.layout else 0), _to_make(spec)
    needs = [Need(folder=spec.data.source.blobs, size=kept, what="what is fetched")]
    if made:
        needs.append(Need(folder=spec.data.source.blobs, size=made,
                          what="image files that are made of it"))
    if spec.store is not None:
        pushed = samples.coming + made if spec.sifs else kept
        needs.append(Need(folder=spec.store, size=pushed, what="the store"))
    if spec.near:
        needs += [Need(folder=folder, size=pictures.coming, what="images in the local site's "
                       "registry and engines") for folder in spec.near]
        needs.append(Need(folder=spec.near[-1], size=samples.coming, what="the offline host"))
    return needs
