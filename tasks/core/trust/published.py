"""Which releases a store holds, and what they name: blobs there, and images in registries."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from tasks.core import files
from tasks.core.errors import ConfigError, IntegrityError
from tasks.core.parallel import run_all
from tasks.core.paths import SIF_INDEX
from tasks.core.schema import from_bytes
from tasks.core.store.interface import Entry, Store, content
from tasks.core.trust import checksums
from tasks.core.trust.checksums import MAX_LIST

LIST = re.compile(r"releases/([a-z][a-z0-9_-]*)/([A-Za-z0-9_][A-Za-z0-9._-]*)/SHA256SUMS")
RECEIPT = "images.receipt.json"


@dataclass(frozen=True, kw_only=True)
class Published:
    """A release in the store; `listed` is when its list was written, by the store's clock.

    `digests` is path to SHA-256, as SHA256SUMS has it.
    """

    pipeline: str
    id: str
    listed: datetime
    digests: Mapping[str, str]

    @property
    def place(self) -> str:
        """Its folder in the store."""
        return f"releases/{self.pipeline}/{self.id}"

    @cached_property
    def blobs(self) -> frozenset[str]:
        """The keys of all that it names."""
        return frozenset(checksums.blob_key(path, digest)
                         for path, digest in self.digests.items())


def releases(store: Store) -> list[Published]:
    """All releases of all pipelines, whoever pushed them; a list makes a release.

    No signature is looked at: what is named stays, and hosts believe none of it unchecked.
    IntegrityError where a list can't be read: then nobody knows what it names.
    """
    lists = [(match, entry) for entry in store.entries("releases/")
             if (match := LIST.fullmatch(entry.key))]

    def read(named: tuple[re.Match[str], Entry]) -> Published | None:
        match, entry = named
        data = content(store, entry.key, most=MAX_LIST)
        if data is None:  # it went meanwhile
            return None
        return Published(pipeline=match[1], id=match[2], listed=entry.modified,
                         digests=checksums.parse_sums(data, where=f"{store.url}: {entry.key}"))

    return [release for release in run_all(read, lists) if release]


def images(store: Store, release: Published) -> dict[str, Any]:
    """A release's images.receipt.json: the images that it pulls, by their places; none of one
    that carries image files.

    IntegrityError where the store doesn't hold it as it is listed.
    """
    if SIF_INDEX in release.digests:
        return {"images": []}
    digest = release.digests.get(RECEIPT)
    key = checksums.blob_key(RECEIPT, digest or "")
    where = f"{store.url}: {release.place}, {key}"
    data = content(store, key, most=MAX_LIST) if digest else None
    if data is None or files.sha256_bytes(data) != digest:
        raise IntegrityError("a release's list of images is missing, or has other bytes",
                             where=where, todo="push that release again")
    try:
        receipt: dict[str, Any] = from_bytes(data, "images-receipt", where=where)
    except ConfigError as error:
        raise IntegrityError(f"a release's list of images can't be read: {error.what}",
                             where=where) from error
    return receipt


def digests_of(image: Mapping[str, Any]) -> set[str]:
    """The digests that an entry of a receipt names: its manifest, its index, other platforms'."""
    return {image["digest"], *([image["index"]] if "index" in image else []),
            *(other["digest"] for other in image.get("others", []))}
