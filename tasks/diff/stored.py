"""A release of the store as one of the two ends, verified before anything of it is believed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core.errors import ConfigError
from tasks.core.paths import MANIFEST
from tasks.core.store.interface import Store
from tasks.core.trust import promotions, proofs, releases
from tasks.core.trust.promotions import Promotion, Subject, Trust
from tasks.core.trust.releases import Release
from tasks.diff.model import NOTHING, RELEASE, End, File, Promoted

READ = ("manifest.json", "configs.manifest.json", "images.lock.json", MANIFEST, "plugins.txt",
        "offline.config", "reach.json")
"""The files that are compared by what is in them."""
ARCHIVES = ("code.tar", "configs.tar")
"""Those that are brought only where the other end's are others."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The releases of a pipeline in a store, and by whose signature they are believed."""

    store: Store
    subject: Subject
    trust: Trust


def choose(names: Sequence[str], text: str) -> str:
    """The id that `text` is, or is the beginning of; ConfigError where that is none, or several."""
    fitting = [name for name in names if name == text] or [
        name for name in names if text and name.startswith(text)]
    if len(fitting) == 1:
        return fitting[0]
    raise ConfigError(f"several releases begin with {text!r}" if fitting else
                      f"there is no release {text!r} in the store", where="from=ID, to=ID",
                      todo=f"known: {', '.join(fitting or names) or 'none'}; or say now")


def current(stored: Stored) -> Promotion | None:
    """The newest promotion, or None where nothing was made the current release."""
    if stored.store.head(stored.subject.pointer) is None:
        return None
    return promotions.current(stored.store, stored.subject, stored.trust)


def end(stored: Stored, name: str | None, now: Promotion | None) -> tuple[End, Release | None]:
    """A release by its id, None being an empty store; its files are brought by `bring`."""
    if name is None:
        return End(kind=NOTHING), None
    release = releases.read(stored.store, stored.subject, name, stored.trust)
    sizes = {file["path"]: file["size"] for file in release.content["files"]}
    return End(kind=RELEASE, id=name, about=release.content, promoted=_promoted(stored, name, now),
                listed={path: File(sha256=digest, size=sizes.get(path))
                        for path, digest in release.digests.items()}), release


def _promoted(stored: Stored, name: str, now: Promotion | None) -> Promoted:
    """What its newest promotion says, and whether it was withdrawn since."""
    if now is None:
        return Promoted()
    own = now if now.id == name else promotions.naming(stored.store, stored.subject, name,
                                                       stored.trust)
    withdrawn = next((entry.reason for entry in now.withdrawn if entry.id == name), None)
    if own is None:
        return Promoted(withdrawn=withdrawn)
    proof = proofs.of(stored.store, own)
    return Promoted(is_current=now.id == name, number=own.number, signed=own.signed,
                    expires=own.expires, proof=proofs.lines(proof) if proof else None,
                    unproven=own.unproven, back=own.back, withdrawn=withdrawn)


def bring(stored: Stored, release: Release, own: End, other: End, folder: Path) -> End:
    """The end with its files, in a folder; archives where the other end's differ."""
    archives = [path for path in ARCHIVES if own.listed.get(path) != other.listed.get(path)
                or own.about.get("profile") != other.about.get("profile")]
    manifests = [path for path in own.listed if path.startswith("own/")
                 and path.endswith(f"/{MANIFEST}")]
    places: Mapping[str, Path] = {
        path: folder / str(number) / path.rpartition("/")[2]
        for number, path in enumerate([*READ, *archives, *manifests]) if path in own.listed}
    for path, place in places.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        releases.get(stored.store, release, path, place)
    return dataclasses.replace(own, files=places)
