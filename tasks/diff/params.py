"""The params that a pipeline's config sets with its test profile, read from the code alone.

A release doesn't carry what Nextflow resolved, so both are read in the same way, without
running anything: what an expression makes of other values may stay open.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.core.errors import AirlockError
from tasks.core.schema import read_json
from tasks.core.source.configs import MAIN, Reader
from tasks.core.source.files import opened
from tasks.core.source.groovy.depth import bounded
from tasks.core.source.groovy.values import (
    Record,
    Unknown,
    Unset,
    Values,
    known,
    shown,
    unwrapped,
)
from tasks.diff.model import NOTHING, End, Part, changes, counted
from tasks.diff.model import unknown as why_unknown

NAME, TITLE = "params", "Params"
OPEN = "an expression"
"""What stands for a value that only a run knows."""


def compare(before: End, after: End) -> Part:
    """The part `params`: those of the code with the test profile, and those that are set offline.
    """
    unknown = why_unknown(NAME, before, after)
    rows = []
    if not _same_code(before, after):
        try:
            rows += changes(_of_code(before), _of_code(after), group="test profile")
        except AirlockError as error:
            unknown.append(f"the code's config can't be read: {error.what}")
    if before.known("data.manifest.json") and after.known("data.manifest.json"):
        rows += changes(_offline(before), _offline(after), group="set offline")
    elif not unknown:
        unknown += why_unknown(NAME, before, after, path="data.manifest.json")
    return Part(name=NAME, title=TITLE, changes=rows, unknown=unknown,
                summary=counted(rows) or "the same")


def of_code(code: Path, profile: str) -> dict[str, str]:
    """Each param's value by its dotted name, as the code in a tar sets it with these profiles."""
    with bounded(code), opened(code) as sources:
        reader = Reader(sources, known("docker"), set(profile.split(",")))
        for _ in reader.read() if sources.has(MAIN) else ():
            pass
        for error in reader.broken.values():
            raise error
        return {name.removeprefix("params."): text for name, values in reader.names.items()
                if name.startswith("params.") and (text := _text(values)) is not None}


def _of_code(end: End) -> Mapping[str, str]:
    if end.kind == NOTHING or "code.tar" not in end.files:
        return {}
    return of_code(end.files["code.tar"], str(end.about.get("profile", "test")))


def _same_code(before: End, after: End) -> bool:
    one, two = (end.listed.get("code.tar") for end in (before, after))
    profiles = {end.about.get("profile") for end in (before, after)}
    return one is not None and one == two and len(profiles) == 1


def _text(values: Values) -> str | None:
    """The values that a name may have, in one form; None for a map, whose members have their own.
    """
    texts = {_one(value) for value in map(unwrapped, values)}
    texts.discard(None)
    return " or ".join(sorted(filter(None, texts))) or None


def _one(value: Any) -> str | None:
    if isinstance(value, Record | Unset):
        return None
    if isinstance(value, Unknown):
        return OPEN
    if isinstance(value, tuple):
        return "[" + ", ".join(_one(unwrapped(item)) or "{…}" for item in value) + "]"
    return json.dumps(shown(value) if isinstance(value, str) else value, ensure_ascii=False,
                      default=str)


def _offline(end: End) -> dict[str, str]:
    """What a run offline gets a param set to; a file by the URL that it was."""
    if end.kind == NOTHING:
        return {}
    params = read_json(end.files["data.manifest.json"], "data-manifest")["params"]
    return {name: _answer(entry) for name, entry in params.items()}


def _answer(entry: Mapping[str, Any]) -> str:
    if entry["kind"] == "none":
        return "null"
    if entry["kind"] in ("value", "several"):
        return json.dumps(entry["value"], sort_keys=True, ensure_ascii=False)
    return f"{entry['kind']} {entry['path']}"
