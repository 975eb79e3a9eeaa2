"""Which params of a resolved config name files to carry: docs/decisions/which-params-are-data.md.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tasks.core import parsing
from tasks.core.errors import SourceError
from tasks.core.inputs import cells, globs, sheets
from tasks.core.net import urls
from tasks.core.source import custom_configs
from tasks.core.source.params_schema import properties
from tasks.data.left import Left
from tasks.data.mentions import LINK_KEYS, is_of_file, is_of_paths, may_be_sheet

PATH_FORMATS = ("file-path", "path", "file-path-pattern")
FOLDER_FORMAT = "directory-path"
LINK_ENDINGS = ("_url", "_base", "_base_path", "_contact")
LIMITS = ("max_cpus", "max_memory", "max_time")
REFERENCES = "genomes"
"""The map of references, which has rules of its own."""
NOT_CARRIED = ("a path that is not carried: it must be there on the offline host, or be given in "
               "`params` and lie below hosts.folders")
_SEPARATOR = re.compile(r"([;,\s]+)")
_CALLS_OUT = re.compile(r"hook|email", re.IGNORECASE)
_ADDRESS = re.compile(r"[^@\s/]+@[^@\s/]+\Z")
_WEB = re.compile(r"https?://", re.IGNORECASE)
_WRITTEN = re.compile(r"out|publish|trace|work|tmp|temp|scratch|log|result|report|save",
                      re.IGNORECASE)
"""Names of params whose paths are written, not read."""


@dataclass(frozen=True, kw_only=True)
class Joined:
    """A text, list or mapping with several addresses, and those of them that are data."""

    value: Any
    data: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What a config asks for, by the names of params.

    `sheet_param` is the samplesheet's. `sources` are the data, URLs or paths of the unpacked code,
    the samplesheet among them; `several` texts, lists and mappings with more than one address of
    data, `folders` the URLs of folders, of which parts may be carried; `values` what our
    configuration sets; `none` what would reach out for nothing, with its value. `left` is what
    stays as it is though it looks like data.
    """

    sheet_param: str | None = None
    sources: Mapping[str, str | Path] = field(default_factory=dict)
    several: Mapping[str, Joined] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    none: Mapping[str, str] = field(default_factory=dict)
    left: tuple[Left, ...] = ()
    declared: tuple[str, ...] = ()


def choose(resolved: Mapping[str, Any], project: Path, given: Mapping[str, Any] | None = None,
           folders: Sequence[Path] = ()) -> Chosen:
    """Sort the resolved params, of which our configuration has set those `given`.

    What these name on this machine below `folders` is data as well.
    """
    sorting = _Sorting(project, given or {}, folders, frozenset(
        value for value in resolved.values() if isinstance(value, str) and value))
    for name, value in resolved.items():
        sorting.add(name, value.strip() if isinstance(value, str) else value)
    set_apart = {*sorting.sources, *sorting.folders, *sorting.none, *sorting.several}
    return Chosen(
        sheet_param=_samplesheet(sorting.sources), sources=sorting.sources,
        several=sorting.several, folders=sorting.folders, none=sorting.none,
        left=tuple(sorting.left),
        values={name: value for name, value in sorting.given.items() if name not in set_apart},
        declared=tuple(name for name in LIMITS if resolved.get(name) is not None))


