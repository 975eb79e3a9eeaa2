"""Which commit the configuration stands at, and this checkout of the project.

They are one where the configuration is the bundled one.
"""

from __future__ import annotations

import re
from pathlib import Path

from tasks.core import config_places, processes
from tasks.core.errors import CommandError, HostError
from tasks.core.frozen import frozen

COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
MAX_NAMED = 5
"""Changed files that are named."""


@frozen
class Checkout:
    """Where a checkout stands: `commit` is None where this is no git repository.

    `changed` are files that differ from the commit, or that it lacks and .gitignore doesn't name.
    """

    commit: str | None
    changed: tuple[str, ...] = ()
    folder: Path = Path()

    def __str__(self) -> str:
        if self.commit is None:
            return "no git commit"
        named = ", ".join(self.changed[:MAX_NAMED])
        more = f" and {len(self.changed) - MAX_NAMED} more" if len(self.changed) > MAX_NAMED else ""
        return f"commit {self.commit[:12]}" + (f", changed: {named}{more}" if named else "")

    def follows(self, commit: str) -> bool:
        """Whether this is that commit, or one that came after it, and nothing was changed since."""
        if self.commit is None or self.changed or not COMMIT.fullmatch(commit):
            return False
        return _git(self.folder, "merge-base", "--is-ancestor", commit,
                    self.commit) is not None


def of_configuration() -> Checkout:
    """Where the configuration stands: the user's own, which may be a folder of a repository."""
    own = config_places.own()
    if own is None:
        return of_project()
    commit = _git(own, "rev-parse", "HEAD")
    return Checkout(commit=None) if commit is None else _standing(own, commit)


def of_project() -> Checkout:
    """Where this project stands, which is the current folder."""
    here = Path()
    top, commit = _git(here, "rev-parse", "--show-toplevel"), _git(here, "rev-parse", "HEAD")
    if top is None or commit is None or Path(top.strip()).resolve() != Path.cwd().resolve():
        return Checkout(commit=None)
    return _standing(here, commit)


def of(pipeline: str | None) -> Checkout:
    """Where that stands which a pipeline's releases are made from; None is the tool."""
    return of_project() if pipeline is None else of_configuration()


def _standing(folder: Path, commit: str) -> Checkout:
    status = _git(folder, "status", "--porcelain", "--no-renames", "-z", "--", ".") or ""
    return Checkout(commit=commit.strip(), folder=folder,
                    changed=tuple(entry[3:] for entry in status.split("\0") if entry))


def _git(folder: Path, *words: str) -> str | None:
    """What git answers in a folder; None where it says no, or isn't there."""
    try:
        return processes.run(["git", "-C", folder, *words])
    except (CommandError, HostError):
        return None
