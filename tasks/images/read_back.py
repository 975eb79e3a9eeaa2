"""What the destination holds of an image, read back from it.

docs/decisions/what-is-read-back.md says what is asked, and why no less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from tasks.core.errors import ImageError
from tasks.core.registry.client import Registries, Registry
from tasks.images.destination import Destination
from tasks.images.lock_format import Blob, Image

Check = Callable[[], str | None]
"""One request; what it returns is what is wrong."""


def checks(registries: Registries, image: Image, destination: Destination) -> Iterator[Check]:
    """The requests that show whether the destination holds an image: manifests, tag and blobs."""
    registry = registries.at(destination.registry(image.source))
    path = destination.path(image.source)
    for digest in image.manifests:
        yield partial(_check_manifest, registry, path, digest)
    if image.source.tag:
        yield partial(_check_tag, registry, path, image.source.tag, image.tagged)
    for blob in image.all_blobs:
        yield partial(_check_blob, registry, path, blob)


def differences(registries: Registries, image: Image, destination: Destination) -> list[str]:
    """What the destination lacks of an image, or holds otherwise."""
    faults = (check() for check in checks(registries, image, destination))
    return [fault for fault in faults if fault]


def read_back(registries: Registries, image: Image, destination: Destination) -> None:
    """ImageError where the destination doesn't hold the image whole."""
    faults = differences(registries, image, destination)
    if faults:
        raise ImageError(f"{image.source} is not whole at the destination:\n  "
                         + "\n  ".join(faults), where=destination.repository(image.source),
                         todo="run images:mirror again; if it stays, see the registry's log")


def _check_manifest(registry: Registry, path: str, digest: str) -> str | None:
    """The manifest's bytes are held against its digest as they are read."""
    manifest = registry.find_manifest(path, digest)
    return None if manifest else f"manifest {digest} is missing"


def _check_tag(registry: Registry, path: str, tag: str, digest: str) -> str | None:
    manifest = registry.find_manifest(path, tag)
    if manifest is not None and manifest.digest == digest:
        return None
    return f"tag {tag} is {manifest.digest if manifest else 'missing'}, not {digest}"


def _check_blob(registry: Registry, path: str, blob: Blob) -> str | None:
    size = registry.blob_size(path, blob.digest, blob.size)
    if size == blob.size:
        return None
    return (f"blob {blob.digest} is missing" if size is None else
            f"blob {blob.digest} has {size} bytes, not {blob.size}")
