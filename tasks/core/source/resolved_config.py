"""A staged pipeline as later steps read it: its code, unpacked, and its resolved config."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.archives import unpacking
from tasks.core.schema import read_json

PLACE = "/.airlock/project"
"""Stands in resolved.json for the folder of the code, which is another one for each step."""


def portable(config: Mapping[str, Any], folder: Path, place: str = PLACE) -> dict[str, Any]:
    """Return the config with `place` for `folder`, the same whatever that folder is called."""
    replaced: dict[str, Any] = _replaced(config, str(folder), place)
    return replaced


def config(resolved: Path, folder: Path = Path(PLACE)) -> dict[str, Any]:
    """The config that the file of `resolve` holds, of the code in `folder`."""
    staged = read_json(resolved, "resolved")["config"]
    replaced: dict[str, Any] = _replaced(staged, PLACE, str(folder))
    return replaced


def main_script(resolved: Mapping[str, Any]) -> str:
    """The script that a run begins with, as the config says."""
    manifest = resolved.get("manifest")
    named = manifest.get("mainScript") if isinstance(manifest, Mapping) else None
    return str(named or "main.nf")


@contextlib.contextmanager
def opened(code: Path, resolved: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The folder of the unpacked `code` and its config; the folder is gone when the block ends."""
    with files.scratch(code.parent, "project") as place:
        unpacking.unpack_tar(code, place / "code")
        yield place / "code", config(resolved, place / "code")


def _replaced(value: Any, old: str, new: str) -> Any:
    """The same with another folder in every text; its JSON escapes nothing that a path may hold."""
    return json.loads(json.dumps(value).replace(json.dumps(old)[1:-1], json.dumps(new)[1:-1]))
