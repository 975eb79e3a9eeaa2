"""Images in Docker's oldest format, schema 1, which quay.io still holds and engines now refuse.

The format: the distribution project's "Image Manifest Version 2, Schema 1". skopeo makes a schema 2
image of one; it works on folders, so that all that goes over the wire is our own client's.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.core import parsing, processes
from tasks.core.errors import CommandError, ImageError
from tasks.core.registry.client import MANIFESTS, Manifest, Registry
from tasks.images.content_sources import HostContents
from tasks.images.lock_format import Blob, Image
from tasks.images.reference import DIGEST, Reference

REASON = "docker schema 1"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A schema 2 image in a folder: its manifest, and its blobs as files named by their digits."""

    manifest: Manifest
    folder: Path

    def file(self, digest: str) -> Path:
        return self.folder / digest.removeprefix("sha256:")


def read(registry: Registry, manifest: Manifest, reference: Reference, resolved: str) -> Image:
    """The image that a schema 1 manifest describes; the sizes are asked of the registry."""
    try:
        value = parsing.from_json(manifest.data)
        digests = [str(layer["blobSum"]) for layer in reversed(value["fsLayers"])]
        top = parsing.from_json(value["history"][0]["v1Compatibility"])
        platform = f"{top.get('os') or 'linux'}/{value.get('architecture') or 'amd64'}"
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise ImageError(f"the schema 1 manifest of {reference} can't be read") from None
    sizes = {digest: registry.blob_size(reference.path, digest)
             for digest in dict.fromkeys(digests) if DIGEST.fullmatch(digest)}
    layers = []
    for digest in digests:
        size = sizes.get(digest)
        if size is None or size < 0:
            raise ImageError(f"{reference} names a layer that its registry lacks: {digest}")
        layers.append(Blob(digest=digest, size=size, media_type=LAYER))
    return Image(source=reference, index=None, manifest=manifest.digest, platform=platform,
                 media_type=manifest.media_type, config=None, layers=tuple(layers),
                 resolved=resolved, convert=REASON)


@contextmanager
def converted(contents: HostContents, image: Image, folder: Path) -> Iterator[Converted]:
    """Fetch an image, and give what skopeo makes of it; `folder` is gone afterwards."""
    skopeo = processes.find("skopeo", todo=f"install skopeo: {image.source} is in {REASON}, which "
                            "it converts; or use a newer tag of that image, given by hand under "
                            "`images` in the pipeline's file")
    shutil.rmtree(folder, ignore_errors=True)
    before, after = folder / "schema1", folder / "schema2"
    before.mkdir(parents=True)
    try:
        _fetch(contents, image, before)
        try:
            processes.run([skopeo, "--insecure-policy", "copy", "--quiet", "--format", "v2s2",
                           f"dir:{before}", f"dir:{after}"])
        except CommandError as error:
            raise ImageError(f"skopeo can't convert {image.source}: {' '.join(error.tail)}",
                             todo="use a newer tag of that image, given by hand under `images` in "
                                  "the pipeline's file") from error
        data = (after / "manifest.json").read_bytes()
        yield Converted(manifest=Manifest(data=data, media_type=MANIFESTS[1]), folder=after)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fetch(contents: HostContents, image: Image, folder: Path) -> None:
    """Lay an image out as skopeo's `dir:` has it (containers-transports(5)), hashed on the way."""
    (folder / "version").write_text("Directory Transport Version: 1.1\n")
    manifest = contents.manifest(image.source.path, image.manifest)
    (folder / "manifest.json").write_bytes(manifest.data)
    for blob in image.blobs:
        with contents.blob(image.source.path, blob.digest, blob.size) as chunks, \
                (folder / blob.digest.removeprefix("sha256:")).open("wb") as file:
            for chunk in chunks:
                file.write(chunk)


def check_layers(image: Image, layers: tuple[Blob, ...]) -> None:
    """ImageError unless a conversion's layers are the image's own, in order, empty ones left out.

    The bytes were hashed as they came, so the layers are what the lock says.
    """
    left = iter(blob.digest for blob in image.layers)
    if not layers or not all(blob.digest in left for blob in layers):
        raise ImageError(f"skopeo made other layers of {image.source} than it has",
                         todo="use another release of skopeo; 1.9.3 is known to be right")
