"""Which volumes hold which files, where a carried folder is split to a size.

A stretch is one volume of many files, or several that one large file needs. One that is whole and
still wanted stays under its numbers, so that the next time only what differs is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tasks.carry.contents import File
from tasks.carry.record import Stretch
from tasks.core.archives import volumes
from tasks.core.archives.volumes import Member
from tasks.core.errors import ConfigError
from tasks.core.trust.carried import MAX_VOLUMES, volume

BESIDE = 4096
"""Bytes of a volume's size that are left for its own list beside it, and for its name."""
OPEN = 50
"""Volumes that a file may still go into: more would cost time, and fill hardly better."""


def member(file: File) -> Member:
    return Member(name=file.path, size=file.size, sha256=file.sha256)


def names(stretch: Stretch, wanted: Mapping[str, File], room: int) -> list[str]:
    """The volumes of a stretch."""
    needed = _needed([wanted[path] for path in stretch.paths], room)
    return [volume(number) for number in range(stretch.first, stretch.first + needed)]


def kept(root: Path, before: Iterable[Stretch], wanted: Mapping[str, File],
         room: int) -> Iterator[tuple[Stretch, Mapping[str, str]]]:
    """Stretches that are there as they must be, with their volumes' SHA-256."""
    seen: set[str] = set()
    for stretch in before:
        if seen.isdisjoint(stretch.paths) and all(path in wanted for path in stretch.paths):
            last = stretch.first + _needed([wanted[path] for path in stretch.paths], room) - 1
            held = volumes.holds(root, names(stretch, wanted, room),
                                 (member(wanted[path]) for path in stretch.paths)) \
                if last <= MAX_VOLUMES else None
            if held is not None:
                seen.update(stretch.paths)
                yield stretch, held


def plan(files: Sequence[File], taken: Iterable[int], room: int) -> list[Stretch]:
    """Stretches for files that no volume holds yet, on numbers that aren't taken.

    The largest files come first, so that what changes with every release, which is small, is
    together. ConfigError where there would be too many volumes.
    """
    used = set(taken)
    planned = []
    for paths, needed in _packed(sorted(files, key=lambda file: (-file.size, file.path)), room):
        first = next((number for number in range(1, MAX_VOLUMES - needed + 2)
                      if used.isdisjoint(range(number, number + needed))), None)
        if first is None:
            raise ConfigError(f"this needs more than {MAX_VOLUMES} volumes", where="part=SIZE",
                              todo="give a larger size")
        used.update(range(first, first + needed))
        planned.append(Stretch(first=first, paths=paths))
    return planned


def _packed(files: Iterable[File], room: int) -> Iterator[tuple[tuple[str, ...], int]]:
    """Files as they share a volume, with the count of volumes that they need: each goes into the
    first that has room for it."""
    waiting: list[list[str]] = []
    lengths: list[int] = []
    for file in files:
        length = volumes.length(member(file))
        if length > room:
            yield (file.path,), -(-length // room)
            continue
        fitting = next((number for number, full in enumerate(lengths) if full + length <= room),
                       None)
        if fitting is None:
            if len(waiting) == OPEN:
                lengths.pop(0)
                yield tuple(waiting.pop(0)), 1
            fitting = len(waiting)
            waiting.append([])
            lengths.append(0)
        waiting[fitting].append(file.path)
        lengths[fitting] += length
    for paths in waiting:
        yield tuple(paths), 1


def _needed(files: Iterable[File], room: int) -> int:
    return -(-sum(volumes.length(member(file)) for file in files) // room)
