"""Zips from outside: their members judged before any is read, then unpacked within limits."""

from __future__ import annotations

import contextlib
import itertools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tasks.core import files
from tasks.core.archives import limits
from tasks.core.archives.broken import refusing_broken
from tasks.core.archives.limits import Bounds, Count
from tasks.core.errors import IntegrityError

MAX_ENTRY_BYTES = 256
"""What a member may have on average in a zip's list of members, which is read whole."""
MAX_LISTED_FAULTS = 20


def unpack_zip(archive: Path, folder: Path, *, allowed: Bounds = limits.PLUGIN) -> None:
    """Unpack the zip into `folder`, which appears whole or not at all.

    IntegrityError for members that would leave the folder, links, encrypted, repeated or
    overlapping members, and for more than is `allowed`.
    """
    with open_zip(archive, allowed=allowed) as opened:
        members = opened.infolist()
        _refuse_unsafe(members, archive, allowed)
        _refuse_overlapping(members, archive)
        files.atomic_folder(folder, lambda temporary: _extract(opened, members, temporary))


@contextlib.contextmanager
def open_zip(archive: Path, *, allowed: Bounds) -> Iterator[zipfile.ZipFile]:
    """Open a zip whose list of members is read within limits.

    IntegrityError where it is no zip, also where that shows only while a member is read.
    """
    most = MAX_ENTRY_BYTES * allowed.members
    with (refusing_broken(archive, "not a whole zip archive"), archive.open("rb") as stream,
          zipfile.ZipFile(_ListedWithin(stream, most, archive)) as opened):
        yield opened


def read_member(opened: zipfile.ZipFile, name: str, *, most: int) -> bytes:
    """Return a small member's content; IntegrityError where it has more than `most` bytes."""
    if opened.getinfo(name).file_size > most:
        raise IntegrityError(f"{name} has more than the {files.human_size(most)} that are allowed",
                             where=opened.filename)
    return opened.read(name)


class _ListedWithin:
    """A zip's file that reads at most `most` bytes at once.

    zipfile reads the list of members whole, and knows by it alone where they are.
    """

    def __init__(self, stream: IO[bytes], most: int, archive: Path) -> None:
        self._stream, self._most, self._archive = stream, max(most, files.CHUNK), archive
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable
        self.close, self.name = stream.close, archive.name

    def read(self, size: int = -1, /) -> bytes:
        if size > self._most:
            raise IntegrityError("the archive is refused: its list of members has "
                                 f"{files.human_size(size)}, and {files.human_size(self._most)} "
                                 "are allowed", where=self._archive.name,
                                 todo="ask those who published it")
        return self._stream.read(self._most if size < 0 else size)


def _refuse_unsafe(members: list[zipfile.ZipInfo], archive: Path, allowed: Bounds) -> None:
    count = Count(bounds=allowed, where=archive.name)
    faults: list[str] = []
    size = sum(member.file_size for member in members)
    if size > allowed.size:
        raise IntegrityError(f"the archive is refused: unpacked it has {files.human_size(size)}, "
                             f"and {files.human_size(allowed.size)} are allowed",
                             where=archive.name, todo="ask those who published it")
    names: set[str] = set()
    for member in members:
        name = member.filename
        count.add(name, member.file_size, is_folder=member.is_dir())
        faults += _faults(member)
        if name.rstrip("/") in names:
            faults.append(f"{name!r} comes twice")
        names.add(name.rstrip("/"))
    if faults:
        raise IntegrityError("the archive is refused:\n"
                             + "\n".join(f"    {fault}" for fault in faults[:MAX_LISTED_FAULTS]),
                             where=archive.name, todo="ask those who published it")


def _faults(member: zipfile.ZipInfo) -> Iterator[str]:
    kind = member.external_attr >> 16 & 0o170000
    try:
        files.inside(Path(), member.filename)
    except IntegrityError as error:
        yield error.what
    if "\\" in member.filename:
        yield f"{member.filename!r} holds a backslash"
    if kind not in (0, 0o100000, 0o040000):
        yield f"{member.filename!r} is neither file nor folder"
    if member.flag_bits & 0x1:
        yield f"{member.filename!r} is encrypted"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # The others may ask for gigabytes of memory before they give a byte.
        yield f"{member.filename!r} is compressed by a method that is not read here"


def _refuse_overlapping(members: list[zipfile.ZipInfo], archive: Path) -> None:
    """Refuse members that share bytes: a few bytes could stand for very many members."""
    ordered = sorted(members, key=lambda member: member.header_offset)
    for before, after in itertools.pairwise(ordered):
        # A header before the content has 30 bytes or more (APPNOTE.TXT 4.3.7).
        if after.header_offset < before.header_offset + 30 + before.compress_size:
            raise IntegrityError(f"the archive is refused: {after.filename!r} lies within "
                                 f"{before.filename!r}", where=archive.name,
                                 todo="ask those who published it")


def _extract(opened: zipfile.ZipFile, members: list[zipfile.ZipInfo], folder: Path) -> None:
    for member in members:
        target = files.inside(folder, member.filename.rstrip("/"))
        if member.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        # No more than the declared size of a member is ever unpacked, so their sum is a bound.
        with opened.open(member) as reader, target.open("xb") as writer:
            while block := reader.read(files.CHUNK):
                writer.write(block)
