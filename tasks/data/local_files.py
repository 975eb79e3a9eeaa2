"""Files, folders and patterns of this machine that sheets name by paths."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.core import files
from tasks.core.errors import IntegrityError, SourceError
from tasks.core.inputs import globs

_PROJECT = re.compile(r"\$(?:\{(?:projectDir|baseDir)\}|(?:projectDir|baseDir)\b)/")
"""How a pipeline's own folder is called, in sheets that lie in it."""
MAX_FILES = 100_000
"""Files that one folder may stand for."""


@dataclass(frozen=True, kw_only=True)
class Several:
    """A folder or a pattern, what of it is below its last fixed folder, and the files it is."""

    base: Path
    relative: str
    names: tuple[str, ...]


class Finder:
    """Finds what cells name by relative paths below `root`, which none may leave.

    A file is known as `<scheme>:<path below root>`. `elsewhere` finds what lies outside.
    """

    def __init__(self, root: Path, scheme: str = "code",
                 elsewhere: Callable[[str], Path | None] = lambda text: None) -> None:
        self._root, self._scheme, self._elsewhere = root, scheme, elsewhere
        self._known: dict[tuple[str, Path | None], Path | None] = {}

    def find(self, text: str, beside: Path | None = None) -> Path | None:
        """The file that a cell names, if it does; also one beside the sheet that lies `beside`."""
        if "/" not in text and "." not in text:
            return None
        path = self._place(text, beside)
        return path if path and path.is_file() else None

    def several(self, text: str, beside: Path | None = None) -> Several | None:
        """The folder or pattern that a cell names, if there is such a folder or any such file.

        Raises SourceError for more files than can be meant, and for links that lead out of it.
        """
        is_pattern = globs.is_several(text)
        if is_pattern and (len(text) > globs.MAX_LENGTH or ("/" not in text and "." not in text)):
            return None
        base, relative = _parted(text) if is_pattern else (text, "")
        folder = self._place(base, beside)
        if folder is None or not folder.is_dir() or self._is_root(folder, is_pattern):
            return None
        names = tuple(self._names(folder, relative, text))
        return Several(base=folder, relative=relative, names=names) if names else None

    def is_folder(self, text: str) -> bool:
        """Whether a path names a folder."""
        place = self._place(text, None)
        return place is not None and place.is_dir()

    def why(self, text: str) -> str:
        """Why nothing of what a path names is carried."""
        if self.is_folder(text):
            return "the folder is empty, or holds the sheet itself"
        return ("no file of the pipeline's code" if self._scheme == "code"
                else "not on this machine")

    def key(self, path: Path) -> str:
        """How a file found is known; a link within the root by its own name."""
        inside = path.is_relative_to(self._root)
        shown = path.relative_to(self._root).as_posix() if inside else path.as_posix()
        return f"{self._scheme}:{shown}"

    def _is_root(self, folder: Path, is_pattern: bool) -> bool:
        """Whether a cell, such as `.`, stands for all that lies beside the sheet."""
        return not is_pattern and self._root.resolve().is_relative_to(folder.resolve())

    def _place(self, text: str, beside: Path | None) -> Path | None:
        asked = (text, beside)
        if asked not in self._known:
            plain = _PROJECT.sub("", text, count=1) if _PROJECT.match(text) else text
            self._known[asked] = self._below(plain, self._root) or (
                self._below(plain, beside) if beside else None) or self._elsewhere(text)
        return self._known[asked]

    def _below(self, text: str, folder: Path) -> Path | None:
        try:
            path = files.inside(folder, text.rstrip("/") or text)
            is_inside = path.exists() and path.resolve().is_relative_to(self._root.resolve())
        except (IntegrityError, OSError, ValueError, RuntimeError):  # no path at all
            return None
        return path if is_inside else None

    def _names(self, folder: Path, relative: str, text: str) -> Iterator[str]:
        matchers = [globs.matcher(pattern) for pattern in globs.braces(relative)] or None
        real = folder.resolve()
        count = 0
        for path in files.tree(folder):
            name = path.relative_to(folder).as_posix()
            if path.is_dir() and not path.is_symlink():
                continue
            if relative and not any(matcher.fullmatch(name) for matcher in matchers or ()):
                continue
            if not path.is_file() or not path.resolve().is_relative_to(real):
                raise SourceError(f"{name!r} is a link that isn't followed, or no file",
                                  where=text)
            count += 1
            if count > MAX_FILES:
                raise SourceError(f"the folder has more than {MAX_FILES} files", where=text)
            yield name


def _parted(pattern: str) -> tuple[str, str]:
    """A pattern's folder, with no slash at its end, and the rest."""
    fixed = globs.fixed(pattern)
    base = fixed[:fixed.rfind("/") + 1]
    return base or ".", pattern[len(base):]
