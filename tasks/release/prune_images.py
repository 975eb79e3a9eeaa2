"""Images in the registry that no release of the store names any more, taken out where that is
allowed."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tasks.core import config_places, parsing
from tasks.core.errors import AirlockError, ConfigError, RegistryError
from tasks.core.parallel import run_all, try_all
from tasks.core.registry.client import Access, Registries
from tasks.core.registry.deletion import NotAllowed, delete_manifest
from tasks.core.schema import read_json
from tasks.core.store.interface import Store
from tasks.core.trust import published
from tasks.core.trust.published import Published

THREADS = 8
NEXUS = ("in Nexus the login needs the privilege delete on the repository; after that, and after a "
         "deletion by hand, run its tasks \"Docker - Delete unused manifests and images\" and "
         "\"Admin - Compact blob store\"; with docker-registry, storage.delete.enabled and "
         "`registry garbage-collect`")
"""What frees the bytes: a registry that deletes a manifest keeps its layers until it collects."""


@dataclass(frozen=True, kw_only=True)
class ImagesSpec:
    """The site's registry, and what else may name its images.

    `own` are the places, host:port[/path], that this site mirrors to: a store can be made to name
    any image, and nothing else is deleted.
    `built` is where this checkout's receipts lie: what it has mirrored is about to be released.
    `sites` are the folders with the files of all sites, of two with one name the last: those with
    another `store` may mirror to the same place.
    """

    access: Access
    own: tuple[str, ...]
    built: Path
    site: str
    store: str
    sites: tuple[Path, ...]

    @property
    def receipts(self) -> list[Path]:
        """The receipts of all pipelines that were mirrored from here."""
        return sorted(self.built.glob("*/images.receipt.json"))

    @cached_property
    def others(self) -> Mapping[str, str]:
        """Where other sites mirror to, by host:port[/prefix]; their releases aren't known here."""
        return _other_places(self.site, self.store, self.sites)


@dataclass(frozen=True, kw_only=True)
class Named:
    """Images by `host:port/path@digest`: those of releases that stay, of those that go, and those
    that were mirrored from this checkout.

    `unknown` is what can't be known of what stays, by repository: nothing is deleted there.
    """

    kept: frozenset[str]
    gone: frozenset[str]
    here: frozenset[str]
    unknown: Mapping[str, str]

    def why_kept(self, image: str, spec: ImagesSpec) -> str | None:
        """Why an image that no release names must stay all the same, or None."""
        repository = image.partition("@")[0]
        if not any(f"{repository}/".startswith(f"{place}/") for place in spec.own):
            return "it lies outside of what this site mirrors to"
        if image in self.here:
            return "it was mirrored from this checkout, for a release to come"
        if repository in self.unknown:
            return self.unknown[repository]
        shared = [site for place, site in spec.others.items()
                  if f"{repository}/".startswith(f"{place}/")]
        return (f"the site {shared[0]} mirrors there too, and has another store" if shared
                else None)


def named(store: Store, stays: Iterable[Published], goes: Iterable[Published],
          spec: ImagesSpec) -> Named:
    """What releases and this checkout's receipts name, with all that their indexes lead to.

    IntegrityError where a release that stays doesn't tell its images.
    """
    registries = Registries(spec.access)
    kept, unknown = _closed(registries, run_all(
        lambda release: published.images(store, release), stays))
    here, unknown_here = _closed(registries, [read_json(path, "images-receipt")
                                              for path in spec.receipts])
    # A release that isn't whole goes all the same.
    gone, _ = _closed(registries, [receipt for receipt in try_all(
        lambda release: published.images(store, release), goes)
        if not isinstance(receipt, AirlockError)])
    return Named(kept=kept, gone=gone - kept, here=here, unknown={**unknown_here, **unknown})


def _closed(registries: Registries,
            receipts: Iterable[Mapping[str, Any]]) -> tuple[frozenset[str], dict[str, str]]:
    """The images of receipts with those that their indexes lead to; what can't be read, and why."""
    listed: dict[str, bool] = {}
    for receipt in receipts:
        listed |= _listed(receipt)
    indexes = [image for image, is_index in listed.items() if is_index]
    answers = try_all(lambda image: _children(registries, image), indexes, threads=THREADS)
    unknown = {image.partition("@")[0]: f"its index can't be read: {answer.what}"
               for image, answer in zip(indexes, answers, strict=True)
               if isinstance(answer, AirlockError)}
    below = {child for answer in answers if not isinstance(answer, AirlockError)
             for child in answer}
    return frozenset({*listed, *below}), unknown


def _listed(receipt: Mapping[str, Any]) -> dict[str, bool]:
    """The images of a receipt, each with whether it is an index."""
    return {f"{image['destination']}@{digest}": digest == image.get("index")
            for image in receipt["images"] for digest in published.digests_of(image)}


def _children(registries: Registries, image: str) -> list[str]:
    name, _, digest = image.partition("@")
    host, _, path = name.partition("/")
    manifest = registries.at(host).find_manifest(path, digest)
    if manifest is None:
        return []
    try:
        listed = json.loads(manifest.data).get("manifests", [])
        return [f"{name}@{child['digest']}" for child in listed]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RegistryError(f"the index {image} can't be read", where=host) from error


@dataclass(frozen=True, kw_only=True)
class Deleted:
    """What came of a deletion: images that are gone, and those that stay, each with why."""

    gone: frozenset[str]
    left: Mapping[str, str]


def delete(images: Collection[str], access: Access, ready: Callable[[], None]) -> Deleted:
    """Take images out of their registries. What one doesn't allow is left, and isn't tried again.

    One after the other: registries are not good at deleting, and there is no hurry. `ready` is
    asked before each, and may end it.
    """
    registries = Registries(access)
    gone: set[str] = set()
    left: dict[str, str] = {}
    closed: dict[str, str] = {}
    for image in sorted(images):
        name, _, digest = image.partition("@")
        host, _, path = name.partition("/")
        if host in closed:
            left[image] = closed[host]
            continue
        ready()
        try:
            delete_manifest(registries.at(host), path, digest)
            gone.add(image)
        except NotAllowed as error:
            left[image] = closed[host] = error.what
        except RegistryError as error:
            left[image] = error.what
    return Deleted(gone=frozenset(gone), left=left)


def _other_places(own: str, url: str, folders: Iterable[Path]) -> dict[str, str]:
    """Those of the sites in the folders, without `own`, and without those whose store is `url`."""
    places: dict[str, str] = {}
    by_name = {path.stem: path for folder in folders for path in sorted(folder.glob("*.yml"))}
    for path in by_name.values():
        if path.stem == own:
            continue
        try:
            raw = config_places.rebased(parsing.from_yaml(path.read_text()), ["store.url"],
                                        config_places.base_of(path))
            registry = raw["registry"]  # with image files there may be none
            port = registry.get("port")
            address = f"{registry['host']}:{port}" if port else str(registry["host"])
            prefix = registry.get("prefix", "")
            if raw["store"]["url"].rstrip("/") == url.rstrip("/"):
                continue
            wanted = [f"{address}/{prefix}" if prefix else address,
                      *registry.get("repositories", {}).values()]
        except (OSError, ValueError, ConfigError, KeyError, TypeError, AttributeError):
            continue  # a site that can't be loaded mirrors nowhere
        places |= {str(place).rstrip("/"): path.stem for place in wanted}
    return places
