"""Archives from outside, unpacked with distrust: tars, compressed or not, and zips."""

from __future__ import annotations

import filecmp
import os
import shutil
import zipfile
from collections.abc import Collection
from pathlib import Path

from tasks.core import files
from tasks.core.archives import compressed, limits, tars
from tasks.core.archives.broken import refusing_broken
from tasks.core.archives.limits import Bounds, Count
from tasks.core.archives.zips import unpack_zip
from tasks.core.errors import IntegrityError

NO_ARCHIVE = "neither a whole zip nor a whole tar archive"
MAX_HEADER_BYTES = 1024
"""What a tar's member may have on average beside its content."""


def unpack(archive: Path, folder: Path, *, allowed: Bounds = limits.CODE) -> str | None:
    """Unpack a zip or a tar, by its content, into `folder`; return the commit in its comment.

    git archive, and so every forge, writes the commit into the comment of either. Raises
    IntegrityError as `unpack_zip` does.
    """
    if not zipfile.is_zipfile(archive):
        return unpack_tar(archive, folder, allowed=allowed)
    unpack_zip(archive, folder, allowed=allowed)
    with zipfile.ZipFile(archive) as opened:
        return opened.comment.decode(errors="replace") or None


def unpack_tar(archive: Path, folder: Path, *, allowed: Bounds = limits.CODE) -> str | None:
    """Unpack a tar into `folder`, which appears whole or not at all; return its comment, if any.

    IntegrityError for members that leave the folder, links that point out of it, hard links,
    devices, pipes, repeated names, sparse members, and for more than is `allowed`.
    """
    comments: list[str] = []
    with refusing_broken(archive, NO_ARCHIVE):
        files.atomic_folder(folder, lambda temporary: comments.append(
            _unpack_members(archive, temporary, allowed)))
    return comments[0] or None


def unpack_unless_there(archive: Path, folder: Path, *, allowed: Bounds = limits.CODE,
                        besides: Collection[str] = ()) -> None:
    """Unpack a tar unless `is_there` says that it is.

    A folder that isn't right is mended file by file: who reads the others there goes on.
    """
    if is_there(archive, folder, allowed=allowed, besides=besides):
        return
    if folder.is_symlink():
        folder.unlink()
    if not folder.is_dir():
        unpack_tar(archive, folder, allowed=allowed)
        return
    with files.scratch(folder.parent, folder.name) as scratch:
        unpack_tar(archive, scratch / "new", allowed=allowed)
        try:
            _mend(folder, scratch / "new")
        except (FileExistsError, IsADirectoryError, NotADirectoryError):
            shutil.rmtree(folder)
            os.replace(scratch / "new", folder)


def _mend(folder: Path, right: Path) -> None:
    """Let a folder hold just the files of another one; those that are the same stay."""
    wanted = {path.relative_to(right) for path in files.tree(right)}
    for path in files.tree(folder):
        if path.relative_to(folder) not in wanted:
            path.unlink()
    for relative in wanted:
        if not _is_same(folder / relative, right / relative):
            (folder / relative).parent.mkdir(parents=True, exist_ok=True)
            os.replace(right / relative, folder / relative)


def _is_same(path: Path, right: Path) -> bool:
    if path.is_symlink() or right.is_symlink():
        return path.is_symlink() and right.is_symlink() and path.readlink() == right.readlink()
    return (path.is_file() and path.stat().st_mode == right.stat().st_mode
            and filecmp.cmp(path, right, shallow=False))


def is_there(archive: Path, folder: Path, *, allowed: Bounds = limits.CODE,
             besides: Collection[str] = ()) -> bool:
    """Whether a folder holds what a tar does, byte for byte, and nothing else.

    Empty files of the names `besides` may be there too.
    """
    if folder.is_symlink():
        return False
    held = set()
    with (refusing_broken(archive, NO_ARCHIVE),
          compressed.opened(archive, most=_most(allowed)) as stream):
        reader = tars.Reader(stream=stream)
        for member in reader:
            path = files.inside(folder, member.name.rstrip("/"))
            if not _stands(reader, member, path):
                return False
            held.add(path)
        return all(path in held or (path.relative_to(folder).as_posix() in besides
                                    and not path.lstat().st_size) for path in files.tree(folder))


def _stands(reader: tars.Reader, member: tars.Member, path: Path) -> bool:
    if member.is_link:
        return path.is_symlink() and str(path.readlink()) == member.link
    if path.is_symlink() or member.is_folder:
        return path.is_dir() and not path.is_symlink()
    if not path.is_file() or bool(path.stat().st_mode & 0o100) != member.is_executable:
        return False
    with path.open("rb") as stream:
        while block := reader.content(files.CHUNK):
            if stream.read(len(block)) != block:
                return False
        return not stream.read(1)


def _most(allowed: Bounds) -> int:
    return allowed.size + MAX_HEADER_BYTES * allowed.members


def _unpack_members(archive: Path, folder: Path, allowed: Bounds) -> str:
    """Unpack while reading, so that nothing is read twice or beyond the limit."""
    count = Count(bounds=allowed, where=archive.name)
    with compressed.opened(archive, most=_most(allowed)) as stream:
        reader = tars.Reader(stream=stream)
        for member in reader:
            target = files.inside(folder, member.name.rstrip("/"))
            _refuse_unsafe(member, archive)
            count.add(member.name, member.size, is_folder=member.is_folder)
            _refuse_through_link(folder, target, archive)
            _write_member(reader, member, target)
        return reader.comment


def _refuse_unsafe(member: tars.Member, archive: Path) -> None:
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
