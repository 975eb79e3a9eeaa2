"""`prod:export`: a run's record, page and results as one file, for the way back to the online side.

A plain tar, the same bytes whenever it is packed: the signed list, its signature, the record, its
page where the list has it, then the results, links as what they lead to. What was given stays
behind, since params may hold tokens.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from tasks.core import disk, files
from tasks.core.config.settings import offline_command
from tasks.core.errors import ConfigError, IntegrityError
from tasks.core.trust import checksums
from tasks.offline_host import runs
from tasks.offline_host.run_folder import RunFolder, time


class _Hashed:
    """A stream whose bytes are hashed as they are read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._digest = stream, hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        block = self._stream.read(size)
        self._digest.update(block)
        return block

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


def export(folder: RunFolder, to: Path) -> Path:
    """Pack a run into the file `to`, or into a folder that is there; return the file.

    IntegrityError where a result is not what was recorded, ConfigError where the run has none or
    the file is there already; then nothing is left.
    """
    record = runs.whole(folder)
    if record["results"] is None or not folder.sums.is_file():
        raise ConfigError("this run has no list of its results: it is under way, or it was ended "
                          "before it had one", where=folder.path,
                          todo="run the same command again, then export the run that goes on")
    target = to / f"{record['pipeline']}-{folder.name}.tar" if to.is_dir() else to
    if target.exists():
        raise ConfigError("there is a file already", where=target,
                          todo="name another by to=FILE, or remove this one")
    disk.hold(target.parent, sum(row["size"] for row in record["results"]), "the run's results")
    ended = int(time(record["ended"]).timestamp())
    with files.atomic(target) as stream, tarfile.open(
            fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in _small(folder):
            _add(archive, f"{folder.name}/{name}", io.BytesIO(data), len(data), ended)
        for row in record["results"]:
            _add_result(archive, folder, row, ended)
    return target


def _add_result(archive: tarfile.TarFile, folder: RunFolder, row: Mapping[str, Any],
                mtime: int) -> None:
    """Pack one result, hashed as it is read; IntegrityError where it isn't what was recorded."""
    path = f"results/{row['path']}"
    try:
        reader = (folder.path / path).open("rb")
    except OSError as error:
        raise _changed(folder, path) from error
    with reader:
        hashed = _Hashed(reader)
        if os.fstat(reader.fileno()).st_size != row["size"]:
            raise _changed(folder, path)
        _add(archive, f"{folder.name}/{path}", hashed, row["size"], mtime)
    if hashed.sha256 != row["sha256"]:
        raise _changed(folder, path)


def _small(folder: RunFolder) -> Iterator[tuple[str, bytes]]:
    """The list, its signature where there is one, the record, and the page where the list has it,
    in the order of the archive."""
    for path in (folder.sums, folder.signature, folder.record):
        if path != folder.signature or path.is_file():
            yield path.name, path.read_bytes()
    listed = checksums.parse_sums(folder.sums.read_bytes(), where=folder.sums)
    if folder.page.name in listed:
        page = folder.page.read_bytes() if folder.page.is_file() else b""
        if files.sha256_bytes(page) != listed[folder.page.name]:
            raise _changed(folder, folder.page.name)
        yield folder.page.name, page


def _add(archive: tarfile.TarFile, name: str, stream: IO[bytes] | _Hashed, size: int,
         mtime: int) -> None:
    about = tarfile.TarInfo(name)
    about.size, about.mode, about.mtime = size, 0o644, mtime
    archive.addfile(about, stream)


def _changed(folder: RunFolder, path: str) -> IntegrityError:
    return IntegrityError(f"{path} is not what was recorded of it", where=folder.path,
                          todo=f"`{offline_command(f'runs:verify {folder.name}')}` names all "
                               "that has changed; only what the record says is packed")
