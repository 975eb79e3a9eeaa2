"""Room on disks: asked for before the first byte of much comes, not when it has run out."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Sequence
from pathlib import Path

from tasks.core import files
from tasks.core.errors import HostError
from tasks.core.frozen import frozen

REMOTE = {"nfs", "nfs4", "cifs", "smb3", "lustre", "gpfs", "beegfs", "ceph", "9p", "afs",
          "fuse.sshfs", "fuse.glusterfs", "fuse.s3fs"}
"""File systems on other machines, on which work folders and image stores are slow,
and locks are not kept."""


@frozen
class Need:
    """Bytes that will be written below a folder, which may not be there yet, and what they are."""

    folder: Path
    size: int
    what: str


class Disks:
    """The disks of this process's steps: what was free at first, and what was promised of it.

    So two pipelines that are fetched side by side don't count on the same room.
    """

    def __init__(self) -> None:
        self._free: dict[int, int] = {}
        self._promised: dict[int, list[Need]] = {}
        self._lock = threading.Lock()

    def promise(self, needs: Sequence[Need]) -> list[str]:
        """A line for each disk with its room; HostError where it isn't enough for all needs."""
        with self._lock:
            by_disk: dict[int, list[Need]] = {}
            for need in needs:
                by_disk.setdefault(existing(need.folder).stat().st_dev, []).append(need)
            return [self._hold(disk, own) for disk, own in by_disk.items()]

    def _hold(self, disk: int, own: list[Need]) -> str:
        free = self._free.setdefault(disk, free_at(own[0].folder))
        before = self._promised.setdefault(disk, [])
        wanted = sum(need.size for need in [*before, *own])
        place, listed = existing(own[0].folder), _listed(own)
        if wanted > free:
            also = (f", and {files.human_size(sum(need.size for need in before))} for others of "
                    "this run") if before else ""
            raise HostError(f"the disk has {files.human_size(free)} free, and needed are {listed}"
                            f"{also}", where=place,
                            todo="free space there, or carry less: data.rows, params, images; then "
                                 "run the same command again")
        before += own
        return f"{files.human_size(free)} free at {place}; needed: {listed}"


def hold(folder: Path, size: int, what: str) -> None:
    """HostError where the disk of the folder has no room for so many bytes more."""
    Disks().promise([Need(folder=folder, size=size, what=what)])


def free_at(folder: Path) -> int:
    """Bytes that may be written by us on the disk of a folder, which may not be there yet."""
    about = os.statvfs(existing(folder))
    return about.f_bavail * about.f_frsize


def existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there already."""
    folder = folder.absolute()
    return next(place for place in (folder, *folder.parents) if place.is_dir())


def file_system(place: Path, mounts: str) -> str:
    """Return the type of the file system that holds `place`, by the lines of /proc/self/mounts."""
    best, best_kind = "", ""
    for line in mounts.splitlines():
        _, point, kind, *_ = line.split(" ")
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)
        if place.is_relative_to(point) and len(point) >= len(best):
            best, best_kind = point, kind
    return best_kind


def _listed(needs: Sequence[Need]) -> str:
    sizes: dict[str, int] = {}
    for need in needs:
        if need.size:
            sizes[need.what] = sizes.get(need.what, 0) + need.size
    parts = [f"{files.human_size(size)} for {what}" for what, size in sizes.items()]
    if len(parts) < 2:
        return "".join(parts) or "nothing"
    return f"{files.human_size(sum(sizes.values()))} ({', '.join(parts)})"
