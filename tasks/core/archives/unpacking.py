"""Archives from outside, unpacked with distrust: zip, and tar with or without compression."""

from __future__ import annotations

import contextlib
import errno
import itertools
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tasks.core import files
from tasks.core.archives import compressed, limits, tars
from tasks.core.archives.limits import Bounds, Count
from tasks.core.errors import IntegrityError

HEADERS = 1024
"""Bytes of a tar's stream that a member may have, on average, beside its content."""
ENTRY = 256
"""Bytes that a member may have, on average, in a zip's list of them, which is read whole."""
_NO_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError,
           OverflowError, struct.error)
_IN_THE_WAY = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP}
"""What a system says where two members can't both be what they say."""


def unpack(archive: Path, folder: Path, *, allowed: Bounds = limits.CODE) -> str | None:
    """Unpack a zip or tar by its content into `folder`; the commit that it says it holds, if any.

    git archive, and so every forge, writes the commit into the comment of either. Raises
    IntegrityError as `unpack_zip` does.
    """
    if not zipfile.is_zipfile(archive):
        return unpack_tar(archive, folder, allowed=allowed)
    unpack_zip(archive, folder, allowed=allowed)
    with zipfile.ZipFile(archive) as opened:
        return opened.comment.decode(errors="replace") or None


def unpack_tar(archive: Path, folder: Path, *, allowed: Bounds = limits.CODE) -> str | None:
    """Unpack a tar into `folder`, which appears whole or not at all; its comment, if it has one.

    IntegrityError for members that leave the folder, links that point out of it, hard links,
    devices, pipes, repeated names, sparse members, and for more than is `allowed`.
    """
    told: list[str] = []
    with _judged(archive, "neither a whole zip nor a whole tar archive"):
        files.atomic_folder(folder, lambda temporary: told.append(
            _unpack_members(archive, temporary, allowed)))
    return told[0] or None


def _unpack_members(archive: Path, folder: Path, allowed: Bounds) -> str:
    """Unpack as it streams by, so that nothing is read twice or beyond the bound."""
    count = Count(bounds=allowed, where=archive.name)
    with compressed.opened(archive, most=allowed.size + HEADERS * allowed.members) as stream:
        reader = tars.Reader(stream=stream)
        for member in reader:
            target = files.inside(folder, member.name.rstrip("/"))
            _judge_member(member, archive)
            count.add(member.name, member.size, is_folder=member.is_folder)
            _refuse_through_link(folder, target, archive)
            _write_member(reader, member, target)
        return reader.comment


def _judge_member(member: tars.Member, archive: Path) -> None:
    if member.is_link:
        if not files.points_inside(member.name, member.link):
            raise IntegrityError(f"the link {member.name!r} points out of the archive",
                                 where=archive.name)
    elif not (member.is_file or member.is_folder):
        raise IntegrityError(f"{member.name!r} is neither file, folder nor link",
                             where=archive.name)


def _write_member(reader: tars.Reader, member: tars.Member, target: Path) -> None:
    if member.is_folder:
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if member.is_link:
        target.symlink_to(member.link)
        return
    with target.open("xb") as writer:
        while block := reader.content(files.CHUNK):
            writer.write(block)
    target.chmod(0o755 if member.is_executable else 0o644)


def _refuse_through_link(root: Path, target: Path, archive: Path) -> None:
    for parent in target.parents:
        if parent == root:
            return
        if parent.is_symlink():
            raise IntegrityError(f"{target.name!r} would be written through a link",
                                 where=archive.name)


def unpack_zip(archive: Path, folder: Path, *, allowed: Bounds = limits.PLUGIN) -> None:
    """Unpack the zip into `folder`, which appears whole or not at all.

    IntegrityError for members that would leave the folder, links, encrypted, repeated or
    overlapping members, and for more than is `allowed`.
    """
    with open_zip(archive, allowed=allowed) as opened:
        members = opened.infolist()
        _judge(members, archive, allowed)
        _refuse_overlapping(members, archive)
        files.atomic_folder(folder, lambda temporary: _extract(opened, members, temporary))


@contextlib.contextmanager
def open_zip(archive: Path, *, allowed: Bounds) -> Iterator[zipfile.ZipFile]:
    """A zip from outside, whose list of members is read within bounds; IntegrityError if it is
    none, also for what shows while its members are read."""
    with (_judged(archive, "not a whole zip archive"), archive.open("rb") as stream,
          zipfile.ZipFile(_ListedWithin(stream, ENTRY * allowed.members, archive)) as opened):
        yield opened


def read_member(opened: zipfile.ZipFile, name: str, *, most: int) -> bytes:
    """A small member's content; IntegrityError beyond `most` bytes."""
    if opened.getinfo(name).file_size > most:
        raise IntegrityError(f"{name} has more than the {files.human_size(most)} that are allowed",
                             where=opened.filename)
    return opened.read(name)


class _ListedWithin:
    """A zip's file, of which no more than `most` bytes are read at once: zipfile reads the list of
    members whole, and by it alone knows where they are."""

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


@contextlib.contextmanager
def _judged(archive: Path, what: str) -> Iterator[None]:
    """Turn what shows that an archive is broken into IntegrityError; a full disk is none of it."""
    try:
        yield
    except (*_NO_ZIP, *compressed.FAULTS) as error:
        raise IntegrityError(f"this is {what}: {error}", where=archive.name) from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # a place before the file's begin
            raise IntegrityError(f"this is {what}", where=archive.name) from error
        if error.errno not in _IN_THE_WAY:
            raise
        raise IntegrityError(f"the archive is refused: {error.strerror}, as two of its members "
                             "have one place, or a name is too long", where=archive.name,
                             todo="ask those who published it") from error


def _judge(members: list[zipfile.ZipInfo], archive: Path, allowed: Bounds) -> None:
    count = Count(bounds=allowed, where=archive.name)
    faults: list[str] = []
    size = sum(member.file_size for member in members)
    if size > allowed.size:
        raise IntegrityError(f"the archive is refused: unpacked it has {files.human_size(size)}, "
                             f"and {files.human_size(allowed.size)} are allowed",
                             where=archive.name, todo="ask those who published it")
    seen: set[str] = set()
    for member in members:
        name = member.filename
        count.add(name, member.file_size, is_folder=member.is_dir())
        faults += _faults(member)
        if name.rstrip("/") in seen:
            faults.append(f"{name!r} comes twice")
        seen.add(name.rstrip("/"))
    if faults:
        raise IntegrityError("the archive is refused:\n"
                             + "\n".join(f"    {fault}" for fault in faults[:20]),
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
    """Refuse members whose bytes are those of others, too: a few can so stand for very many."""
    ordered = sorted(members, key=lambda each: each.header_offset)
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
