"""A release as it is laid out on an offline host: links into the cache, mended while it's used."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from tasks.core import files

Stamp = tuple[int, ...]


def stamp(path: Path) -> Stamp | None:
    """Another one once a file was written or replaced; None where no file stands there itself:
    behind a link, another could change it after the check."""
    if path.is_symlink() or not path.is_file():
        return None
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def lay_out(folder: Path, wanted: Mapping[str, Path], digests: Mapping[str, str]) -> None:
    """Make a release's own folder, of links into the cache, whose files are right.

    One that is there is mended file by file, since runs may use it.
    """
    def link(into: Path, paths: Iterable[str]) -> None:
        for path in paths:
            files.link_or_copy(wanted[path], files.inside(into, path))

    there = _files_there(folder)
    if there is not None:
        with contextlib.suppress(FileExistsError, IsADirectoryError, NotADirectoryError):
            for path in there - wanted.keys():
                (folder / path).unlink()
            link(folder, [path for path, blob in wanted.items()
                          if not _is_same(folder / path, blob, digests[path])])
            return
    files.atomic_folder(folder, lambda temporary: link(temporary, wanted))


def is_laid_out(folder: Path, wanted: Mapping[str, Path], digests: Mapping[str, str]) -> bool:
    """Whether the folder holds what it should, and nothing else."""
    return _files_there(folder) == {*wanted} and all(
        _is_same(folder / path, blob, digests[path]) for path, blob in wanted.items())


def _files_there(folder: Path) -> set[str] | None:
    """The files of a release's folder; None where it must be made anew: a link is no folder."""
    if folder.is_symlink() or not folder.is_dir():
        return None
    paths = files.tree(folder)
    if any(path.is_symlink() and path.is_dir() for path in paths):
        return None
    return {path.relative_to(folder).as_posix() for path in paths}


def _is_same(path: Path, blob: Path, digest: str) -> bool:
    return stamp(path) is not None and (path.samefile(blob) or files.sha256(path) == digest)
