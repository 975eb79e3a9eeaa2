"""Staging: all that was collected is weighed, fetched into the cache, and laid out by path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.errors import SourceError
from tasks.core.inputs import cells, staged_data
from tasks.core.inputs.sheets import Sheet
from tasks.core.net import urls
from tasks.data import plan, sources, trees
from tasks.data.blobs import Blob, Cache, basename, fetch_all
from tasks.data.collect import Collected
from tasks.data.trees import Tree


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be fetched: `places` say of each URL where it stands.

    `laid` maps a path in the release to the tree's file that lies there; `beside` a file's URL to
    those of its indexes.
    """

    places: Mapping[str, list[str]]
    laid: Mapping[str, str]
    beside: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Staged:
    """What is in the cache now, by URL or local key, and what lies where in the release."""

    collected: Collected
    blobs: Mapping[str, Blob]
    files: Mapping[str, Blob]

    def path(self, key: str) -> str | None:
        """Where a param or cell finds what it names, relative to the release."""
        collected = self.collected
        if key in collected.paths:
            return collected.paths[key]
        if key in collected.own_trees:
            return f"trees/{collected.own_trees[key].label}/{collected.patterns[key]}".rstrip("/")
        if key in collected.patterns:
            return f"trees/{collected.trees[key].label}/{collected.patterns[key]}"
        return f"data/{self.blobs[key].path}" if key in self.blobs else None


def survey(collected: Collected, further: Iterable[Tree], cache: Cache) -> Wanted:
    """Everything to fetch: what params and cells name, the trees' files, and the indexes beside.

    Lists folders and asks for indexes, and fetches nothing.
    """
    places = {url: list(named) for url, named in collected.wanted.items()}
    laid = {}
    for path, named in trees.listed([*collected.trees.values(), *further], cache.reach).items():
        (url, where), *others = named.items()
        if others:
            raise SourceError(f"two addresses stand for {path}: "
                              + ", ".join(map(urls.redact, named)))
        laid[path] = url
        places.setdefault(url, []).extend(where)
    beside = sources.companions(sorted(places), cache.reach)
    for url, companions in beside.items():
        for companion in companions:
            places.setdefault(companion, []).append(f"beside {places[url][0]}")
    return Wanted(places=places, laid=laid, beside=beside)


def weigh(wanted: Wanted, collected: Collected, cache: Cache,
          locked: Mapping[str, int]) -> plan.Plan:
    """The plan: sizes from the lock for what the cache holds, else as the servers and disk tell.

    `locked` maps a URL without secrets to its size in bytes.
    """
    held = {url: known for url in wanted.places if (known := _is_held(url, cache))}
    held |= dict.fromkeys(collected.fetched, True)
    asked = {url: places for url, places in wanted.places.items() if url not in held}
    sizes = sources.sizes(asked, cache.reach, cache.notes)
    sizes |= {url: (collected.fetched[url].size if url in collected.fetched
                    else locked[urls.redact(url)]) for url in held if url in wanted.places}
    sizes |= {key: path.stat().st_size for key, path in collected.local.items()}
    return plan.make(sizes, {**wanted.places, **collected.local_places}, held)


def _is_held(url: str, cache: Cache) -> bool:
    digest = cache.known.get(urls.redact(url))
    return digest is not None and staged_data.blob(cache.folder, digest, "").is_file()


def fetch(wanted: Wanted, collected: Collected, cache: Cache) -> Staged:
    """Bring everything into the cache, each URL once."""
    lacking = {url: places for url, places in wanted.places.items()
               if url not in collected.fetched}
    blobs = {**collected.fetched, **fetch_all(lacking, cache)}
    blobs |= {key: keep(key, path, cache.folder) for key, path in collected.local.items()}
    named = [*collected.wanted, *sorted(collected.single)]
    laid = {f"data/{blobs[key].path}": blobs[key] for key in named}
    for url, indexes in sorted(wanted.beside.items()):
        if url in collected.wanted:
            for companion in indexes:
                blob = blobs[companion]
                laid.setdefault(f"data/{blobs[url].sha256}/{blob.name}", blob)
    for key, paths in sorted(collected.beside.items()):
        for path in paths:
            blob = keep(f"{key.rpartition('/')[0]}/{path.name}" if "/" in key
                        else f"{key.partition(':')[0]}:{path.name}", path, cache.folder)
            laid.setdefault(f"data/{blobs[key].sha256}/{blob.name}", blob)
    for tree in collected.own_trees.values():
        laid |= {f"trees/{tree.label}/{name}": blobs[key] for name, key in tree.files.items()}
    for place, url in wanted.laid.items():
        laid[place] = blobs[url]
        for companion in wanted.beside.get(url, ()):
            beside = f"{place.rpartition('/')[0]}/{_last(companion)}"
            laid.setdefault(beside, blobs[companion])
    return Staged(collected=collected, blobs=blobs, files=dict(sorted(laid.items())))


def _last(url: str) -> str:
    return sources.path_of(url).rpartition("/")[2]


def keep(key: str, path: Path, cache: Path) -> Blob:
    """Put a file of this machine into the cache."""
    name, digest = basename(path.name), files.sha256(path)
    files.copy(path, cache / digest / name)
    return Blob(url=key, name=name, sha256=digest, size=path.stat().st_size)


def templates(staged: Staged, cache: Path) -> dict[str, Blob]:
    """Path in the release to the blob of each sheet, whose cells are paths in the release."""
    collected = staged.collected

    def blob(key: str) -> Blob:
        sheet = placed(collected, key, staged.path)
        data = sheet.data()
        digest = files.sha256_bytes(data)
        mode = files.copied_mode(collected.origins[key][1].stat())
        files.write_bytes(cache / digest / sheet.name, data, mode=mode)
        return Blob(url=f"sheet:{collected.paths[key]}", name=sheet.name, sha256=digest,
                    size=len(data))

    return {collected.paths[key]: blob(key)
            for key in sorted(collected.sheets, key=collected.paths.__getitem__)}


def placed(collected: Collected, key: str, place: Callable[[str], str | None]) -> Sheet:
    """A sheet with each reference in it as `place` knows it; other text stays as it is."""
    names = collected.names[key]

    def changed(cell: str, column: str) -> str:
        def known(text: str) -> str | None:
            named = names.get((column, text))
            return place(named) if named is not None else None

        return replaced(cell, known)

    return collected.sheets[key].changed(changed)


def replaced(text: str, known: Callable[[str], str | None]) -> str:
    """A text with each reference that is known replaced; spaces around those count for nothing."""
    pieces = list(cells.pieces(text, known))
    if all(new is None for _, new in pieces):
        return text
    return "".join(piece if new is None else new for piece, new in pieces).strip()


def listed(staged: Staged) -> list[dict[str, Any]]:
    """The manifest's `files`."""
    return [{"url": blob.url, "sha256": blob.sha256, "size": blob.size, "path": path}
            for path, blob in staged.files.items()]


def sheets_listed(staged: Staged, templates: Mapping[str, Blob]) -> list[dict[str, Any]]:
    """The manifest's `sheets`: all that are carried in their own format, below sheets/."""
    lines = {staged.collected.paths[key]: sheet.delimiter is None and not sheet.is_tree
             for key, sheet in staged.collected.sheets.items()}
    return [{"path": path, "sha256": blob.sha256, "size": blob.size, "is_lines": lines[path]}
            for path, blob in sorted(templates.items()) if path != staged_data.INPUTS]
