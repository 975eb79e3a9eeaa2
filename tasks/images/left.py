"""How many bytes of the locked images are still to move, by files here alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tasks.core import lock_files
from tasks.core.lock_files import Entry, LockFiles
from tasks.core.schema import read_json
from tasks.images import archive, image_files
from tasks.images.blobs import Blobs
from tasks.images.destination import Destination
from tasks.images.image_files import ImageFile
from tasks.images.lock_format import Image, distinct, from_entries
from tasks.images.receipt import entry_of


class Locked(Protocol):
    """The spec of a step that moves what a lock names."""

    @property
    def lock(self) -> Path: ...
    @property
    def committed(self) -> LockFiles: ...


class Mirrors(Locked, Protocol):
    """One that brings it into a registry."""

    @property
    def receipt(self) -> Path: ...
    @property
    def destination(self) -> Destination: ...


class Fetches(Locked, Protocol):
    """One that brings it to this disk."""

    @property
    def blobs(self) -> Path: ...
    @property
    def index(self) -> Path: ...


def to_mirror(spec: Mirrors) -> int | None:
    """The bytes of the images that the receipt doesn't tell of, but for blobs that the registry has
    of those that it does; None where nothing is locked yet."""
    entries = _entries(spec)
    if entries is None:
        return None
    held = read_json(spec.receipt, "images-receipt")["images"] if spec.receipt.is_file() else []
    by_source = {row["source"]: row for row in held}
    images = from_entries(entries)
    missing = [image for image in images
               if not _is_held(image, by_source.get(str(image.source)), spec.destination)]
    there = {(spec.destination.registry(image.source), blob.digest)
             for image in images if image not in missing for blob in image.all_blobs}
    blobs = {(spec.destination.registry(image.source), blob.digest): blob.size
             for image in missing for blob in image.all_blobs}
    return sum(size for place, size in blobs.items() if place not in there)


def to_fetch(spec: Fetches) -> int | None:
    """The bytes of the blobs and image files that the cache lacks; None where nothing is locked
    yet."""
    entries = _entries(spec)
    if entries is None:
        return None
    laid = read_json(spec.index, "oci-index")["manifests"] if spec.index.is_file() else []
    converted = {row.get("annotations", {}).get(archive.CONVERTED) for row in laid}
    images = [image for image in from_entries(entries)
              if not (image.convert and image.manifest in converted)]
    return lacking(images, image_files.from_entries(entries), spec.blobs)


def lacking(images: Iterable[Image], standing: Sequence[ImageFile], cache: Path) -> int:
    """The bytes of images and image files that a folder of blobs lacks, as far as names tell."""
    blobs = Blobs(root=cache, todo="")
    return sum(blob.size for blob in distinct(images) if not blobs.path(blob.digest).is_file()
               ) + sum(file.size for file in standing if not file.is_kept(cache))


def _entries(spec: Locked) -> Mapping[str, Entry] | None:
    """The lock's entries by their source: those of this site's lock, else of the files that it is
    made from."""
    locks: list[Any] = [read_json(spec.lock, "images-lock")] if spec.lock.is_file() else [
        lock for lock in lock_files.read_both(spec.committed, "images-lock") if lock is not None]
    return {entry["source"]: entry for lock in locks
            for entry in (*lock["images"], *lock.get("files", []))} if locks else None


def _is_held(image: Image, row: Mapping[str, Any] | None, destination: Destination) -> bool:
    """Whether a receipt tells of this very image at its place, converted where it must be."""
    wanted = entry_of(image, destination)
    if row is not None and image.convert:
        return bool(row["destination"] == wanted["destination"]
                    and row.get("converted", {}).get("from") == image.manifest)
    return row == wanted
