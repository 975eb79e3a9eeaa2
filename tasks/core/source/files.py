"""The files of a pipeline's code, in a folder or in code.tar: each is read once."""

from __future__ import annotations

import os
import posixpath
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path

from tasks.core import files, nofollow
from tasks.core.errors import SourceError
from tasks.core.source.groovy.tokens import Token, tokenize
from tasks.core.source.groovy.values import PROJECT

MAX_GROOVY = 8 * 2**20
"""Bytes of a script or config; those of public pipelines have up to 200 kB."""
MAX_FILE = 2**30
"""Bytes of another file, such as an asset."""
MAX_LINKS = 40
"""Links that one path may lead through, as the kernel has it."""
NEAR_LINES = 1000
"""How far from a place its line is looked for."""


class Sources:
    """Files by their path from the pipeline's folder."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._archive = None if place.is_dir() else tarfile.open(place)  # noqa: SIM115 - closed by opened()
        self._members = ({} if self._archive is None
                         else {posixpath.normpath(member.name): member for member in self._archive})
        self.text = cache(self._text)
        self.lines = cache(self._lines)
        self.tokens = cache(self._tokens)
        self.folder = cache(self._folder)

    def close(self) -> None:
        """Let go of the archive."""
        if self._archive is not None:
            self._archive.close()

    @cached_property
    def files(self) -> frozenset[str]:
        """All regular files; what a link leads to is listed by its own name alone."""
        if self._archive is not None:
            return frozenset(path for path, member in self._members.items() if member.isreg())
        return frozenset(path.relative_to(self.place).as_posix() for path in files.tree(self.place)
                         if path.is_file() and not path.is_symlink())

    def below(self, *folders: str) -> list[str]:
        """The files below any of these folders, sorted."""
        return sorted(path for path in self.files if path.startswith(folders))

    def has(self, path: str) -> bool:
        """Whether this is a file of the pipeline, or a link to one; what lies outside never is."""
        if path.startswith(("../", "/")) or path == "..":
            return False
        if self._archive is None:
            try:
                return os.path.isfile(f"{self.place}/{path}")  # noqa: PTH113 - a third of the time
            except ValueError:  # a name that no file system takes
                return False
        member = self._members.get(self.real(path))
        return member is not None and not member.isdir()

    def real(self, path: str) -> str:
        """The file's path without links in the folders that it leads through.

        A link as the last part stays: what a file includes is looked for where its name stands.
        """
        folder, _, name = path.rpartition("/")
        if not folder:
            return path
        folder = self.folder(folder)
        return f"{folder}/{name}" if folder else name

    def _folder(self, path: str) -> str:
        """A folder's path with its links followed; as it stands where one leads outside."""
        parts, done = path.split("/"), ""
        links = 0
        while parts:
            here = posixpath.join(done, parts.pop(0))
            target = self._link(here)
            if target is None:
                done = here
                continue
            links += 1
            target = posixpath.normpath(posixpath.join(posixpath.dirname(here), target))
            if links > MAX_LINKS or target.startswith(("/", "..")):
                return path
            parts, done = [*(target.split("/") if target != "." else []), *parts], ""
        return done

    def _link(self, path: str) -> str | None:
        """Where a link leads, None where this is none."""
        if self._archive is None:
            place = self.place / path
            return str(place.readlink()) if place.is_symlink() else None
        member = self._members.get(path)
        return member.linkname if member is not None and member.issym() else None

    def _text(self, path: str) -> str:
        """The file's text, read as Nextflow reads it: what is not UTF-8 is replaced."""
        return self._decoded(path, MAX_FILE)

    def _lines(self, path: str) -> list[str]:
        return self.text(path).split("\n")

    def _tokens(self, path: str) -> list[Token]:
        """The tokens of a script or config. ImageError where it is no Groovy."""
        return tokenize(self._decoded(path, MAX_GROOVY), path)

    def line(self, path: str, near: int, needle: str) -> int:
        """The line, counted from 1, that holds `needle` and is the nearest to `near`."""
        first = max(near - NEAR_LINES, 1)
        numbers = [number for number, line in enumerate(
            self.lines(path)[first - 1:near + NEAR_LINES], first) if needle in line]
        return min(numbers, key=lambda number: (abs(number - near), number), default=near)

    def _decoded(self, path: str, most: int) -> str:
        return self._read(path, most).decode(errors="replace").replace("\r\n", "\n")

    def _read(self, path: str, most: int) -> bytes:
        if self._archive is None:
            size = (self.place / path).stat().st_size
            if size > most:
                raise nofollow.too_large(most, path)
            return nofollow.read(self.place / path, most=size)
        try:
            reader = self._archive.extractfile(self._members[self.real(path)])
        except KeyError:
            reader = None
        if reader is None:
            raise SourceError(f"{path} is a link to nothing in the archive", where=self.place)
        if reader.seek(0, os.SEEK_END) > most:
            raise nofollow.too_large(most, path)
        reader.seek(0)
        return reader.read()


@contextmanager
def opened(place: Path) -> Iterator[Sources]:
    """Sources of a folder or of a tar archive; SourceError where it is neither."""
    try:
        sources = Sources(place)
    except (OSError, tarfile.TarError) as error:
        raise SourceError(f"the pipeline's code cannot be read: {error}", where=place,
                          todo="remove the file, and it is staged again") from error
    try:
        yield sources
    finally:
        sources.close()


def local_path(value: str, file: str) -> str:
    """The path in the code of what `file` includes by this value: from $projectDir, or beside it.
    """
    if value.startswith(PROJECT):
        return value[len(PROJECT) + 1:]
    return posixpath.normpath(posixpath.join(posixpath.dirname(file), value))
