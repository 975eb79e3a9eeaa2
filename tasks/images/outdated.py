"""images:outdated: tags that mean something else at their source than the lock says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core.registry.client import Access, Registries
from tasks.images.lock_format import read_lock
from tasks.images.moved_tags import CURRENT, GONE, MOVED, PINNED, UNKNOWN, TagState, ask_sources


@dataclass(frozen=True, kw_only=True)
class OutdatedSpec:
    """What images:outdated reads."""

    pipeline: str
    lock: Path
    access: Access


def show_outdated(spec: OutdatedSpec) -> str:
    """Print the images whose tag has moved or is gone, and those that can't be asked for."""
    tags = ask_sources(Registries(spec.access), read_lock(spec.lock))
    print(table(tags), end="", flush=True)
    counts = [f"{count} {state}" for state in (MOVED, GONE, UNKNOWN)
              if (count := sum(tag.state == state for tag in tags))]
    return (f"{', '.join(counts) or 'none moved'} of {len(tags)} images"
            + ("; to take what is there now: `doit relock=1 images:lock`" if counts else ""))


def table(tags: Sequence[TagState]) -> str:
    """What needs attention, for people: nothing where all is as locked."""
    rows = [(tag.state, str(tag.source), tag.locked, tag.now or tag.message)
            for tag in tags if tag.state not in (CURRENT, PINNED)]
    if not rows:
        return ""
    rows.insert(0, ("state", "image", "locked", "now"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "".join("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths,
                                                                         strict=False)),
                              row[3]]) + "\n" for row in rows)
