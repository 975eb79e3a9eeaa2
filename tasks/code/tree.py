"""The files of a git commit, as git's own programs tell them: counted, then written."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from tasks.core import files
from tasks.core.archives import limits
from tasks.core.archives.limits import Count
from tasks.core.errors import IntegrityError, SourceError

SUBMODULE, LINK, EXECUTABLE, FOLDER = "160000", "120000", "100755", "040000"
MAX_LINE = 1 << 14
"""Bytes of an entry that git tells: modes, digest, size, and a path (PATH_MAX has 4,096)."""

Ask = Callable[..., AbstractContextManager["subprocess.Popen[bytes]"]]
"""Starts git with some words, within bounds, for as long as it is asked."""


def write(ask: Ask, commit: str, root: Path, *, where: Path) -> None:
    """Write the files of `commit` below the empty folder `root`, byte for byte as committed.

    No filter, attribute or hook is applied. All is counted before any of it is written:
    IntegrityError where it is more than `limits.CODE` allows. Submodules are refused.
    """
    entries = _entries(ask, commit, where)
    submodules = [entry.name for entry in entries if entry.mode == SUBMODULE]
    if submodules:
        raise SourceError(f"the pipeline has submodules: {', '.join(submodules)}",
                          todo="submodules are not supported; use a revision that holds the "
                               "files themselves")
    # Links come last: a tree made to deceive could name a file behind one.
    entries.sort(key=lambda entry: entry.mode == LINK)
    with ask("cat-file", "--batch") as git:
        for entry in entries:
            _write(root, entry, _content(git, entry, where))


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """A file, link or submodule of a commit's tree."""

    mode: str
    blob: str
    size: int
    name: str


def _entries(ask: Ask, commit: str, where: Path) -> list[_Entry]:
    """The entries of a commit's tree, counted as git tells them: a few trees within each other
    can stand for any number."""
    count = Count(bounds=limits.CODE, where=f"commit {commit}",
                  todo="use another revision, or ask those who keep the repository")
    entries = []
    with ask("ls-tree", "-r", "-t", "-l", "-z", "--full-tree", commit) as git:
        for line in _lines(git, where):
            about, _, name = os.fsdecode(line).partition("\t")
            mode, _, blob, size = about.split()
            length = int(size) if size.isdigit() else 0
            if mode == LINK and length > limits.MAX_LINK_BYTES:
                raise IntegrityError(f"the link {name!r} has {length} bytes", where=where)
            count.add(name, length, is_folder=mode == FOLDER)
            if mode != FOLDER:
                entries.append(_Entry(mode=mode, blob=blob, size=length, name=name))
    return entries


def _lines(git: subprocess.Popen[bytes], where: Path) -> Iterator[bytes]:
    """What git tells, up to each NUL."""
    rest = b""
    while block := cast(IO[bytes], git.stdout).read1(1 << 16):  # type: ignore[attr-defined]
        *lines, rest = (rest + block).split(b"\0")
        yield from lines
        if len(rest) > MAX_LINE:
            raise IntegrityError("the commit names a file by a path that is too long", where=where)


def _content(git: subprocess.Popen[bytes], entry: _Entry, where: Path) -> Iterator[bytes]:
    """A blob's content; the format is that of `git cat-file --batch`."""
    ask, answer = cast(IO[bytes], git.stdin), cast(IO[bytes], git.stdout)
    with contextlib.suppress(BrokenPipeError):
        ask.write(f"{entry.blob}\n".encode())
        ask.flush()
    header = answer.readline(MAX_LINE).decode(errors="replace").split()
    if header[1:] != ["blob", str(entry.size)]:
        raise IntegrityError(f"{entry.name!r} is not the file that the commit names: "
                             f"{' '.join(header)}", where=where)
    left = entry.size
    while left:
        block = answer.read(min(left, files.CHUNK))
        if not block:
            raise IntegrityError(f"git ended within {entry.name!r}", where=where)
        left -= len(block)
        yield block
    answer.read(1)


def _write(root: Path, entry: _Entry, content: Iterator[bytes]) -> None:
    target = files.inside(root, entry.name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if entry.mode == LINK:
            link = b"".join(content)
            if not link or b"\0" in link:
                raise IntegrityError(f"the link {entry.name!r} holds no path", where=root)
            target.symlink_to(os.fsdecode(link))
            return
        with target.open("xb") as stream:
            stream.writelines(content)
    except (FileExistsError, NotADirectoryError) as error:
        raise IntegrityError(f"the commit names {entry.name!r} twice", where=root) from error
    target.chmod(0o755 if entry.mode == EXECUTABLE else 0o644)
