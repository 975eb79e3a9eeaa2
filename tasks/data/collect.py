"""Everything that params and sheets name, sheets in sheets too; only sheets are fetched for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tasks.core import files
from tasks.core.errors import SourceError
from tasks.core.inputs import sheets
from tasks.core.inputs.sheets import Sheet
from tasks.core.inputs.staged_data import INPUTS
from tasks.core.net import urls
from tasks.data import sources, trees, trim
from tasks.data.blobs import Blob, Cache, basename, fetch_all
from tasks.data.companions import names as companion_names
from tasks.data.local_files import Finder
from tasks.data.params import is_sheet
from tasks.data.trees import Tree

MAX_DEPTH = 5
"""How many sheets may stand in each other; a public one has two."""
MAX_SHEET = 32 * 2**20
"""Bytes above which a text file is no sheet of references."""


@dataclass(frozen=True, kw_only=True)
class Root:
    """What a param names: a URL or a local file. The samplesheet alone `is_main`."""

    label: str
    place: str
    source: str | Path
    is_main: bool = False


@dataclass(kw_only=True)
class Collected:
    """What was found, by key: a URL, or a local file as its finder names it.

    `sheets` are parsed and trimmed, `paths` is where each lies in the release, `below` what each
    names, and `origins` where each is named and the file that it was read from; `wanted` are URLs
    of files with their places, `local` files of this machine with theirs in `local_places`, and
    `beside` the indexes of these; `trees` stand for folders and patterns, `patterns` is what of its
    tree one means. `fetched` are the sheets' and other looked-at files' blobs. `roots` maps a
    param's label to its key.
    """

    roots: dict[str, str] = field(default_factory=dict)
    main: str | None = None
    sheets: dict[str, Sheet] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    below: dict[str, set[str]] = field(default_factory=dict)
    origins: dict[str, tuple[str, Path]] = field(default_factory=dict)
    wanted: dict[str, list[str]] = field(default_factory=dict)
    local: dict[str, Path] = field(default_factory=dict)
    local_places: dict[str, list[str]] = field(default_factory=dict)
    beside: dict[str, list[Path]] = field(default_factory=dict)
    trees: dict[str, Tree] = field(default_factory=dict)
    patterns: dict[str, str] = field(default_factory=dict)
    fetched: dict[str, Blob] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Named:
    """One mention of a file: its key, where it stands, and the sheet that names it."""

    key: str
    place: str
    label: str
    path: Path | None = None
    is_main: bool = False
    is_of_main: bool = False


def key_of(url: str) -> str:
    """How a URL is known here: as it stands, but an s3 URL as Nextflow reads it."""
    return trees.tidy(url) if url.lower().startswith("s3:") else url


def collect(roots: Iterable[Root], *, cache: Cache, finder: Finder, samples: int) -> Collected:
    """Follow the roots into their sheets, whose main one is trimmed to `samples`.

    Raises SourceError for sheets that can't be had or read, that name one another in a circle,
    or lie too deep in each other.
    """
    collected = Collected()
    level = [_rooted(root, finder, collected) for root in roots]
    for _ in range(MAX_DEPTH + 1):
        level = _next(level, collected, cache, finder, samples)
        if not level:
            break
    else:
        raise SourceError(f"sheets stand more than {MAX_DEPTH} deep in each other",
                          where=level[0].place)
    _refuse_circle(collected)
    return collected


def _rooted(root: Root, finder: Finder, collected: Collected) -> _Named:
    path = root.source if isinstance(root.source, Path) else None
    key = finder.key(path) if path else key_of(str(root.source))
    collected.roots[root.label] = key
    if root.is_main:
        collected.main = key
    return _Named(key=key, place=root.place, label=root.label, path=path, is_main=root.is_main)


def _next(level: list[_Named], collected: Collected, cache: Cache, finder: Finder,
          samples: int) -> list[_Named]:
    """Sort one level's mentions, and tell those in its sheets."""
    looked: dict[str, _Named] = {}
    for named in level:
        if named.path is None and trees.is_several(named.key):
            tree, collected.patterns[named.key] = trees.of_url(
                named.key, _label(named, collected), urls.redact(named.place))
            collected.trees.setdefault(named.key, tree)
        elif named.key in collected.sheets or named.key in looked:
            continue
        elif named.is_main or (is_sheet(named.key) and named.key not in collected.wanted):
            looked[named.key] = named
        else:
            _want(named, collected)
    _fetch(looked, collected, cache)
    next_level: list[_Named] = []
    for key, named in looked.items():
        path = named.path or (cache.folder / collected.fetched[key].path
                              if key in collected.fetched else None)
        sheet = _read(path, named, finder, samples) if path else None
        mentions = list(_mentions(sheet, named, finder)) if sheet else []
        if path is None or sheet is None or not (mentions or named.is_main):
            _want(named, collected)
            continue
        collected.sheets[key] = sheet
        collected.origins[key] = named.place, path
        collected.below[key] = {mention.key for mention in mentions}
        collected.paths[key] = (INPUTS if named.is_main and sheets.kind(sheet.name) == ".csv" else
                                f"sheets/{_label(named, collected)}/{sheet.name}")
        next_level += mentions
    return next_level


