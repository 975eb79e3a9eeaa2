"""The releases of a pipeline: its tags that are versions, asked of its repository."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tasks.code.git import HEAD
from tasks.core.nextflow import versions

_VERSION = re.compile(r"(?:(?:release|version|ver)[-_/])?v?\.?(\d+(?:\.\d+)+|\d+)", re.IGNORECASE)
"""A release's tag; `1.0-rc1`, `2.0dev` and `1.0.0b2` are none."""
MAX_TAG = 100
"""Characters of a release's tag."""
BRANCHES, TAGS = "refs/heads/", "refs/tags/"


@dataclass(frozen=True, kw_only=True)
class Newest:
    """The revision to take: the newest of so many releases, or the default branch where none is."""

    revision: str
    releases: int


def newest(refs: Mapping[str, str]) -> Newest | None:
    """Choose among a repository's `refs`, as git.remote_refs tells them; None of an empty one.

    Where some tags have several numbers, one number alone is no version: it may be a date.
    """
    tags = [name.removeprefix(TAGS) for name in refs if name.startswith(TAGS)]
    released = {tag: match[1] for tag in tags
                if len(tag) <= MAX_TAG and (match := _VERSION.fullmatch(tag))}
    dotted = {tag: version for tag, version in released.items() if "." in version}
    released = dotted or released
    if released:
        last = max(released, key=lambda tag: (versions.order(released[tag]), -len(tag), tag))
        return Newest(revision=last, releases=len(released))
    branch = refs.get(HEAD, "").removeprefix(BRANCHES)
    if not branch:
        branch = _likely(name.removeprefix(BRANCHES) for name in refs
                         if name.startswith(BRANCHES)) or ""
    return Newest(revision=branch, releases=0) if branch else None


def _likely(branches: Iterable[str]) -> str | None:
    """The default branch of a server that doesn't tell it."""
    known = sorted(branches)
    return next((name for name in ("main", "master") if name in known), next(iter(known), None))
