"""images:outdated: tags that mean something else at their source than the lock says.

An image file that oras:// names is asked for by its manifest. Of one at https:// nothing says
whether it is the same but its bytes: a length may stay and an ETag may change, so it isn't asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core.registry.client import Access, Registries
from tasks.images import image_files
from tasks.images.lock_format import read_lock
from tasks.images.moved_tags import CURRENT, GONE, MOVED, PINNED, UNKNOWN, TagState, ask_tags


@dataclass(frozen=True, kw_only=True)
class OutdatedSpec:
    """What images:outdated reads."""

    pipeline: str
    lock: Path
    access: Access


def show_outdated(spec: OutdatedSpec) -> str:
    """Print the images whose tag has moved or is gone, and those that can't be asked for."""
    standing = image_files.read_lock(spec.lock)
    tags = ask_tags(Registries(spec.access), [
        *((image.source, image.resolved_to) for image in read_lock(spec.lock)),
        *((image_files.artifact(file.source), file.manifest) for file in standing
          if file.manifest is not None)])
    unasked = sum(file.manifest is None for file in standing)
    print(table(tags), end="", flush=True)
    counts = [f"{count} {state}" for state in (MOVED, GONE, UNKNOWN)
              if (count := sum(tag.state == state for tag in tags))]
    return (f"{', '.join(counts) or 'none moved'} of {len(tags)} images"
            + ("; to take what is there now: `doit relock=1 images:lock`" if counts else "")
            + (f"; {unasked} image files at https:// are not asked: `doit relock=1 images:lock` "
               "alone fetches and compares them" if unasked else ""))


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
