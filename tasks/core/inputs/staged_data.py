"""What a launch is given of the staged data: files laid out, sheets and params made absolute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tasks.core import files, opened
from tasks.core.errors import IntegrityError
from tasks.core.inputs import sheets
from tasks.core.schema import read_json

EVERY = "every"
"""Marks the params of a manifest that any run gets, not that of the test profile alone."""
INPUTS = "inputs.csv"
SHEET = 256 * 2**20
"""Bytes of a sheet."""
OWN_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
"""What the name of a user's own sheet is made of."""


def blob(blobs: Path, sha256: str, name: str) -> Path:
    """The file with this digest in a cache laid out as <sha256>/<name>, under whatever name."""
    own = blobs / sha256 / name
    if own.is_file():
        return own
    return next((each for each in sorted((blobs / sha256).glob("[!.]*")) if each.is_file()), own)


def lay_out(manifest: Path, blobs: Path, folder: Path) -> Callable[[str], Path]:
    """Lay the staged files out below `folder` as a release does; the answer finds one there.

    By hard links where the file system has them: containers see folders, in which a link to
    elsewhere leads nowhere.
    """
    told = read_json(manifest, "data-manifest")
    for each in (*told["files"], *told["sheets"]):
        source = blob(blobs, each["sha256"], each["path"].rpartition("/")[2])
        target = files.inside(folder, each["path"])
        if not source.is_file():
            raise IntegrityError(f"the staged file {each['path']} is missing", where=source,
                                 todo=f"`doit forget mirror:data:{told['pipeline']}`, then "
                                      f"`doit mirror:data:{told['pipeline']}`")
        if not (target.is_file() and target.samefile(source)):
            files.link_or_copy(source, target)
    return lambda path: (manifest.parent if path == INPUTS else folder) / path


def shared(manifest: Path) -> list[str]:
    """The params that a run on other data gets too: what is no part of the test profile."""
    params = read_json(manifest, "data-manifest")["params"]
    return [name for name, value in params.items() if value.get(EVERY)]


def render(manifest: Path, locate: Callable[[str], Path], folder: Path) -> dict[str, Any]:
    """The params of a run, absolute, with the sheets that they name rendered into `folder`.

    Nextflow resolves relative paths against the launch folder, hence the absolute ones.
    """
    told = read_json(manifest, "data-manifest")
    known = {each["path"] for each in told["files"]}
    trees = {_tree(path) for path in known if path.startswith("trees/")}
    rendered = {each["path"]: bool(each["is_lines"]) for each in told["sheets"]}
    rendered |= {INPUTS: False} if any(
        value.get("path") == INPUTS for value in told["params"].values()) else {}

    def place(path: str) -> str | None:
        if path in rendered:
            return str(files.inside(folder.absolute(), path))
        if path in known or _tree(path) in trees:
            return str(locate(path).absolute())
        return None

    for path, is_lines in sorted(rendered.items()):
        data = opened.read(locate(path), most=SHEET)
        target = files.inside(folder, path)
        files.write_text(target, render_sheet(data, path, place, is_lines=is_lines))
    return {name: _value(value, place) for name, value in told["params"].items()}


def render_sheet(data: bytes, name: str, place: Callable[[str], str | None], *,
                 is_lines: bool = False) -> str:
    """A staged sheet whose paths, relative to the release, are as `place` says."""
    if not data:
        return ""
    sheet = sheets.parse(data, name=name, has_header=lambda row: False, is_lines=is_lines)
    return sheet.mapped(lambda cell: sheets.staged(cell, place)).text()


def _tree(path: str) -> str:
    return "/".join(path.split("/")[:2])


def _value(told: Mapping[str, Any], place: Callable[[str], str | None]) -> Any:
    if told["kind"] in ("value", "none"):
        return told.get("value")
    return place(told["path"])
