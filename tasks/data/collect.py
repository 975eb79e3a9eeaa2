"""Everything that params and sheets name, sheets in sheets too; only sheets are fetched for it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tasks.core import files
from tasks.core.errors import SourceError
from tasks.core.inputs import globs, sheets
from tasks.core.inputs.sheets import Sheet
from tasks.core.inputs.staged_data import INPUTS
from tasks.core.net import urls
from tasks.data import mentions, sources, trees, trim
from tasks.data.blobs import Blob, Cache, basename, fetch_all
from tasks.data.companions import names as companion_names
from tasks.data.left import Left
from tasks.data.local_files import Finder, Several
from tasks.data.mentions import Named, Reading, key_of
from tasks.data.trees import Tree

logger = logging.getLogger(__name__)

MAX_DEPTH = 5
"""How many sheets may stand in each other; a public one has two."""
MAX_SHEET = 32 * 2**20
"""Bytes above which a text file is no sheet of references."""
FOLDER_ENDINGS = (".zarr", ".d", ".gdb")
"""Endings of folders that are taken for one file."""


@dataclass(frozen=True, kw_only=True)
class Root:
    """What a param names: a URL or a local file. The samplesheet alone `is_main`.

    `label` is the param's name where it names this alone.
    """

    label: str
    place: str
    source: str | Path
    is_main: bool = False


@dataclass(frozen=True, kw_only=True)
class OwnTree:
    """A folder or pattern of this machine: its name below trees/, and its files' keys by paths."""

    label: str
    files: Mapping[str, str]


@dataclass(kw_only=True)
class Collected:
    """What was found, by key: a URL, or a local file as its finder names it.

    `sheets` are parsed and trimmed, `paths` is where each lies in the release, `names` what its
    texts stand for, by column, and `origins` where each is named and the file that it was read
    from; `wanted` are URLs of files with their places, `local` files of this machine with theirs in
    `local_places`, of which `single` are named one by one, and `beside` the indexes of these;
    `trees` stand for folders and patterns, `own_trees` for those of this machine, `patterns` is
    what of its tree one means. `left` is what stays as it is. `fetched` are the sheets' and other
    looked-at files' blobs. `roots` maps a param's label to its key.
    """

    roots: dict[str, str] = field(default_factory=dict)
    main: str | None = None
    sheets: dict[str, Sheet] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    names: dict[str, Mapping[tuple[str, str], str]] = field(default_factory=dict)
    origins: dict[str, tuple[str, Path]] = field(default_factory=dict)
    wanted: dict[str, list[str]] = field(default_factory=dict)
    local: dict[str, Path] = field(default_factory=dict)
    local_places: dict[str, list[str]] = field(default_factory=dict)
    single: set[str] = field(default_factory=set)
    beside: dict[str, list[Path]] = field(default_factory=dict)
    trees: dict[str, Tree] = field(default_factory=dict)
    own_trees: dict[str, OwnTree] = field(default_factory=dict)
    patterns: dict[str, str] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)
    fetched: dict[str, Blob] = field(default_factory=dict)


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


def _rooted(root: Root, finder: Finder, collected: Collected) -> Named:
    path = root.source if isinstance(root.source, Path) else None
    key = finder.key(path) if path else key_of(str(root.source))
    if root.label:
        collected.roots[root.label] = key
    if root.is_main:
        collected.main = key
    return Named(key=key, place=root.place, label=root.label, path=path, is_param=True,
                 is_main=root.is_main)


def _next(level: list[Named], collected: Collected, cache: Cache, finder: Finder,
          samples: int) -> list[Named]:
    """Sort one level's mentions, and tell those in its sheets."""
    looked: dict[str, Named] = {}
    folders, pages = _looked_at(level, collected, cache)
    for named in level:
        if named.folder is not None:
            _want_folder(named, named.folder, finder, collected)
        elif named.path is None and (trees.is_several(named.key) or named.key in folders):
            _want_tree(named, collected, cache)
        elif named.key in collected.sheets or named.key in looked:
            continue
        elif named.is_main or (mentions.may_be_sheet(named.key)
                               and named.key not in collected.wanted):
            looked[named.key] = named
        elif named.key in pages and not named.is_param:
            _leave(named, "it answers with a web page, and its name is no file's", collected)
        else:
            _want(named, collected)
    _fetch(looked, collected, cache)
    next_level: list[Named] = []
    for key, named in looked.items():
        path = named.path or (cache.folder / collected.fetched[key].path
                              if key in collected.fetched else None)
        reading = _read(path, named, finder, samples) if path else None
        if path is None or reading is None:
            _want(named, collected)
            continue
        _keep(reading, named, path, collected)
        next_level += reading.named
    return next_level


def _keep(reading: Reading, named: Named, path: Path, collected: Collected) -> None:
    key, sheet = named.key, reading.sheet
    if sheet.encoding != "utf-8":
        logger.warning("%s is %s, which Nextflow takes for UTF-8: it stays so; where the run can't "
                       "read it, save it as CSV (UTF-8)", sheet.name, sheet.encoding.upper())
    collected.sheets[key] = sheet
    collected.left += reading.left
    collected.origins[key] = named.place, path
    collected.names[key] = reading.names
    collected.paths[key] = (INPUTS if named.is_main and sheets.kind(sheet.name) == ".csv" else
                            f"sheets/{_label(named)}/{sheet.name}")


