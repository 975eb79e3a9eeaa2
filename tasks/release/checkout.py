"""Which commit this checkout of the project, its configuration among it, stands at."""

from __future__ import annotations

import re
from pathlib import Path

from tasks.core import processes
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
        return _git("merge-base", "--is-ancestor", commit, self.commit) is not None


def here() -> Checkout:
    """Where the current folder stands; git says it."""
    top, commit = _git("rev-parse", "--show-toplevel"), _git("rev-parse", "HEAD")
    if top is None or commit is None or Path(top.strip()).resolve() != Path.cwd().resolve():
        return Checkout(commit=None)
    status = _git("status", "--porcelain", "--no-renames", "-z") or ""
    return Checkout(commit=commit.strip(),
                    changed=tuple(entry[3:] for entry in status.split("\0") if entry))


def _git(*words: str) -> str | None:
    """What git answers; None where it says no, or isn't there."""
    try:
        return processes.run(["git", *words])
    except (CommandError, HostError):
        return None