def _fetch(looked: Mapping[str, _Named], collected: Collected, cache: Cache) -> None:
    """Fetch what may be a sheet, unless it is too large for one."""
    asked = {key: [named.place] for key, named in looked.items() if named.path is None}
    small = {key: size for key, size in sources.sizes(
        {key: places for key, places in asked.items() if not looked[key].is_main},
        cache.reach).items() if size is None or size <= MAX_SHEET}
    collected.fetched |= fetch_all({key: places for key, places in asked.items()
                                    if key in small or looked[key].is_main}, cache)


def _read(path: Path, named: _Named, finder: Finder, samples: int) -> Sheet | None:
    """The sheet, or None where the file is none; what the samplesheet's param names must be."""
    if not named.is_main and path.stat().st_size > MAX_SHEET:
        return None
    try:
        sheet = sheets.parse(path.read_bytes(), name=basename(path.name),
                             has_header=lambda row: not any(_refers(cell, finder)
                                                            for cell in row))
    except SourceError:
        if named.is_main:
            raise
        return None
    if not named.is_main and sheet.is_tree and not isinstance(sheet.tree, list):
        return None  # a config, whose links are no data
    is_to_trim = named.is_main or (named.is_of_main and trim.is_samplesheet(sheet))
    return trim.trimmed(sheet, samples) if is_to_trim else sheet


def _mentions(sheet: Sheet, named: _Named, finder: Finder) -> Iterable[_Named]:
    """What the sheet's cells name, each once."""
    mentioned: set[str] = set()
    for place, cell in sheet.cells():
        for text in sheets.parts(cell)[::2]:
            if text not in mentioned:
                mentioned.add(text)
                mention = _mention(text.strip(), place, named, finder)
                if mention:
                    yield mention


def _mention(text: str, place: str, within: _Named, finder: Finder) -> _Named | None:
    of_main = within.is_main or within.is_of_main
    if urls.is_url(text):
        return _Named(key=key_of(text), place=place, label="", is_of_main=of_main)
    path = finder.find(text)
    return None if path is None else _Named(key=finder.key(path), place=place, label="",
                                            path=path, is_of_main=of_main)


def _refers(cell: str, finder: Finder) -> bool:
    return any(urls.is_url(text.strip()) or finder.find(text.strip())
               for text in sheets.parts(cell)[::2])


def _want(named: _Named, collected: Collected) -> None:
    if named.path is not None:
        if not (named.label and named.key.startswith("code:")):  # a param's file is in the code
            collected.local[named.key] = named.path
            collected.local_places.setdefault(named.key, []).append(named.place)
            there = [named.path.with_name(index) for index in companion_names(named.path.name)]
            collected.beside[named.key] = [index for index in there if index.is_file()]
        return
    collected.wanted.setdefault(named.key, []).append(named.place)


def _label(named: _Named, collected: Collected) -> str:
    """A param's name, else what tells one URL from others; one folder holds one sheet or tree."""
    return basename(named.label) if named.label else files.sha256_bytes(named.key.encode())[:12]


def _refuse_circle(collected: Collected) -> None:
    done: set[str] = set()

    def walk(key: str, above: tuple[str, ...]) -> None:
        if key in above:
            shown = " → ".join(urls.redact(named) for named in (*above[above.index(key):], key))
            raise SourceError(f"sheets name one another in a circle: {shown}")
        if key not in done:
            for named in collected.below.get(key, ()):
                if named in collected.sheets:
                    walk(named, (*above, key))
            done.add(key)

    for key in collected.sheets:
        walk(key, ())
