"""Archives from outside, unpacked with distrust: zip, and tar with or without compression."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from tasks.core import files
from tasks.core.errors import IntegrityError

LARGEST = 1_000_000_000
"""Bytes, unpacked: the largest public plugins have some 200 MB, pipelines some 100."""
MOST = 20_000
"""Members of an archive."""

_PACKED: dict[bytes, Callable[[Path, str], Any]] = {
    b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
"""The first bytes of a compressed file, and what reads it."""


def unpack(archive: Path, folder: Path) -> str | None:
    """Unpack a zip or tar by its content into `folder`; the commit that it says it holds, if any.

    git archive, and so every forge, writes the commit into the comment of either. Raises
    IntegrityError as `unpack_zip` does.
    """
    if zipfile.is_zipfile(archive):
        unpack_zip(archive, folder)
        with zipfile.ZipFile(archive) as opened:
            return opened.comment.decode(errors="replace") or None
    told: list[str] = []
    try:
        files.atomic_folder(folder, lambda temporary: told.append(_unpack_tar(archive, temporary)))
    except (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise IntegrityError(f"this is neither a whole zip nor a whole tar archive: {error}",
                             where=archive.name) from error
    return told[0] or None


def _unpack_tar(archive: Path, folder: Path) -> str:
    """Unpack as it streams by, so that nothing is read twice or beyond the bound."""
    with archive.open("rb") as stream:
        head = stream.read(6)
    reader = next((read for magic, read in _PACKED.items() if head.startswith(magic)), Path.open)
    with reader(archive, "rb") as unpacked, tarfile.open(
            fileobj=_Bounded(unpacked, archive), mode="r|") as tar:
        files.unpack_members(tar, folder, where=archive)
        return str(tar.pax_headers.get("comment", ""))


class _Bounded(io.BytesIO):
    """A stream that ends in an error after LARGEST bytes."""

    def __init__(self, stream: IO[bytes], archive: Path) -> None:
        super().__init__()
        self._stream, self._left, self._archive = stream, LARGEST, archive

    def read(self, size: int | None = -1, /) -> bytes:
        block = self._stream.read(files.CHUNK if size is None or size < 0 else
                                  min(size, files.CHUNK))
        self._left -= len(block)
        if self._left < 0:
            raise IntegrityError("the archive is refused: unpacked it has more than the "
                                 f"{files.human_size(LARGEST)} that are allowed",
                                 where=self._archive.name)
        return block


def unpack_zip(archive: Path, folder: Path, *, largest: int = LARGEST) -> None:
    """Unpack the zip into `folder`, which must not exist.

    Raises IntegrityError, and leaves nothing, for members that would leave the folder, links,
    encrypted or repeated members, and archives beyond `largest` bytes or MOST members.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
            _judge(members, archive, largest)
            files.atomic_folder(folder, lambda temporary: _extract(opened, members, temporary))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise IntegrityError(f"this is not a whole zip archive: {error}",
                             where=archive.name) from error


def _judge(members: list[zipfile.ZipInfo], archive: Path, largest: int) -> None:
    faults = []
    seen: set[str] = set()
    for member in members:
        name = member.filename
        kind = stat.S_IFMT(member.external_attr >> 16)
        try:
            files.inside(Path(), name)
        except IntegrityError as error:
            faults.append(error.what)
        if "\\" in name:
            faults.append(f"{name!r} holds a backslash")
        if name.rstrip("/") in seen:
            faults.append(f"{name!r} comes twice")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            faults.append(f"{name!r} is neither file nor folder")
        if member.flag_bits & 0x1:
            faults.append(f"{name!r} is encrypted")
        seen.add(name.rstrip("/"))
    # No more than the declared size of a member is ever unpacked, so the sum is a bound.
    size = sum(member.file_size for member in members)
    if size > largest:
        faults.append(f"unpacked it has {files.human_size(size)}, and "
                      f"{files.human_size(largest)} are allowed")
    if len(members) > MOST:
        faults.append(f"it has {len(members)} members, and {MOST} are allowed")
    if faults:
        raise IntegrityError("the archive is refused:\n"
                             + "\n".join(f"    {fault}" for fault in faults[:20]),
                             where=archive.name, todo="ask those who published it")


def _extract(opened: zipfile.ZipFile, members: list[zipfile.ZipInfo], folder: Path) -> None:
    for member in members:
        target = files.inside(folder, member.filename.rstrip("/"))
        if member.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with opened.open(member) as reader, target.open("xb") as writer:
            shutil.copyfileobj(reader, writer, files.CHUNK)
