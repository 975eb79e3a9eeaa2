"""Releases as the store holds them, read on the online side, by trusted signatures alone."""

from __future__ import annotations

from tasks.core.store.interface import Store
from tasks.core.trust import checksums, promotions, releases
from tasks.core.trust.releases import Release
from tasks.release.chain import Chain


def ids(here: Chain) -> list[str]:
    """The names of all releases of the pipeline in the store, signed or not, odd ones too."""
    return sorted({key.split("/")[2] for key in promotions.keys(here.store, here.subject)
                   if key.endswith("/SHA256SUMS") and key.count("/") == 3})


def read(here: Chain, name: str) -> Release:
    """A release by its id; StoreError where there is none, IntegrityError where it isn't right."""
    return releases.read(here.store, here.subject, name, here.trust)


def missing(store: Store, release: Release) -> list[str]:
    """The release's files that the store doesn't hold, by their paths."""
    keys = {path: checksums.blob_key(path, digest) for path, digest in release.digests.items()}
    there = store.sizes({*keys.values()})
    return sorted(path for path, key in keys.items() if key not in there)
