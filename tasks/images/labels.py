"""images.labels.json: what images say of themselves, in their config's labels and the
annotations of their manifest.

They are read where the image lies already: from the destination's registry once it holds the
image, or from the blobs on disk. What is known by its digest isn't asked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.core import files, parsing
from tasks.core.errors import ConfigError
from tasks.core.parallel import run_all
from tasks.core.registry.annotations import BASE_DIGEST, BASE_NAME, LICENCES
from tasks.core.registry.client import Registries
from tasks.core.schema import check, read_json
from tasks.images.blobs import Blobs
from tasks.images.destination import Destination
from tasks.images.lock_format import Image

KEPT = (BASE_DIGEST, BASE_NAME, LICENCES)
"""The annotations that are kept, where labels have them too."""
LONGEST = 500
"""Characters of a value; a longer one is no licence's or image's name."""
LARGEST_CONFIG = 8 << 20
"""Bytes of a config that is read."""

Reads = Callable[[Image], tuple[bytes, bytes]]
"""The bytes of an image's manifest and of its config; these are none where it has no config."""


def write(path: Path, images: Sequence[Image], reads: Reads) -> None:
    """Write what these images say of themselves; of those that `path` knows, nothing is read."""
    known = _known(path)
    lacking = list({image.manifest: image for image in images
                    if image.manifest not in known}.values())
    known.update(zip((image.manifest for image in lacking),
                     run_all(lambda image: of(*reads(image)), lacking), strict=True))
    listed = {"images": [{"source": str(image.source), "digest": image.manifest,
                          "labels": dict(known[image.manifest])}
                         for image in sorted(images, key=lambda image: str(image.source))]}
    files.write_json(path, check(listed, "images-labels", where=path))


def _known(path: Path) -> dict[str, Mapping[str, str]]:
    """The labels by digest, as this file had them; a file that isn't whole knows nothing."""
    try:
        listed = read_json(path, "images-labels")["images"]
    except ConfigError:
        return {}
    return {entry["digest"]: entry["labels"] for entry in listed}


def of(manifest: bytes, config: bytes) -> dict[str, str]:
    """The labels that are kept, by their keys; a manifest's annotations come first.

    Those are of this image alone, while an image inherits labels of its base.
    """
    annotations = _mapping(_mapping(manifest).get("annotations"))
    labels = _mapping(_mapping(_mapping(config).get("config")).get("Labels"))
    texts = {**_texts(labels), **_texts(annotations)}
    return {key: texts[key] for key in KEPT if key in texts}


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: value.strip() for key, value in values.items()
            if isinstance(value, str) and value.strip() and len(value) <= LONGEST
            and value.isprintable()}


def _mapping(value: Any) -> Mapping[str, Any]:
    """A JSON object, whole or as text; an empty one for all else."""
    if isinstance(value, bytes):
        try:
            value = parsing.from_json(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}


def at_destination(registries: Registries, destination: Destination) -> Reads:
    """Read them from the registry that the images were mirrored to."""
    def reads(image: Image) -> tuple[bytes, bytes]:
        registry = registries.at(destination.registry(image.source))
        path = destination.path(image.source)
        manifest = registry.manifest(path, image.manifest).data
        if image.config is None or image.config.size > LARGEST_CONFIG:
            return manifest, b""
        with registry.blob(path, image.config.digest, image.config.size) as chunks:
            return manifest, b"".join(chunks)
    return reads


def on_disk(blobs: Blobs) -> Reads:
    """Read them from an OCI image layout's blobs."""
    def reads(image: Image) -> tuple[bytes, bytes]:
        manifest = blobs.manifest(image.manifest).data
        if image.config is None or image.config.size > LARGEST_CONFIG:
            return manifest, b""
        with blobs.reading(image.config.digest, image.config.size) as chunks:
            return manifest, b"".join(chunks)
    return reads
