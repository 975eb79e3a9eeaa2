"""The text of pipelines/NAME.yml, with a word on each choice beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.core import parsing
from tasks.core.config.settings import Origin
from tasks.core.errors import shown
from tasks.core.nextflow.runtimes import Runtime
from tasks.core.schema import check

ROWS, LIMIT = 2, "5 GB"
"""Samples of each sheet, and the most that the data may be: enough for a test profile."""
COMMENT_AT, WIDTH = 36, 100
"""Columns of comments, and of a line."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What a pipeline's configuration is to say; `why` is a reason by key.

    `open_params` and `open_images` are what the user is to fill in, each with the reason.
    """

    title: str
    origin: Origin
    profile: str
    script: str | None = None
    runtime: Runtime
    configs: Origin | None
    why: Mapping[str, str]
    open_params: Mapping[str, str] = field(default_factory=dict)
    open_images: Mapping[str, str] = field(default_factory=dict)


def text(chosen: Chosen, *, where: object) -> str:
    """The YAML, which fits its schema and says what was chosen."""
    lines = ["# " + _plain(chosen.title)[:WIDTH - 2],
             "# Written by `doit add`. Every key: schemas/pipeline.schema.json; what matters: "
             "docs/pipelines.md."]
    lines += list(_keys(chosen))
    written = "".join(f"{line}\n" for line in lines)
    check(parsing.from_yaml(written), "pipeline", where=where)
    return written


def _keys(chosen: Chosen) -> Iterable[str]:
    why = chosen.why
    yield from _origin(chosen.origin, "", why.get("revision"))
    yield _line("", "profile", chosen.profile, why.get("profile"))
    if chosen.script is not None:
        yield _line("", "script", chosen.script, why.get("script"))
    if chosen.configs is not None:
        yield _line("", "configs", None, why.get("configs"))
        yield from _origin(chosen.configs, "  ", None)
    yield "nextflow:"
    yield _line("  ", "version", chosen.runtime.version, why.get("nextflow"))
    if chosen.runtime.dist is not None:
        yield _line("  ", "dist", chosen.runtime.dist, None)
    else:
        yield _line("  ", "coordinates", None, "from Maven Central")
        yield from (f"    - {coordinate}" for coordinate in chosen.runtime.coordinates)
    yield "data:"
    yield _line("  ", "rows", ROWS, "samples of each sheet; 0 keeps all")
    yield _line("  ", "limit", LIMIT, "more is an error, before anything is fetched")
    yield from _open("params", "VALUE", chosen.open_params)
    yield from _open("images", "HOST/PATH:TAG", chosen.open_images)


def _origin(origin: Origin, indent: str, why: str | None) -> Iterable[str]:
    yield _line(indent, "source", origin.source, None)
    if origin.revision is not None:
        yield _line(indent, "revision", origin.revision, why)


def _line(indent: str, key: str, value: object, why: str | None) -> str:
    line = f"{indent}{key}:" + ("" if value is None else f" {scalar(value)}")
    comment = f"# {_plain(why)}" if why else ""
    if not comment:
        return line
    padded = line.ljust(COMMENT_AT - 1) + " " + comment
    return padded if len(padded) <= WIDTH else f"{indent}{comment}\n{line}"


def _open(key: str, value: str, wanted: Mapping[str, str]) -> Iterable[str]:
    """Keys that wait for a value, as a comment; each reason once, before those that have it."""
    if wanted:
        yield f"# {key}:"
    for why in dict.fromkeys(wanted.values()):
        yield f"#   # {_plain(why)}"
        yield from (f"#   {_plain(name)}: {value}" for name in wanted if wanted[name] == why)


def scalar(value: object) -> str:
    """A value as YAML: plain where that is read back as the same, else in double quotes."""
    if not isinstance(value, str):
        return json.dumps(value)
    return value if _reads_back(value) else json.dumps(value)


def _reads_back(value: str) -> bool:
    if not value or " #" in value or "\n" in value:
        return False
    try:
        loaded: Any = parsing.from_yaml(f"key: {value}\n")
    except ValueError:
        return False
    return bool(loaded == {"key": value})


def _plain(text: str) -> str:
    """Others' text for a comment: one line, in which nothing ends it."""
    return " ".join(shown(text).split())
