"""Tags that stand for another digest than the lock says: at their source, or after a relock."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.core.errors import RegistryError
from tasks.core.net.request import Broken
from tasks.core.net.unreachable import Unreachable
from tasks.core.parallel import run_all
from tasks.core.registry.client import Registries
from tasks.images.lock_format import Image
from tasks.images.reference import Reference

CURRENT, MOVED, GONE, PINNED, UNKNOWN = "current", "moved", "gone", "pinned", "unknown"


@dataclass(frozen=True, kw_only=True)
class TagState:
    """A tag at its source: the digest that it stood for when it was locked, and that of now.

    `message` says it in words.
    """

    source: Reference
    state: str
    locked: str
    now: str | None
    message: str


def moved_by_relock(before: Sequence[Image], now: Sequence[Image]) -> list[str]:
    """A line for each image that is locked to another digest than before."""
    known = {image.source: image.manifest for image in before}
    return [f"moved: {image.source} from {known[image.source]} to {image.manifest}"
            for image in now if known.get(image.source, image.manifest) != image.manifest]


def ask_sources(registries: Registries, images: Sequence[Image]) -> list[TagState]:
    """What each image's tag stands for at its source now; a silent source is asked no further."""
    return ask_tags(registries, [(image.source, image.resolved_to) for image in images])


def ask_tags(registries: Registries, tags: Sequence[tuple[Reference, str]]) -> list[TagState]:
    """The same of tags with the digests that they were locked to, such as an artifact's."""
    silent: dict[str, RegistryError] = {}
    lock = threading.Lock()

    def ask(tag: tuple[Reference, str]) -> TagState:
        source, locked = tag
        with lock:
            known = silent.get(source.host)
        try:
            if known is not None:
                raise known
            now = registries.at(source.repository).manifest_digest(source.path, source.wanted)
        except RegistryError as error:
            if isinstance(error, Broken | Unreachable):
                with lock:
                    silent.setdefault(source.host, error)
            return TagState(source=source, state=UNKNOWN, locked=locked, now=None,
                            message=error.what)
        return _compared(source, locked, now)

    return run_all(ask, tags)


def _compared(source: Reference, locked: str, now: str | None) -> TagState:
    if now is None:
        state, message = GONE, "is gone; the lock and the mirror keep what they have"
    elif source.digest:
        state, message = PINNED, "by digest"
    elif now == locked:
        state, message = CURRENT, "as locked"
    else:
        state, message = MOVED, f"has moved from {locked} to {now}"
    return TagState(source=source, state=state, locked=locked, now=now, message=message)
