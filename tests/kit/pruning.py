"""Stores with releases of several revisions, to prune: small, pushed by the real steps."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.settings import Prune
from tasks.core.store.interface import Entry, Store, Stored
from tasks.core.store.store import open_store
from tasks.core.trust import published
from tasks.release import prune
from tasks.release.prune_images import ImagesSpec
from tasks.release.prune_survey import survey
from tests.kit.releases import Staged, change_code, stage

AT_ONCE = Prune(keep=1, recent=0, grace=0)
"""Only what is current stays, and nothing waits."""


def spec(store: StoreAt, policy: Prune = AT_ONCE, *, pipelines: tuple[str, ...] = ("hello",),
         images: ImagesSpec | None = None) -> prune.PruneSpec:
    return prune.PruneSpec(pipelines=pipelines, tools=True, policy=policy, store=store,
                           images=images, runs=Path("build/here/runs"),
                           report=Path("build/here/prune.json"),
                           by_hand=Path("build/here/prune.by-hand.txt"))


def revisions(count: int, store: StoreAt | None = None, pipeline: str = "hello"
              ) -> tuple[Staged, list[str]]:
    """A pipeline with so many releases in the store, the last of them the current one; their ids.
    """
    staged = stage(pipeline)
    if store is not None:
        staged = replaced(staged, store)
    ids = []
    for number in range(count):
        change_code(staged, b"workflow { %d }\n" % number)
        ids.append(staged.publish())
    return staged, ids


def replaced(staged: Staged, store: StoreAt) -> Staged:
    """The same with another store."""
    return Staged(layout=staged.layout, prod=staged.prod, signing=staged.signing, store=store,
                  trust=staged.trust)


@contextmanager
def watched(module: Any, before: Callable[[int, str, str], None]) -> Iterator[None]:
    """Have a module's steps ask the store through `Watched`."""
    opened = module.open_store
    module.open_store = lambda at: Watched(opened(at), before)
    try:
        yield
    finally:
        module.open_store = opened


def keep_versions(at: StoreAt) -> None:
    """Turn the bucket's versioning on, as aws:apply does."""
    import boto3
    # A session of its own: the one that boto3 shares keeps the login that it was first used with.
    client = boto3.Session().client("s3", endpoint_url=at.endpoint, region_name=at.region)
    client.put_bucket_versioning(Bucket=urlsplit(at.url).netloc,
                                 VersioningConfiguration={"Status": "Enabled"})


def refuse(root: Path, relative: str) -> None:
    """As a folder does in which this user may not delete."""
    raise PermissionError(errno.EACCES, "Permission denied")


def keys(at: StoreAt, prefix: str = "") -> set[str]:
    """The keys of all files in a store, those that a killed push left half among them."""
    return {entry.key for entry in open_store(at).entries(prefix)}


def releases(at: StoreAt) -> set[str]:
    """The ids of all releases in a store."""
    return {release.id for release in published.releases(open_store(at))}


def torn(at: StoreAt) -> Mapping[str, list[str]]:
    """What releases lack, each by its place."""
    held = survey(open_store(at))
    return held.missing(held.releases)


class Watched:
    """A store that calls `before` with the number and name of each request, then asks another."""

    def __init__(self, store: Store, before: Callable[[int, str, str], None]) -> None:
        self.url = store.url
        self._store, self._before, self.asked = store, before, 0

    def _count(self, name: str, key: str) -> None:
        self.asked += 1
        self._before(self.asked, name, key)

    def head(self, key: str) -> Stored | None:
        self._count("head", key)
        return self._store.head(key)

    def put(self, key: str, path: Path, sha256: str) -> str | None:
        self._count("put", key)
        return self._store.put(key, path, sha256)

    def put_bytes(self, key: str, data: bytes) -> None:
        self._count("put_bytes", key)
        self._store.put_bytes(key, data)

    def replace(self, key: str, data: bytes, before: bytes | None) -> None:
        self._count("replace", key)
        self._store.replace(key, data, before)

    def get(self, key: str, path: Path, *, most: int) -> None:
        self._count("get", key)
        self._store.get(key, path, most=most)

    def list(self, prefix: str) -> Sequence[str]:
        self._count("list", prefix)
        return self._store.list(prefix)

    def tags(self, keys: Collection[str]) -> Mapping[str, Stored] | None:
        self._count("tags", "")
        return self._store.tags(keys)

    def sizes(self, keys: Collection[str]) -> Mapping[str, int]:
        self._count("sizes", "")
        return self._store.sizes(keys)

    def entries(self, prefix: str) -> Iterator[Entry]:
        self._count("entries", prefix)
        return self._store.entries(prefix)

    def delete(self, key: str) -> bool:
        self._count("delete", key)
        return self._store.delete(key)
