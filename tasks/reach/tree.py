"""The unpacked code of a pipeline, as text, lines and Groovy's tokens."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from tasks.core import files
from tasks.core.errors import ImageError
from tasks.core.source.groovy.tokens import Token, tokenize


class Tree:
    """Regular files by their path from the pipeline's folder; each is read once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = frozenset(path.relative_to(root).as_posix() for path in files.tree(root)
                               if path.is_file() and not path.is_symlink())
        self.text = lru_cache(maxsize=None)(self._text)
        self.lines = lru_cache(maxsize=None)(self._lines)
        self.tokens = lru_cache(maxsize=None)(self._tokens)

    def has(self, path: str) -> bool:
        """Whether this is a file of the pipeline."""
        return path in self.files

    def below(self, *folders: str) -> list[str]:
        """The files below any of these folders, sorted."""
        return sorted(path for path in self.files if path.startswith(folders))

    def _text(self, path: str) -> str:
        data = (self.root / path).read_bytes()
        return "" if b"\0" in data[:8192] else data.decode(errors="replace").replace("\r\n", "\n")

    def _lines(self, path: str) -> list[str]:
        return self.text(path).split("\n")

    def _tokens(self, path: str) -> list[Token] | None:
        """The file's tokens; None where it is no Groovy, which must not hide what it names."""
        try:
            return tokenize(self.text(path), path)
        except ImageError:
            return None

    def line(self, path: str, near: int, needle: str) -> int:
        """The line, counted from 1, that holds `needle` and is the nearest to `near`."""
        found = [number for number, line in enumerate(self.lines(path), 1) if needle in line]
        return min(found, key=lambda number: (abs(number - near), number), default=near)
