"""Which params of a resolved config name files to carry: docs/decisions/which-params-are-data.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.core import parsing
from tasks.core.errors import SourceError
from tasks.core.inputs import sheets
from tasks.core.net import urls
from tasks.core.source import custom_configs
from tasks.core.source.params_schema import properties

PATH_FORMATS = ("file-path", "path", "file-path-pattern")
FOLDER_FORMAT = "directory-path"
LINK_ENDINGS = ("_url", "_base", "_base_path", "_contact")
LIMITS = ("max_cpus", "max_memory", "max_time")
_CALLS_OUT = re.compile(r"hook|email", re.IGNORECASE)
_ADDRESS = re.compile(r"[^@\s/]+@[^@\s/]+\Z")
_WEB = re.compile(r"https?://", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What a config asks for, by the names of params.

    `sheet_param` is the samplesheet's. `sources` are the data, URLs or paths of the unpacked code,
    the samplesheet among them; `folders` the URLs of folders, of which parts may be carried;
    `values` what our configuration sets; `none` what would reach out for nothing, with its value.
    """

    sheet_param: str | None = None
    sources: Mapping[str, str | Path] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    none: Mapping[str, str] = field(default_factory=dict)
    declared: tuple[str, ...] = ()


def choose(resolved: Mapping[str, Any], project: Path,
           given: Mapping[str, Any] | None = None) -> Chosen:
    """Sort the resolved params, of which our configuration has set those `given`."""
    given = given or {}
    texts = {name: value.strip() for name, value in resolved.items() if isinstance(value, str)}
    formats = _formats(project)
    sources: dict[str, str | Path] = {}
    folders, none = {}, {}
    for name, value in texts.items():
        if urls.is_url(value):
            kind = _kind(name, value, formats.get(name), is_given=name in given)
            if kind == "file":
                sources[name] = value
            elif kind == "folder":
                folders[name] = value
            elif kind == "none":
                none[name] = value
        elif is_sheet(value) and (path := of_project(value, project)):
            sources[name] = path
        elif _CALLS_OUT.search(name) and _ADDRESS.match(value):
            none[name] = value
    set_apart = {*sources, *folders, *none}
    return Chosen(
        sheet_param=_samplesheet(sources), sources=sources, folders=folders, none=none,
        values={name: value for name, value in given.items() if name not in set_apart},
        declared=tuple(name for name in LIMITS if resolved.get(name) is not None))


def is_sheet(value: str) -> bool:
    """Whether a URL or path ends as sheets do."""
    path = urls.path(value) if urls.is_url(value) else value
    return path.lower().endswith(sheets.ENDINGS)


def of_project(value: str, project: Path) -> Path | None:
    """The file of the unpacked code that a param names, if it does."""
    path = Path(value)
    try:
        place = path if path.is_absolute() else project / path
        inside = place.is_file() and place.resolve().is_relative_to(project.resolve())
    except (OSError, ValueError):  # no path at all, such as a long text
        return None
    return place if inside else None


def _kind(name: str, url: str, declared: str | None, *, is_given: bool) -> str:
    """What a URL is: a file, a folder, a link that is only shown, or none that a run may ask."""
    if name == custom_configs.BASE:
        return "link"  # the launch answers it
    if _CALLS_OUT.search(name):
        return "none"
    if declared == FOLDER_FORMAT or (declared in PATH_FORMATS and url.endswith("/")):
        return "folder"
    if declared in PATH_FORMATS:
        return "file"
    last = urls.path(url).rpartition("/")[2]
    is_link = declared is not None or name.endswith(LINK_ENDINGS)
    if not is_link and ("." in last or (is_given and last)):
        return "file"
    # Nextflow opens other schemes where a text becomes a path, and asks for a plugin to do so.
    return "link" if _WEB.match(url) else "folder"


def _samplesheet(sources: Mapping[str, str | Path]) -> str | None:
    tables = [name for name, source in sources.items()
              if str(source).lower().partition("?")[0].endswith(tuple(sheets.TABLES))]
    if "input" in sources and is_sheet(str(sources["input"])):
        return "input"
    return tables[0] if len(tables) == 1 else None


def _formats(project: Path) -> dict[str, str]:
    """Each param's `format` in nextflow_schema.json, where there is one."""
    path = project / "nextflow_schema.json"
    if not path.is_file():
        return {}
    try:
        schema = parsing.from_json(path.read_bytes(), is_unique=False)
    except ValueError as error:
        raise SourceError(f"the pipeline's nextflow_schema.json is not JSON: {error}",
                          todo="mend it in the pipeline") from error
    return {name: about["format"] for name, about in properties(schema)
            if isinstance(about, dict) and isinstance(about.get("format"), str)}
