"""What a launch is given of the staged data: files laid out, sheets and params made absolute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tasks.core import files, nofollow
from tasks.core.errors import IntegrityError
from tasks.core.inputs import cells, sheets
from tasks.core.schema import read_json

EVERY = "every"
"""Marks the params of a manifest that any run gets, not that of the test profile alone."""
INPUTS = "inputs.csv"
MAX_SHEET = 256 * 2**20
"""Bytes of a sheet."""
OWN_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
"""What the name of a user's own sheet is made of."""


def blob(blobs: Path, sha256: str, name: str) -> Path:
    """Return the file with this digest in a cache of <sha256>/<name>, whatever its name."""
    own = blobs / sha256 / name
    if own.is_file():
        return own
    return next((path for path in sorted((blobs / sha256).glob("[!.]*")) if path.is_file()), own)


def lay_out(manifest: Path, blobs: Path, folder: Path) -> Callable[[str], Path]:
    """Lay the staged files out below `folder` as a release does; the answer finds one there.

    By hard links where the file system has them: containers see folders, in which a link to
    elsewhere leads nowhere.
    """
    data = read_json(manifest, "data-manifest")
    for file in (*data["files"], *data["sheets"]):
        source = blob(blobs, file["sha256"], file["path"].rpartition("/")[2])
        target = files.inside(folder, file["path"])
        if not source.is_file():
            raise IntegrityError(f"the staged file {file['path']} is missing", where=source,
                                 todo=f"`doit forget mirror:data:{data['pipeline']}`, then "
                                      f"`doit mirror:data:{data['pipeline']}`")
        if not (target.is_file() and target.samefile(source)):
            files.link_or_copy(source, target)
    return lambda path: (manifest.parent if path == INPUTS else folder) / path


def shared(manifest: Path) -> list[str]:
    """Return the params that a run on other data gets too: what is no part of the test profile."""
    params = read_json(manifest, "data-manifest")["params"]
    return [name for name, value in params.items() if value.get(EVERY)]


def render(manifest: Path, locate: Callable[[str], Path], folder: Path) -> dict[str, Any]:
    """Return the params of a run, absolute, and render the sheets that they name into `folder`.

    Nextflow resolves relative paths against the launch folder, hence the absolute ones.
    """
    data = read_json(manifest, "data-manifest")
    known = {file["path"] for file in data["files"]}
    trees = {_tree(path) for path in known if path.startswith("trees/")}
    rendered = {sheet["path"]: bool(sheet["is_lines"]) for sheet in data["sheets"]}
    rendered |= {INPUTS: False} if any(
        value.get("path") == INPUTS for value in data["params"].values()) else {}

    def place(path: str) -> str | None:
        if path in rendered:
            return str(files.inside(folder.absolute(), path))
        if path in known or _tree(path) in trees:
            return str(locate(path).absolute())
        return None

    for path, is_lines in sorted(rendered.items()):
        content = nofollow.read(locate(path), most=MAX_SHEET)
        target = files.inside(folder, path)
        files.write_bytes(target, render_sheet(content, path, place, is_lines=is_lines))
    return {name: _value(value, place) for name, value in data["params"].items()}


def render_sheet(data: bytes, name: str, place: Callable[[str], str | None], *,
                 is_lines: bool = False) -> bytes:
    """Return a staged sheet with the paths that `place` gives for those relative to the release."""
    if not data:
        return b""
    sheet = sheets.parse(data, name=name, has_header=lambda row: False, is_lines=is_lines)
    return sheet.mapped(lambda cell: cells.staged(cell, place)).data()


def _tree(path: str) -> str:
    return "/".join(path.split("/")[:2])


def _value(param: Mapping[str, Any], place: Callable[[str], str | None]) -> Any:
    if param["kind"] in ("value", "none"):
        return param.get("value")
    if param["kind"] == "several":
        return _absolute(param["value"], place)
    return place(param["path"])


def _absolute(value: Any, place: Callable[[str], str | None]) -> Any:
    """A text, list or mapping with the paths in it made absolute."""
    if isinstance(value, str):
        return cells.staged(value, place)
    if isinstance(value, Mapping):
        return {name: _absolute(member, place) for name, member in value.items()}
    if isinstance(value, list):
        return [_absolute(member, place) for member in value]
    return value
