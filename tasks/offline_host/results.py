"""A run's results: every file with its digest, listed for sha256sum, signed, held against it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.archives import limits
from tasks.core.errors import IntegrityError
from tasks.core.frozen import frozen
from tasks.core.parallel import run_all
from tasks.core.trust import checksums
from tasks.offline_host.run_folder import in_utf8

MAX_DEPTH = limits.MAX_DEPTH - 10
"""Folders in each other that are looked into, so that a packed run is never too deep."""


@frozen
class Results:
    """`files` with path, sha256 and size; `unlisted` with path and why: what no list can hold.

    `links` are those that lie elsewhere, in the work folder above all, where a pipeline publishes
    by links.
    """

    files: tuple[dict[str, Any], ...]
    unlisted: tuple[dict[str, str], ...]
    links: int = 0

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 by the path from the run's folder."""
        return digests(self.files)


def digests(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """SHA-256 by the path from the run's folder, of a record's results."""
    return {f"results/{row['path']}": row["sha256"] for row in rows}


def listed(root: Path) -> Results:
    """Return all that lies below `root`, links as what they lead to, with digests."""
    paths, unlisted = [], []
    for path, is_file in walked(root):
        name = path.relative_to(root)
        why = _why_not(name) if is_file else _kind(path)
        if why:
            unlisted.append({"path": in_utf8(name), "why": why})
        else:
            paths.append(path)
    rows = []
    for path, row in zip(paths, run_all(_row, paths, threads=os.cpu_count() or 1), strict=True):
        name = path.relative_to(root)
        if isinstance(row, str):
            unlisted.append({"path": in_utf8(name), "why": row})
        else:
            rows.append({"path": name.as_posix(), **row})
    place = root.resolve()
    links = sum(not path.resolve().is_relative_to(place) for path in paths)
    return Results(files=tuple(sorted(rows, key=lambda row: row["path"])), links=links,
                   unlisted=tuple(sorted(unlisted, key=lambda row: row["path"])))


def walked(root: Path) -> Iterator[tuple[Path, bool]]:
    """Yield all that is no folder, and whether it is a file; links to folders are gone into.

    A folder that leads back to one that it stands in is passed over.
    """
    waiting: list[tuple[Path, tuple[tuple[int, int], ...]]] = [(root, ())]
    while waiting:
        folder, above = waiting.pop()
        try:
            about = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            if folder != root:
                yield folder, False
            continue
        here = (about.st_dev, about.st_ino)
        if here in above or len(above) > MAX_DEPTH:
            yield folder, False
            continue
        for entry in entries:
            is_folder, is_file = _kinds(entry)
            if is_folder:
                waiting.append((Path(entry.path), (*above, here)))
            else:
                yield Path(entry.path), is_file


def differences(root: Path, recorded: Iterable[Mapping[str, Any]],
                unlisted: Iterable[Mapping[str, str]]) -> list[tuple[str, str]]:
    """What has happened to results since they were recorded: changed, missing or added, and what.
    """
    now = listed(root)
    before = {row["path"]: (row["sha256"], row["size"]) for row in recorded}
    after = {row["path"]: (row["sha256"], row["size"]) for row in now.files}
    odd = {row["path"] for row in unlisted}
    return sorted([
        *(("changed", path) for path in before.keys() & after.keys()
          if before[path] != after[path]),
        *(("missing", path) for path in before.keys() - after.keys()),
        *(("added", path) for path in after.keys() - before.keys()),
        *(("added", row["path"]) for row in now.unlisted if row["path"] not in {*odd, *before})],
        key=lambda row: row[1])


def _row(path: Path) -> dict[str, Any] | str:
    """A file's digest and size, or why they can't be had."""
    try:
        return {"sha256": files.sha256(path), "size": path.stat().st_size}
    except OSError as error:
        return error.strerror or type(error).__name__


def _why_not(name: Path) -> str | None:
    """Why a name can't stand in SHA256SUMS, or None."""
    try:
        str(name).encode()
        checksums.format_sums({name.as_posix(): "0" * 64})
    except (UnicodeEncodeError, IntegrityError):
        return "its name can't stand in a list of checksums"
    return None


def _kind(path: Path) -> str:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return f"it leads nowhere: {error.strerror}" if path.is_symlink() else (
            error.strerror or type(error).__name__)
    return "it can't be looked into" if stat.S_ISDIR(mode) else "it is no regular file"


def _kinds(entry: os.DirEntry[str]) -> tuple[bool, bool]:
    """Whether it is a folder, and whether a file; what can't be asked is neither."""
    try:
        return entry.is_dir(), entry.is_file()
    except OSError:
        return False, False
