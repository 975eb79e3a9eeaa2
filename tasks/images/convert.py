"""Images whose own bytes no current engine takes: put at the destination in another format.

The destination's digest is another one then. The receipt holds both, and while the destination
still has what the receipt tells of, nothing is converted again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tasks.core.registry.client import Manifest, Registries, Registry
from tasks.core.registry.uploads import Opener
from tasks.core.schema import read_json
from tasks.images import schema1
from tasks.images.content_sources import HostContents
from tasks.images.destination import Destination
from tasks.images.lock import read_manifest
from tasks.images.lock_format import Image

CHUNK = 1 << 18


def as_held(registries: Registries, images: Sequence[Image], destination: Destination,
            receipt: Path) -> list[Image]:
    """The images, those to convert in the form that the destination holds by the receipt.

    One that was never converted, or that the destination has lost, stays as the lock has it.
    """
    if not any(image.convert for image in images) or not receipt.is_file():
        return list(images)
    entries = {(entry["source"], entry["destination"]): entry
               for entry in read_json(receipt, "images-receipt")["images"] if "converted" in entry}

    def held(image: Image) -> Image:
        place = (str(image.source), destination.repository(image.source))
        entry: dict[str, Any] | None = entries.get(place) if image.convert else None
        if entry is None or entry["converted"]["from"] != image.manifest:
            return image
        registry = registries.at(destination.registry(image.source))
        path = destination.path(image.source)
        if registry.manifest_digest(path, entry["digest"]) is None:
            return image
        return converted_to(image, registry.manifest(path, entry["digest"]))

    return [held(image) for image in images]


def carry(contents: HostContents, target: Registry, image: Image, path: str, folder: Path) -> Image:
    """Convert an image, put it into the repository `path`, and return it as it is there.

    `folder` is made, and removed afterwards.
    """
    with schema1.converted(contents, image, folder) as converted:
        result = converted_to(image, converted.manifest)
        schema1.check_layers(image, result.layers)
        for blob in result.blobs:
            with target.uploading(blob.digest) as holders:
                if target.blob_size(path, blob.digest, blob.size) != blob.size:
                    target.upload(path, blob.digest, blob.size,
                                  _opener(converted.file(blob.digest)))
                holders.repositories.add(path)
        for reference in (result.manifest, image.source.tag):
            if reference and not target.put_manifest(path, reference, converted.manifest):
                raise target.lost_blob(path, str(image.source))
        return result


def converted_to(image: Image, manifest: Manifest) -> Image:
    """The image with another manifest in place of the source's own."""
    variant = read_manifest(manifest, image.source, image.platform)
    return replace(image, manifest=variant.manifest, media_type=variant.media_type,
                   config=variant.config, layers=variant.layers, converted_from=image.manifest)


def _opener(file: Path) -> Opener:
    @contextmanager
    def source() -> Iterator[Iterator[bytes]]:
        with file.open("rb") as stream:
            yield iter(partial(stream.read, CHUNK), b"")
    return source
