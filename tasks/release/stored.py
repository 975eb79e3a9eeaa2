"""Releases as the store holds them, read on the online side, by trusted signatures alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tasks.core import files
from tasks.core.errors import ConfigError, IntegrityError, StoreError
from tasks.core.parallel import run_all
from tasks.core.schema import read_json
from tasks.core.store.interface import Store
from tasks.core.trust import checksums, signature
from tasks.core.trust.promotions import CARRY_AGAIN, bring
from tasks.release.chain import Chain

ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*-[0-9a-f]{12}")
MAX_LIST = 64 << 20
"""Bytes of SHA256SUMS and of release.json: some 100 for each carried file."""


@dataclass(frozen=True, kw_only=True)
class StoredRelease:
    """A release whose list a trusted key has signed: `digests` by path, and what it is made of."""

    id: str
    revision: str
    commit: str | None
    digests: Mapping[str, str]


def ids(here: Chain) -> list[str]:
    """The ids of all releases of the pipeline that the store names, signed or not."""
    place = f"{here.subject.place}/"
    try:
        keys = here.store.list(place)
    except StoreError:
        if here.store.head(here.subject.pointer) is not None:
            raise
        return []  # a folder that the first push will make
    return sorted({key.split("/")[2] for key in keys
                   if key.endswith("/SHA256SUMS") and key.count("/") == 3})


def read(here: Chain, name: str) -> StoredRelease:
    """A release by its id; StoreError where there is none, IntegrityError where it isn't right."""
    place = f"{here.subject.place}/{name}"
    where = f"{here.store.url}: {place}/SHA256SUMS"
    if ID.fullmatch(name) is None:
        raise IntegrityError("this is no release's id", where=where, todo=CARRY_AGAIN)
    listed = bring(here.store, f"{place}/SHA256SUMS", MAX_LIST)
    try:
        seal = bring(here.store, f"{place}/SHA256SUMS.sig")
    except StoreError as error:
        raise IntegrityError(f"the signature is missing: {error.what}", where=f"{where}.sig",
                             todo=CARRY_AGAIN) from error
    signature.verify(listed, seal, namespace=signature.RELEASE, allowed=here.trust.allowed,
                     signer=here.subject.signer(here.trust.identity), where=f"{where}.sig")
    digests = checksums.parse_sums(listed, where=where)
    about = bring(here.store, f"{place}/release.json", MAX_LIST)
    if files.sha256_bytes(about) != digests.get("release.json"):
        raise IntegrityError("release.json is not the one that was signed", where=where,
                             todo=CARRY_AGAIN)
    release = _parsed(about, where)
    if (release["pipeline"], checksums.release_id(release["revision"], listed)) != (
            here.subject.pipeline, name):
        raise IntegrityError(f"this is {checksums.release_id(release['revision'], listed)} of "
                             f"{release['pipeline']}", where=where, todo=CARRY_AGAIN)
    return StoredRelease(id=name, revision=release["revision"], commit=release["commit"],
                         digests=digests)


def _parsed(data: bytes, where: str) -> dict[str, Any]:
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "release.json"
        path.write_bytes(data)
        try:
            release: dict[str, Any] = read_json(path, "release")
        except ConfigError as error:
            raise IntegrityError(f"release.json is not of this tool's form: {error.what}",
                                 where=where) from error
    return release


def missing(store: Store, release: StoredRelease) -> list[str]:
    """The release's files that the store doesn't list, by their paths."""
    def is_there(path: str) -> bool:
        key = checksums.blob_key(path, release.digests[path])
        return key in store.list(key)

    paths = sorted(release.digests)
    return [path for path, there in zip(paths, run_all(is_there, paths), strict=True) if not there]
