"""The registries that locked images come from: what one lacks is told by the lock that names it.

A site may ask a proxy that has an image under another digest than others have, or not at all; a
digest may be deleted where it came from. Then the registry's bare 404 helps nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tasks.core import config_places
from tasks.core.errors import ImageError
from tasks.core.lock_files import Entry, LockFiles
from tasks.core.registry.client import Manifest, Registries, Registry
from tasks.core.registry.endpoint import Missing
from tasks.images.lock_format import read_entries
from tasks.images.reference import Reference, parse


class LockedSources:
    """The source registries by the repository of an image's name, as `Contents` has it.

    `kept` is what of an image needn't come from there again, for the errors.
    """

    def __init__(self, registries: Registries, committed: LockFiles, kept: str) -> None:
        self._registries, self._committed, self._kept = registries, committed, kept

    def at(self, name: str) -> LockedSource:
        """The source of the images of the repository `name`, host/path."""
        return LockedSource(self._registries.at(name), name, self._committed, self._kept)


class LockedSource:
    """One repository's source."""

    def __init__(self, registry: Registry, repository: str, committed: LockFiles,
                 kept: str) -> None:
        self._registry, self._repository = registry, repository
        self._committed, self._kept = committed, kept

    @contextmanager
    def blob(self, path: str, digest: str, size: int) -> Iterator[Iterator[bytes]]:
        """The blob's bytes as they come; they end with IntegrityError where they aren't it."""
        with self._told(digest), self._registry.blob(path, digest, size) as chunks:
            yield chunks

    def manifest(self, path: str, reference: str) -> Manifest:
        """A manifest by its digest."""
        with self._told(reference):
            return self._registry.manifest(path, reference)

    def _told(self, digest: str) -> AbstractContextManager[None]:
        return _told(self._repository, digest, self._committed, self._kept)


@contextmanager
def _told(repository: str, digest: str, committed: LockFiles, kept: str) -> Iterator[None]:
    """Let a 404 for a locked digest become an error that names the lock to renew, and how."""
    try:
        yield
    except Missing as error:
        named = _naming(repository, digest, committed)
        if named is None:
            raise
        raise _gone(error, digest, *named, committed, kept) from error


def _naming(repository: str, digest: str, committed: LockFiles) -> tuple[Entry, Path] | None:
    """The lock's entry that names a digest, and the file that it stands in."""
    for path in reversed(committed.paths):
        for entry in (read_entries(path) if path.is_file() else {}).values():
            if parse(entry["source"]).repository == repository and digest in _digests(entry):
                return entry, path
    return None


def _digests(entry: Entry) -> set[str]:
    """The digests of an entry's index, manifests, configs and layers."""
    variants = [entry, *entry.get("others", [])]
    blobs = [blob for variant in variants for blob in (variant["config"], *variant["layers"])]
    return {str(entry["index"]), *(variant["manifest"] for variant in variants),
            *(blob["digest"] for blob in blobs if blob)}


def _gone(error: Missing, digest: str, entry: Entry, path: Path, committed: LockFiles,
          kept: str) -> ImageError:
    source = parse(entry["source"])
    part = "" if digest == entry["manifest"] else f" for a part of it, {digest}"
    whose = ("which all sites share" if path == committed.shared else
             f"which is this site's own, as resolved at {entry.get('reached_at', 'its source')}")
    return ImageError(
        f"the locked image {source.at(entry['manifest'])} is gone, or was never here: "
        f"{error.host} answers 404{part}\n  locked: {source}, on {entry['resolved']}, in {path}, "
        f"{whose}",
        where=error.where, todo=f"{_cure(source, committed)}\n         {kept}")


def _cure(source: Reference, committed: LockFiles) -> str:
    if source.digest:
        return ("the pipeline names this digest, so no new lock helps: have that registry bring "
                "it, or give another image under `images` in "
                f"{config_places.pipeline(committed.pipeline)}")
    return f"to lock what the tag {source.tag} means there now: {committed.renewing}"
