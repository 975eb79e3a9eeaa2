"""The files of a pipeline, read from its folder or straight from code.tar."""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.core import opened as opened_file
from tasks.core.errors import ImageError, SourceError
from tasks.core.source.groovy.tokens import Token, tokenize

LARGEST = 8 * 2**20
"""Bytes of a script or config; those of public pipelines have up to 200 kB."""


class Sources:
    """Text files by their path from the pipeline's folder, tokenized once."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._archive = None if place.is_dir() else tarfile.open(place)  # noqa: SIM115 - closed by opened()
        self._members = ({} if self._archive is None
                         else {posixpath.normpath(each.name): each for each in self._archive})
        self._tokens: dict[str, list[Token]] = {}

    def close(self) -> None:
        """Let go of the archive."""
        if self._archive is not None:
            self._archive.close()

    def has(self, path: str) -> bool:
        """Whether this is a file of the pipeline; what lies outside of it never is."""
        if path.startswith(("../", "/")) or path == "..":
            return False
        if self._archive is None:
            try:
                return (self.place / path).is_file()
            except OSError:  # a name that no file system takes
                return False
        member = self._members.get(path)
        return member is not None and not member.isdir()

    def tokens(self, path: str) -> list[Token]:
        """The file's tokens."""
        if path not in self._tokens:
            try:
                text = self._read(path).decode()
            except UnicodeDecodeError as error:
                raise ImageError(f"this is not UTF-8: {error}", where=path) from error
            self._tokens[path] = tokenize(text.replace("\r\n", "\n"), path)
        return self._tokens[path]

    def _read(self, path: str) -> bytes:
        if self._archive is None:
            return opened_file.read(self.place / path, most=LARGEST)
        try:
            reader = self._archive.extractfile(self._members[path])
        except KeyError:
            reader = None
        if reader is None:
            raise SourceError(f"{path} is a link to nothing in the archive", where=self.place)
        data = reader.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise opened_file.too_large(LARGEST, path)
        return data


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
