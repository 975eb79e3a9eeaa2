"""What a store holds, as pruning sees it: releases, tools, their history, and what nothing names.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from typing import Any

from tasks.core import files, parsing
from tasks.core.errors import ConfigError, IntegrityError
from tasks.core.parallel import run_all
from tasks.core.schema import from_bytes
from tasks.core.store.interface import MAX_SMALL, Entry, Store, bring, content
from tasks.core.trust import promotions, published
from tasks.core.trust.checksums import MAX_LIST
from tasks.core.trust.promotions import Promotion, Subject
from tasks.core.trust.published import Published
from tasks.release.places import SEALED
from tasks.release.prune_plan import Held, History, Marks

FOLDERS = ("blobs/", "releases/", "smoke/", "tool/")
"""Below these, what nothing names may go. cli/ and work/ are none of a release's."""
MARKS = ".airlock/prune.json"
EVIDENCE = ".airlock/pruned"
"""Where the signed lists of what has gone stay: which bytes a release had can always be shown."""
SIGNED_TOOL = "airlock.tar.sig"
TOOL = re.compile(r"tool/([A-Za-z0-9_][A-Za-z0-9._-]*)/.+")
STATEMENT = re.compile(r"tool/(promotions|[^/]+/proofs)/.+")
"""What was said of a tool stays, as what is said of releases does."""
SMOKE = re.compile(r"smoke/([a-z][a-z0-9_-]*)/([^/]+)/.+")
POINTER = re.compile(r"releases/([a-z][a-z0-9_-]*)/current\.json")
LISTED = re.compile(rf"releases/([^/]+)/([^/]+)/(?:{'|'.join(SEALED)}|reports/.+|\..+\.part)")
"""What makes a release, and its reports, but not proofs, which stay; or what a killed push left
half."""
MAX_MARKS = 256 << 20


@dataclass(frozen=True, kw_only=True)
class Survey:
    """A store's files by key, its releases, and its tools by id."""

    entries: Mapping[str, Entry]
    releases: tuple[Published, ...]
    commands: frozenset[str]

    @cached_property
    def tools(self) -> list[Held]:
        """Tools that are signed; what is left of others is nobody's."""
        keys: dict[str, set[str]] = {}
        for key in self.entries:
            if (match := TOOL.fullmatch(key)) and not STATEMENT.fullmatch(key):
                keys.setdefault(match[1], set()).add(key)
        return [Held(pipeline=None, id=name, keys=frozenset(own),
                     listed=self.entries[seal].modified)
                for name, own in keys.items() if (seal := f"tool/{name}/{SIGNED_TOOL}") in own]

    @property
    def pipelines(self) -> list[str]:
        """Those with a release, or with a pointer to one."""
        return sorted({*(release.pipeline for release in self.releases),
                       *(match[1] for key in self.entries if (match := POINTER.fullmatch(key)))})

    @property
    def held(self) -> list[Held]:
        """Releases and tools."""
        return [*(Held(pipeline=release.pipeline, id=release.id, listed=release.listed,
                       keys=release.blobs) for release in self.releases), *self.tools]

    def size(self, keys: Iterable[str]) -> int:
        """Bytes of those keys that are there."""
        return sum(self.entries[key].size for key in keys if key in self.entries)

    def unnamed(self, staying: Collection[Held]) -> frozenset[str]:
        """All keys that are there and belong to nothing that stays."""
        blobs = {key for held in staying for key in held.keys} | self.commands
        releases = {(held.pipeline, held.id) for held in staying if held.pipeline}
        return frozenset(key for key in self.entries
                         if not self._is_needed(key, blobs, releases))

    def _is_needed(self, key: str, named: Collection[str],
                   releases: Collection[tuple[str | None, str]]) -> bool:
        if key.startswith("blobs/"):
            return key in named
        if match := SMOKE.fullmatch(key):
            return (match[1], match[2]) in releases
        if key.startswith("tool/"):
            return key in named or key.count("/") < 2 or bool(STATEMENT.fullmatch(key))
        match = LISTED.fullmatch(key)
        return match is None or (match[1], match[2]) in releases

    def missing(self, releases: Iterable[Published]) -> dict[str, list[str]]:
        """Of each release that isn't whole, by its place, the keys that aren't there."""
        return {release.place: gone for release in releases
                if (gone := sorted(release.blobs - self.entries.keys()))}


def survey(store: Store) -> Survey:
    """Read the store: listings, and each release's own list."""
    entries = {entry.key: entry for folder in FOLDERS for entry in store.entries(folder)}
    return Survey(entries=entries, releases=tuple(published.releases(store)),
                  commands=_commands(store))


def _commands(store: Store) -> frozenset[str]:
    """The blobs that instances of AWS Batch get: cli/<digest>/cli.json names each."""
    named = set()
    for entry in store.entries("cli/"):
        if entry.key.endswith("/cli.json"):
            try:
                named.add(str(parsing.from_json(content(store, entry.key, most=MAX_LIST) or b"")[
                    "key"]))
            except (ValueError, KeyError, TypeError) as error:
                raise IntegrityError("what says which AWS CLI is carried can't be read",
                                     where=f"{store.url}: {entry.key}",
                                     todo="push it again: `doit batch:host`") from error
    return frozenset(named)


def history(store: Store, pipeline: str | None, ran: Mapping[str, datetime]) -> History:
    """What was promoted of a pipeline, or of the tool.

    IntegrityError where the pointer or a promotion can't be read: then nothing may go.
    """
    subject = Subject(pipeline=pipeline)
    pointer = content(store, subject.pointer, most=MAX_SMALL)
    numbers = promotions.numbers(store, subject)
    current = None
    if pointer is not None:
        current = str(_checked(pointer, "pointer", f"{store.url}: {subject.pointer}")["id"])
    return History(current=current, ran=ran, promotions=run_all(
        lambda number: _promotion(store, subject.key(number)), numbers))


def _promotion(store: Store, key: str) -> Promotion:
    promotion = promotions.parsed(bring(store, key), key)
    if promotion is None:
        raise IntegrityError("a promotion can't be read", where=f"{store.url}: {key}",
                             todo="find out who wrote it; until then nothing is pruned")
    return promotion


def _checked(data: bytes, name: str, where: str) -> Any:
    try:
        return from_bytes(data, name, where=where)
    except ConfigError as error:
        raise IntegrityError(f"this can't be read: {error.what}", where=where,
                             todo="find out who wrote it; until then nothing is pruned") from error


def read_marks(store: Store) -> Marks:
    """Since when nothing has named what; none where nothing was pruned yet."""
    data = content(store, MARKS, most=MAX_MARKS)
    if data is None:
        return Marks()
    groups = _checked(data, "prune-marks", f"{store.url}: {MARKS}")["since"]
    return Marks(**{kind: {name: promotions.time(since) for since, group in groups.items()
                           for name in group[kind]} for kind in ("keys", "images")})


def write_marks(store: Store, marks: Marks) -> None:
    """Keep them in the store: whoever prunes next goes on with them."""
    groups: dict[str, dict[str, list[str]]] = {}
    for kind, since_of in (("keys", marks.keys), ("images", marks.images)):
        for name, since in sorted(since_of.items()):
            text = since.astimezone(timezone.utc).strftime(promotions.TIME_FORMAT)
            groups.setdefault(text, {"keys": [], "images": []})[kind].append(name)
    store.put_bytes(MARKS, files.json_bytes({"since": groups}))
