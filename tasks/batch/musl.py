"""Which images on disk are built on musl: their layers hold its loader and not that of glibc."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.batch.layers import blob_path
from tasks.core import nofollow, parsing
from tasks.core.archives import compressed, tars
from tasks.core.errors import IntegrityError
from tasks.core.schema import read_json

MUSL = re.compile(r"(?:^|/)ld-musl-[^/]*\.so\.1$")
GLIBC = re.compile(r"(?:^|/)(?:ld-linux[^/]*\.so\.[0-9]|libc\.so\.6)$")
MAX_MANIFEST, MAX_LAYER = 4 << 20, 64 << 30
"""Bytes of a manifest, and of a layer that is unpacked."""


def images(index: Path, blobs: Path) -> list[str]:
    """Return the sources and digests of the images in an OCI layout that are built on musl.

    What can't be read, such as a layer by zstd, says nothing.
    """
    named: list[str] = []
    for entry in read_json(index, "oci-index")["manifests"]:
        source = entry.get("annotations", {}).get("org.opencontainers.image.ref.name")
        if source and _is_on_musl(entry["digest"], blobs):
            named += [source, entry["digest"]]
    return named


def _is_on_musl(digest: str, blobs: Path) -> bool:
    has_musl = False
    for name in _names(digest, blobs):
        if GLIBC.search(name):
            return False
        has_musl = has_musl or MUSL.search(name) is not None
    return has_musl


def _names(digest: str, blobs: Path) -> Iterator[str]:
    """Yield what the layers of an image hold, the base first."""
    try:
        manifest = parsing.from_json(nofollow.read(blob_path(digest, blobs), most=MAX_MANIFEST))
        layers = manifest.get("layers") if isinstance(manifest, Mapping) else None
        for layer in layers if isinstance(layers, list) else ():
            yield from _members(layer, blobs)
    except (OSError, ValueError, IntegrityError):
        return


def _members(layer: Any, blobs: Path) -> Iterator[str]:
    digest = layer.get("digest") if isinstance(layer, Mapping) else None
    if not isinstance(digest, str):
        return
    try:
        with compressed.opened(blob_path(digest, blobs), most=MAX_LAYER) as stream:
            for member in tars.Reader(stream=stream):
                yield member.name
    except compressed.ERRORS:
        return
