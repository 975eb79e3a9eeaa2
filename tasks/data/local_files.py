"""Files of this machine that sheets name by paths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tasks.core import files
from tasks.core.errors import IntegrityError


class Finder:
    """Finds the files that cells name by relative paths below `root`, which none may leave.

    A file is known as `<scheme>:<path below root>`.
    """

    def __init__(self, root: Path, scheme: str = "code",
                 elsewhere: Callable[[str], Path | None] = lambda text: None) -> None:
        self._root, self._scheme, self._elsewhere = root, scheme, elsewhere
        self._known: dict[str, Path | None] = {}

    def find(self, text: str) -> Path | None:
        """The file that a cell names, if it does."""
        if "/" not in text and "." not in text:
            return None
        if text not in self._known:
            self._known[text] = self._below(text) or self._elsewhere(text)
        return self._known[text]

    def key(self, path: Path) -> str:
        """How a file found is known; a link within the root by its own name."""
        inside = path.is_relative_to(self._root)
        shown = path.relative_to(self._root).as_posix() if inside else path.as_posix()
        return f"{self._scheme}:{shown}"

    def _below(self, text: str) -> Path | None:
        try:
            path = files.inside(self._root, text)
            is_inside = path.is_file() and path.resolve().is_relative_to(self._root.resolve())
        except (IntegrityError, OSError, ValueError):  # no path at all, such as a long text
            return None
        return path if is_inside else None
