"""Parts of folders that are carried with their paths: references, caches, patterns.

A tree lies in the release below trees/<label>/, where a param or cell gets its folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from tasks.core import files
from tasks.core.errors import SourceError
from tasks.core.inputs import globs
from tasks.data import sources
from tasks.data.sources import Reach

MIN_SLASHES = 3
"""Slashes of a host's or bucket's own URL: scheme://host/"""
_SLASHES = re.compile(r"(?<!:)//+")


@dataclass(frozen=True, kw_only=True)
class Tree:
    """What is wanted below a folder's URL, which ends in a slash: place to relative value."""

    label: str
    base: str
    wanted: Mapping[str, str] = field(default_factory=dict)


def tidy(url: str) -> str:
    """A URL with one slash where several stand, as Nextflow reads those of buckets."""
    head, mark, path = url.partition("://")
    return f"{head}{mark}{_SLASHES.sub('/', path)}" if mark else url


def folder(url: str) -> str:
    """A folder's URL, ending in one slash."""
    return tidy(url).rstrip("/") + "/"


def is_several(url: str) -> bool:
    """Whether a URL is a folder or a pattern. In HTTP a `?` starts the query."""
    path = url.partition("?")[0] if url.lower().startswith("http") else url
    return path.endswith("/") or globs.is_several(path)


def of_url(url: str, label: str, place: str, *, keeps_name: bool = False) -> tuple[Tree, str]:
    """The tree of a folder or pattern, and what of it stands for the URL itself.

    With `keeps_name` a folder lies below its own name there, which tasks may go by.
    """
    whole = tidy(url)
    fixed = globs.fixed(whole)
    if keeps_name and fixed == whole and whole.count("/") > MIN_SLASHES:
        fixed = whole.rstrip("/")
    base = fixed.rpartition("/")[0] + "/"
    relative = whole[len(base):]
    return Tree(label=label, base=base, wanted={place: relative or "**"}), relative


def listed(trees: Iterable[Tree], reach: Reach) -> dict[str, dict[str, list[str]]]:
    """Path in the release to URL and places of all files of the trees.

    A name without a slash at its end may be a file, else a folder, else the beginning of names,
    as that of an aligner's index. Raises SourceError with all that can't be had at once.
    """
    asked = {f"{tree.base}{value}": [place] for tree in trees
             for place, value in tree.wanted.items()}
    files_of = sources.gather(asked, lambda url: _files(url, reach))
    by_path: dict[str, dict[str, list[str]]] = {}
    for tree in trees:
        for place, value in tree.wanted.items():
            for url in files_of[f"{tree.base}{value}"]:
                path = f"trees/{tree.label}/{_name(url, tree.base, value)}"
                files.inside(Path(), path)
                by_path.setdefault(path, {}).setdefault(url, []).append(place)
    return by_path


def _files(url: str, reach: Reach) -> tuple[str, ...]:
    if is_several(url):
        return sources.expand(url, reach)
    there = sources.look(url, reach)
    if there is not None and not there.page:
        return (url,)
    try:
        return sources.expand(f"{url}/", reach)
    except SourceError as error:
        try:
            return sources.expand(f"{url}.*", reach)
        except SourceError:
            raise SourceError(f"there is no such file; as a folder: {error.what}",
                              where=error.where) from None


def _name(url: str, base: str, value: str) -> str:
    """The path below the tree: as a param writes it, or a listed file's real name."""
    relative = url[len(base):]
    literal = value in relative or url.lower().startswith("s3://")
    return relative if literal else unquote(relative)
