"""images:outdated: tags that mean something else at their source than the lock says."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core.errors import RegistryError
from tasks.core.net.transport import Broken
from tasks.core.parallel import run_all
from tasks.core.registry.client import Access, Registries
from tasks.images.locked import Image, read_lock
from tasks.images.reference import Reference

CURRENT, MOVED, GONE, PINNED, UNKNOWN = "current", "moved", "gone", "pinned", "unknown"


@dataclass(frozen=True, kw_only=True)
class OutdatedSpec:
    """What images:outdated reads."""

    pipeline: str
    lock: Path
    access: Access


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One image at its source: `locked` and `now` are what its tag meant and means."""

    source: Reference
    state: str
    locked: str
    now: str | None
    said: str


def show_outdated(spec: OutdatedSpec) -> str:
    """Print the images whose tag has moved or is gone, and those that can't be asked for."""
    seen = look(Registries(spec.access), read_lock(spec.lock))
    print(table(seen), end="", flush=True)
    counts = [f"{count} {state}" for state in (MOVED, GONE, UNKNOWN)
              if (count := sum(each.state == state for each in seen))]
    return (f"{', '.join(counts) or 'none moved'} of {len(seen)} images"
            + ("; to take what is there now: `doit relock=1 images:lock`" if counts else ""))


def look(registries: Registries, images: Sequence[Image]) -> list[Seen]:
    """Ask each image's source what its tag means now; one that is silent is asked no further."""
    silent: dict[str, RegistryError] = {}
    lock = threading.Lock()

    def ask(image: Image) -> Seen:
        source, locked = image.source, image.resolved_to
        wanted = source.digest or source.tag or "latest"
        with lock:
            known = silent.get(source.host)
        try:
            if known is not None:
                raise known
            now = registries.at(source.host).manifest_digest(source.path, wanted)
        except RegistryError as error:
            if isinstance(error, Broken):
                with lock:
                    silent.setdefault(source.host, error)
            return Seen(source=source, state=UNKNOWN, locked=locked, now=None, said=error.what)
        if now is None:
            return Seen(source=source, state=GONE, locked=locked, now=None,
                        said="is gone; the lock and the mirror keep what they have")
        if source.digest:
            return Seen(source=source, state=PINNED, locked=locked, now=now, said="by digest")
        if now == locked:
            return Seen(source=source, state=CURRENT, locked=locked, now=now, said="as locked")
        return Seen(source=source, state=MOVED, locked=locked, now=now,
                    said=f"has moved from {locked} to {now}")

    return run_all(ask, images)


def table(seen: Sequence[Seen]) -> str:
    """What needs attention, for people: nothing where all is as locked."""
    rows = [(each.state, str(each.source), each.locked, each.now or each.said)
            for each in seen if each.state not in (CURRENT, PINNED)]
    if not rows:
        return ""
    rows.insert(0, ("state", "image", "locked", "now"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "".join("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths,
                                                                         strict=False)),
                              row[3]]) + "\n" for row in rows)