def _looked_at(level: Iterable[Named], collected: Collected, cache: Cache
               ) -> tuple[set[str], set[str]]:
    """Of the URLs whose names are no file's, those of folders that can be listed, and web pages."""
    asked = {named.key for named in level
             if named.path is None and named.folder is None and not trees.is_several(named.key)
             and named.key not in collected.wanted and _may_be_folder(named.key)
             and urls.redact(named.key) not in cache.known}
    answers = sources.answers(asked, cache.reach)
    folders = {url for url, remote in answers.items()
               if remote is None and sources.is_listed(url, cache.reach)}
    return folders, {url for url, remote in answers.items() if remote and remote.page}


def _may_be_folder(url: str) -> bool:
    try:
        last = sources.path_of(url).rpartition("/")[2]
    except (ValueError, SourceError):  # no URL, as its fetching will say
        return False
    return "." not in last or last.lower().endswith(FOLDER_ENDINGS)


def _want_tree(named: Named, collected: Collected, cache: Cache) -> None:
    path = named.key.partition("?")[0]
    unlisted = path.endswith("/") or globs.is_pattern(path)
    if unlisted and not named.is_param and not sources.is_listed(named.key, cache.reach):
        _leave(named, "HTTP can't list a folder, nor what fits a pattern; name the files one by "
                      "one, or map the address to a folder or bucket in hosts.urls", collected)
        return
    if named.key not in collected.trees:
        collected.trees[named.key], collected.patterns[named.key] = trees.of_url(
            named.key, _label(named), urls.redact(named.place), keeps_name=not named.label)


def _want_folder(named: Named, folder: Several, finder: Finder, collected: Collected) -> None:
    """Take all files of a folder or pattern of this machine, with their paths below it."""
    kept = "" if folder.relative else f"{folder.base.name}/"
    keys = {f"{kept}{name}": finder.key(folder.base / name) for name in folder.names}
    collected.own_trees[named.key] = OwnTree(label=_label(named), files=keys)
    collected.patterns[named.key] = folder.relative or kept
    for name, key in zip(folder.names, keys.values(), strict=True):
        files.inside(folder.base, name)
        collected.local[key] = folder.base / name
        collected.local_places.setdefault(key, []).append(named.place)
        collected.beside.setdefault(key, [])


def _fetch(looked: Mapping[str, Named], collected: Collected, cache: Cache) -> None:
    """Fetch what may be a sheet, unless it is too large for one."""
    asked = {key: [named.place] for key, named in looked.items() if named.path is None}
    small = {key: size for key, size in sources.sizes(
        {key: places for key, places in asked.items() if not looked[key].is_main},
        cache.reach, cache.notes).items() if size is None or size <= MAX_SHEET}
    collected.fetched |= fetch_all({key: places for key, places in asked.items()
                                    if key in small or looked[key].is_main}, cache)


def _read(path: Path, named: Named, finder: Finder, samples: int) -> Reading | None:
    """The sheet, or None where the file is none; what the samplesheet's param names must be."""
    if not named.is_main and path.stat().st_size > MAX_SHEET:
        return None
    try:
        sheet = sheets.parse(path.read_bytes(), name=basename(path.name),
                             has_header=lambda row: not any(mentions.refers(cell, finder)
                                                            for cell in row))
    except SourceError:
        if named.is_main:
            raise
        return None
    is_to_trim = named.is_main or (named.is_of_main and trim.is_samplesheet(sheet))
    reading = mentions.read(trim.trimmed(sheet, samples) if is_to_trim else sheet, named, finder)
    return reading if named.is_main or mentions.makes_sheet(reading) else None


def _want(named: Named, collected: Collected) -> None:
    if named.path is not None:
        if not (named.is_param and named.key.startswith("code:")):  # a param's file is in the code
            collected.local[named.key] = named.path
            collected.single.add(named.key)
            collected.local_places.setdefault(named.key, []).append(named.place)
            there = [named.path.with_name(index) for index in companion_names(named.path.name)]
            collected.beside[named.key] = [index for index in there if index.is_file()]
        return
    collected.wanted.setdefault(named.key, []).append(named.place)


def _leave(named: Named, why: str, collected: Collected) -> None:
    collected.left.append(Left(place=named.place, text=named.key, why=why))


def _label(named: Named) -> str:
    """A param's name, else what tells one URL from others; one folder holds one sheet or tree."""
    return basename(named.label) if named.label else files.sha256_bytes(named.key.encode())[:12]


def _refuse_circle(collected: Collected) -> None:
    done: set[str] = set()

    def below(key: str) -> Collection[str]:
        return set(collected.names[key].values()) & set(collected.sheets)

    def walk(key: str, above: tuple[str, ...]) -> None:
        if key in above:
            shown = " → ".join(urls.redact(named) for named in (*above[above.index(key):], key))
            raise SourceError(f"sheets name one another in a circle: {shown}")
        if key not in done:
            for named in below(key):
                walk(named, (*above, key))
            done.add(key)

    for key in collected.sheets:
        walk(key, ())
