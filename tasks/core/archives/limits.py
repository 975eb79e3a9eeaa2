"""How many bytes and files a tree from outside may have, counted before any is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from tasks.core import files
from tasks.core.errors import IntegrityError

MAX_DEPTH = 60
"""Folders in each other. Beyond some hundreds, programs that walk a tree fail, Python's own too."""
MAX_NAME_BYTES = 255
"""As file systems have it (NAME_MAX)."""
MAX_LINK_BYTES = 4095
"""Of what a symbolic link points to (PATH_MAX)."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The bytes of all files of a tree, and the number of its files, links and folders."""

    size: int
    members: int


CODE = Bounds(size=1_000_000_000, members=50_000)
"""A pipeline's code, or institutional configs: the largest public ones have some 100 MB."""
PLUGIN = Bounds(size=1_000_000_000, members=20_000)
"""One plugin: the largest public ones have some 200 MB."""
PLUGINS = Bounds(size=10_000_000_000, members=200_000)
"""All plugins of a pipeline."""
JAR = Bounds(size=2_000_000_000, members=200_000)
"""A jar that is looked into: Nextflow with all that it needs in one has some 60,000 members."""
WHEEL = Bounds(size=1_000_000_000, members=50_000)
"""A wheel that is looked into: that of a Java has some 60 MB."""
RUNTIME = Bounds(size=2_000_000_000, members=5_000)
"""Nextflow with its jars: some 60 files of 100 MB in all, or one jar of 300 MB."""


@dataclass(kw_only=True)
class Count:
    """Counts a tree's members as they are named; folders that a path implies count, too."""

    bounds: Bounds
    where: object
    todo: str = "ask those who published it"
    size: int = 0
    members: int = 0
    _folders: set[str] = field(default_factory=set)

    def add(self, name: str, size: int = 0, *, is_folder: bool = False) -> None:
        """Count a member before it is written; IntegrityError where it is too much, or too deep.

        `name` is relative; whether it may stand in the tree at all is for others to judge.
        """
        path = PurePosixPath(name)
        if len(path.parts) > MAX_DEPTH:
            raise self._refusal(f"it has folders more than {MAX_DEPTH} deep in each other")
        if any(len(part.encode(errors="surrogateescape")) > MAX_NAME_BYTES for part in path.parts):
            raise self._refusal(f"it has a name of more than {MAX_NAME_BYTES} bytes")
        for folder in (*path.parents, path) if is_folder else path.parents:
            if str(folder) in self._folders:
                continue
            self._folders.add(str(folder))
            self.members += str(folder) != "."
        self.members += not is_folder
        self.size += size
        self.check()

    def check(self) -> None:
        """IntegrityError where more was counted than is allowed."""
        if self.size > self.bounds.size:
            raise self._refusal("unpacked it has more than the "
                                f"{files.human_size(self.bounds.size)} that are allowed")
        if self.members > self.bounds.members:
            raise self._refusal(f"it has more than the {self.bounds.members} files and folders "
                                "that are allowed")

    def _refusal(self, why: str) -> IntegrityError:
        return IntegrityError(f"this is refused: {why}", where=self.where, todo=self.todo)
