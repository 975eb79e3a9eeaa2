"""Where manifests and blobs are read from: registries, or an OCI layout on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from tasks.core.registry.client import Manifest


class HostContents(Protocol):
    """Manifests and blobs by repository: a registry, or a layout in its place."""

    def blob(self, path: str, digest: str, size: int) -> AbstractContextManager[Iterator[bytes]]:
        """The blob's bytes as they come; they end with IntegrityError where they aren't it."""

    def manifest(self, path: str, reference: str) -> Manifest:
        """A manifest by its digest."""


class Contents(Protocol):
    """The contents of images by the repository in their references."""

    def at(self, name: str) -> HostContents:
        """Return what holds the images of this repository, `host/path`."""
