"""A pipeline in a folder of this machine: which files belong to it, and what they hold."""

from __future__ import annotations

import fnmatch
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from tasks.core import files
from tasks.core.archives import tars

LEFT_OUT = (".git", ".nextflow", ".nextflow.*", "work", "results")
"""At the folder's top: version control, and what Nextflow's own runs leave there."""


def root(source: str) -> Path:
    """The folder that the pipeline's config names."""
    return Path(source).expanduser()


def listing(root: Path) -> dict[str, str]:
    """Each file's path to what it is: `file`, `executable`, `link to …` or `other`."""
    kinds = {}
    for top in _top(root):
        if top.name in left_out(root, [top.name]):
            continue
        inner = files.tree(top) if top.is_dir() and not top.is_symlink() else [top]
        kinds.update({_name(root, path): _kind(path) for path in inner})
    return dict(sorted(kinds.items()))


def left_out(root: Path, names: Iterable[str] | None = None) -> list[str]:
    """What at the folder's top is not carried."""
    names = [top.name for top in _top(root)] if names is None else names
    return sorted(name for name in names
                  if any(fnmatch.fnmatchcase(name, pattern) for pattern in LEFT_OUT))


def digests(root: Path, names: Mapping[str, str]) -> dict[str, str]:
    """Each path to its kind and, for files, the SHA-256 of the content."""
    return {name: kind if kind.startswith("link ") else f"{kind} {_sha256(root / name)}"
            for name, kind in names.items()}


def packed(archive: Path) -> dict[str, str]:
    """The same as digests(), of an archive's members."""
    digests = {}
    with archive.open("rb") as stream:
        reader = tars.Reader(stream=stream)
        for member in reader:
            if member.is_link:
                digests[member.name] = f"link to {member.link}"
                continue
            digest = hashlib.sha256()
            while block := reader.content(files.CHUNK):
                digest.update(block)
            kind = "executable" if member.is_executable else "file"
            digests[member.name] = f"{kind} {digest.hexdigest()}"
    return digests


def _top(root: Path) -> list[Path]:
    return sorted(root.iterdir()) if root.is_dir() else []


def _name(root: Path, path: Path) -> str:
    # A name that is not UTF-8 is shown escaped; no file has that name, so staging refuses it.
    return os.fsencode(path.relative_to(root)).decode(errors="backslashreplace")


def _kind(path: Path) -> str:
    if path.is_symlink():
        return f"link to {path.readlink()}"
    if not path.is_file():
        return "other"
    return "executable" if path.stat().st_mode & 0o100 else "file"


def _sha256(path: Path) -> str:
    return files.sha256(path) if path.is_file() else "(gone)"