class _Sorting:
    def __init__(self, project: Path, given: Mapping[str, Any], folders: Sequence[Path],
                 texts: Collection[str]) -> None:
        self.project, self.given, self._texts = project, given, texts
        self._allowed = [folder.resolve() for folder in folders]
        self._formats = _formats(project)
        self.sources: dict[str, str | Path] = {}
        self.several: dict[str, Joined] = {}
        self.folders: dict[str, str] = {}
        self.none: dict[str, str] = {}
        self.left: list[Left] = []

    def add(self, name: str, value: Any) -> None:
        if name in self.given and not isinstance(value, str):
            value = self._addressed(name, value)
        elif name in self.given and all(
                path.startswith("/") for path in _SEPARATOR.split(value)[::2]):
            parts = _SEPARATOR.split(value)
            value = value if len(parts) == 1 else "".join(
                part if number % 2 else self._addressed(name, part)
                for number, part in enumerate(parts))
        if isinstance(value, list | Mapping):
            if name != REFERENCES:
                self._add_members(name, value)
        elif not isinstance(value, str):
            return
        elif is_joined(value):
            self._add_several(name, value)
        elif urls.is_url(value):
            self._add_url(name, value)
        elif may_be_sheet(value) and (path := of_project(value, self.project)):
            self.sources[name] = path
        elif _CALLS_OUT.search(name) and _ADDRESS.match(value):
            self.none[name] = value
        else:
            self._add_path(name, value)

    def _add_url(self, name: str, url: str) -> None:
        kind = self._kind(name, url)
        if kind == "file":
            is_folder = self._formats.get(name) == FOLDER_FORMAT
            self.sources[name] = f"{url.rstrip('/')}/" if is_folder else url
        elif kind == "folder":
            self.folders[name] = url
        elif kind == "none":
            self.none[name] = url
        elif name in self.given and url.endswith("/"):
            self._leave(name, url, "HTTP can't list a folder")

    def _add_several(self, name: str, value: Any, within: Any = None) -> None:
        """Data are those addresses among several, or `within` a part, that would be data alone."""
        kinds = {url: self._member_kind(name, url, key)
                 for url, key in _addresses(value if within is None else within)}
        if "file" in kinds.values():
            self.several[name] = Joined(value=value, data=tuple(
                url for url, kind in kinds.items() if kind == "file"))
            for url, kind in kinds.items():
                if kind != "file":
                    self._leave(name, url, "it names no file")
        elif {"folder", "none"} & {*kinds.values()}:
            self.none[name] = " ".join(kinds)

    def _add_members(self, name: str, value: Any) -> None:
        """A list or a mapping; of a mapping of mappings the code chooses, as another param says.
        """
        addresses = list(_addresses(value))
        is_deep = isinstance(value, Mapping) and any(
            isinstance(member, Mapping) for member in value.values())
        if not addresses or not is_deep or name in self.given:
            self._add_several(name, value)
            return
        chosen = [member for key, member in value.items() if key in self._texts]
        if chosen:
            self._add_several(name, value, within=chosen)
        else:
            self._leave(name, addresses[0][0], f"the first of a catalogue of {len(addresses)} "
                        "addresses, of which no param chooses: give the param that takes one its "
                        "address")

    def _add_path(self, name: str, value: str) -> None:
        """A path of this machine: data where our configuration gives it and the site allows it."""
        declared = self._formats.get(name)
        is_declared = declared in (*PATH_FORMATS, FOLDER_FORMAT)
        if not value.startswith("/") or Path(value).is_relative_to(self.project) or (
                name not in self.given and not is_declared) or _WRITTEN.search(name):
            return
        url = self._own(value) if name in self.given else None
        if url is None:
            self._leave(name, value, NOT_CARRIED)
        else:
            self.sources[name] = url

    def _addressed(self, name: str, value: Any) -> Any:
        """A value with the absolute paths in it as addresses, where they may be carried."""
        if isinstance(value, Mapping):
            return {key: self._addressed(name, member) for key, member in value.items()}
        if isinstance(value, list):
            return [self._addressed(name, member) for member in value]
        if not isinstance(value, str) or not value.startswith("/") or _WRITTEN.search(name):
            return value
        url = self._own(value)
        if url is None:
            self._leave(name, value, NOT_CARRIED)
        return url or value

    def _own(self, value: str) -> str | None:
        """The address of a file, folder or pattern below the site's folders, if it is there."""
        is_pattern = globs.is_several(value)
        place = Path(globs.fixed(value).rpartition("/")[0] if is_pattern
                     else value)
        try:
            if not place.exists() or not any(place.resolve().is_relative_to(folder)
                                             for folder in self._allowed):
                return None
        except (OSError, ValueError, RuntimeError):  # no path at all
            return None
        is_folder = not is_pattern and place.is_dir()
        return f"file://{quote(value, safe='/*?{},')}" + (
            "/" if is_folder and not value.endswith("/") else "")

    def _kind(self, name: str, url: str) -> str:
        """What a URL is: a file, a folder, a link that is only shown, or none that a run may ask.
        """
        is_given, declared = name in self.given, self._formats.get(name)
        if name == custom_configs.BASE:
            return "link"  # the launch answers it
        if _CALLS_OUT.search(name):
            return "none"
        is_whole = is_given and not name.endswith(LINK_ENDINGS) and not _WEB.match(url)
        if declared == FOLDER_FORMAT or (declared in PATH_FORMATS and url.endswith("/")):
            return "file" if is_whole else "folder"
        if declared in PATH_FORMATS or is_whole:
            return "file"
        last = urls.path(url).rpartition("/")[2]
        is_link = declared is not None or name.endswith(LINK_ENDINGS)
        if not is_link and ("." in last or (is_given and last)):
            return "file"
        # Nextflow opens other schemes where a text becomes a path, and asks for a plugin to do so.
        return "link" if _WEB.match(url) else "folder"

    def _member_kind(self, name: str, url: str, key: str) -> str:
        """What one of several addresses is, by the key that it stands under, too."""
        kind = self._kind(name, url)
        if not key or kind == "none" or not _WEB.match(url):
            return kind
        is_file = is_of_paths(key) or (is_of_file(url) and not LINK_KEYS.fullmatch(key))
        return "file" if is_file else "link"

    def _leave(self, name: str, text: str, why: str) -> None:
        self.left.append(Left(place=f"params.{name}", text=text, why=why))


def is_joined(text: str) -> bool:
    """Whether a text holds more than one address, or one and further parts."""
    parts = [part for part in cells.parts(text)[::2] if part]
    addresses = [part for part in parts if urls.is_url(part)]
    if not addresses or addresses == [text] or cells.is_prose(text):
        return False
    return len(addresses) > 1 or urls.is_url(text)


def of_project(value: str, project: Path) -> Path | None:
    """The file of the unpacked code that a param names, if it does."""
    path = Path(value)
    try:
        place = path if path.is_absolute() else project / path
        inside = place.is_file() and place.resolve().is_relative_to(project.resolve())
    except (OSError, ValueError):  # no path at all, such as a long text
        return None
    return place if inside else None


def _addresses(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """The addresses in a text, list or mapping, with their keys, but for those in sentences."""
    if isinstance(value, Mapping):
        for name, member in value.items():
            yield from _addresses(member, str(name))
    elif isinstance(value, list):
        for member in value:
            yield from _addresses(member, key)
    elif isinstance(value, str) and not cells.is_prose(value):
        yield from ((part, key) for part in cells.parts(value)[::2] if urls.is_url(part))


def _samplesheet(sources: Mapping[str, str | Path]) -> str | None:
    tables = [name for name, source in sources.items()
              if str(source).lower().partition("?")[0].endswith(tuple(sheets.TABLES))]
    if "input" in sources and may_be_sheet(str(sources["input"])):
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
