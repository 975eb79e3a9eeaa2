"""Releases as the store holds them, read on the online side, by trusted signatures alone."""

from __future__ import annotations

from tasks.core.errors import StoreError
from tasks.core.parallel import run_all
from tasks.core.store.interface import Store
from tasks.core.trust import checksums, releases
from tasks.core.trust.releases import Release
from tasks.release.chain import Chain


def ids(here: Chain) -> list[str]:
    """The names of all releases of the pipeline in the store, signed or not, odd ones too."""
    place = f"{here.subject.place}/"
    try:
        keys = here.store.list(place)
    except StoreError:
        if here.store.head(here.subject.pointer) is not None:
            raise
        return []  # a folder that the first push will make
    return sorted({key.split("/")[2] for key in keys
                   if key.endswith("/SHA256SUMS") and key.count("/") == 3})


def read(here: Chain, name: str) -> Release:
    """A release by its id; StoreError where there is none, IntegrityError where it isn't right."""
    return releases.read(here.store, here.subject, name, here.trust)


def missing(store: Store, release: Release) -> list[str]:
    """The release's files that the store doesn't list, by their paths."""
    def is_there(path: str) -> bool:
        key = checksums.blob_key(path, release.digests[path])
        return key in store.list(key)

    paths = sorted(release.digests)
    return [path for path, there in zip(paths, run_all(is_there, paths), strict=True) if not there]
