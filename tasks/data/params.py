"""Which params of a resolved config name files to carry: docs/decisions/which-params-are-data.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tasks.core import urls
from tasks.core.errors import SourceError

SHEET_ENDINGS = (".csv", ".tsv")
FILE_FORMATS = ("file-path", "path", "file-path-pattern")
LINK_ENDINGS = ("_url", "_base", "_base_path", "_contact")


@dataclass(frozen=True, kw_only=True)
class Params:
    """What a config asks for: its samplesheet's param and place, and the files' params.

    `sheet` is a URL, or a path of the unpacked code; `files` maps a param to its URL.
    """

    sheet_param: str | None
    sheet: str | Path | None
    files: Mapping[str, str]


def choose(resolved: Mapping[str, Any], project: Path) -> Params:
    """Choose from the resolved params those that are data."""
    texts = {name: value.strip() for name, value in resolved.items() if isinstance(value, str)}
    formats = _formats(project)
    remote = {name: value for name, value in texts.items()
              if urls.is_url(value) and _is_file(name, value, formats.get(name))}
    sheets: dict[str, str | Path] = {name: value for name, value in remote.items()
                                     if is_sheet(value)}
    sheets |= {name: path for name, value in texts.items() if is_sheet(value)
               and not urls.is_url(value) and (path := _of_project(value, project))}
    name = "input" if "input" in sheets else next(iter(sheets)) if len(sheets) == 1 else None
    return Params(sheet_param=name, sheet=None if name is None else sheets[name],
                  files={key: value for key, value in remote.items() if key != name})


def is_sheet(value: str) -> bool:
    """Whether a URL or path ends as samplesheets do."""
    path = urlsplit(value).path if urls.is_url(value) else value
    return path.lower().endswith(SHEET_ENDINGS)


def _is_file(name: str, url: str, declared: str | None) -> bool:
    if declared is not None:
        return declared in FILE_FORMATS
    last = urlsplit(url).path.rpartition("/")[2]
    return "." in last and not name.endswith(LINK_ENDINGS)


def _of_project(value: str, project: Path) -> Path | None:
    path = Path(value)
    found = path if path.is_absolute() else project / path
    return found if found.is_file() and found.resolve().is_relative_to(project.resolve()) else None


def _formats(project: Path) -> dict[str, str]:
    """Each param's `format` in nextflow_schema.json, where there is one."""
    path = project / "nextflow_schema.json"
    if not path.is_file():
        return {}
    try:
        schema = json.loads(path.read_bytes())
    except ValueError as error:
        raise SourceError(f"the pipeline's nextflow_schema.json is not JSON: {error}",
                          todo="mend it in the pipeline") from error
    return {name: about["format"] for name, about in _properties(schema)
            if isinstance(about, dict) and isinstance(about.get("format"), str)}


def _properties(schema: Any) -> Iterator[tuple[str, Any]]:
    # Groups stand below `definitions` in older templates, below `$defs` from 3.0 on.
    if not isinstance(schema, dict):
        return
    for group in (schema, *(group for key in ("$defs", "definitions")
                            for group in _mapping(schema.get(key)).values())):
        yield from _mapping(_mapping(group).get("properties")).items()


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
