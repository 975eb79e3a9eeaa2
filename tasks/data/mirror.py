"""A pipeline's test data: what its params and sheets name, fetched, locked and listed."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import disk, files, lock_files
from tasks.core.errors import ConfigError
from tasks.core.inputs import staged_data
from tasks.core.lock_files import Entry, Locked, LockFiles
from tasks.core.net import urls
from tasks.core.source import resolved_config
from tasks.core.trust import checksums
from tasks.data import params, plan, references, sources, stage, trees
from tasks.data.blobs import Blob, Cache
from tasks.data.collect import Collected, Root, collect
from tasks.data.left import Left, tell
from tasks.data.local_files import Finder
from tasks.data.mentions import key_of
from tasks.data.references import Wish
from tasks.data.sources import Reach
from tasks.data.trees import Tree

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What of a pipeline's data is carried, as its config says.

    `samples` are kept of each samplesheet, all for 0; `given` are params that the config sets;
    `folders` maps a folder's param to what below it is carried; `limit` is in bytes.
    """

    profile: str
    samples: int
    given: Mapping[str, Any]
    references: Wish | None
    folders: Mapping[str, tuple[str, ...]]
    limit: int | None


@dataclass(frozen=True, kw_only=True)
class Source:
    """The staged code and its config, how URLs are reached, and where what is fetched goes."""

    reach: Reach
    code: Path
    resolved: Path
    blobs: Path
    lock: LockFiles
    relock: bool


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """What `mirror:data` reads, and where its files go."""

    pipeline: str
    selection: Selection
    source: Source
    store: str
    manifest: Path
    sums: Path
    inputs: Path
    inputs_store: Path


@dataclass(frozen=True, kw_only=True)
class PlanSpec:
    """What `data:plan` reads, and the file that it writes for programs."""

    pipeline: str
    selection: Selection
    source: Source
    report: Path


@dataclass(frozen=True, kw_only=True)
class Surveyed:
    """What is to be carried, and what that costs."""

    chosen: params.Chosen
    trees: Mapping[str, Tree]
    every: frozenset[str]
    absent: Mapping[str, str]
    collected: Collected
    wanted: stage.Wanted
    plan: plan.Plan
    cache: Cache
    known: Mapping[str, str]
    left: Sequence[Left]


def mirror(spec: Mirror) -> str:
    """Stage the data of the pipeline's profile.

    Raises SourceError with all files that can't be had, and where each is named, or whose
    bytes are not those of the lock; ConfigError where they are more than the limit.
    """
    with _surveyed(spec.selection, spec.source) as survey:
        logger.info("mirror:data:%s  %s", spec.pipeline, plan.summary(survey.plan))
        plan.hold(survey.plan, spec.selection.limit)
        disk.hold(spec.source.blobs, survey.plan.coming, "the data that is fetched")
        staged = stage.fetch(survey.wanted, survey.collected, survey.cache)
        lock(staged, survey.known, spec.source)
        _write(spec, survey, staged)
        note = tell(survey.left, f"mirror:data:{spec.pipeline}")
    size = sum({blob.path: blob.size for blob in staged.files.values()}.values())
    return f"{len(staged.files)} files, {files.human_size(size)}{note}"


def show_plan(spec: PlanSpec) -> str:
    """Print what carrying the data costs: nothing but the sheets is fetched for it."""
    with _surveyed(spec.selection, spec.source) as survey:
        print(plan.table(survey.plan), flush=True)
        files.write_json(spec.report, plan.as_json(survey.plan, spec.selection.limit))
        plan.hold(survey.plan, spec.selection.limit)
        note = tell(survey.left, f"data:plan:{spec.pipeline}")
    return plan.summary(survey.plan) + note


@contextlib.contextmanager
def surveyed(selection: Selection, source: Source) -> Iterator[plan.Plan]:
    """What carrying the data costs; nothing but the sheets is fetched for it."""
    with _surveyed(selection, source) as survey:
        yield survey.plan


@contextlib.contextmanager
def _surveyed(selection: Selection, source: Source) -> Iterator[Surveyed]:
    """Follow what the config names; the unpacked code is gone afterwards."""
    cache, known, sizes = opened(source, limit=selection.limit)
    with resolved_config.opened(source.code, source.resolved) as (code, config):
        resolved = config.get("params", {})
        chosen = params.choose(resolved, code, selection.given, source.reach.folders)
        reference_files = references.choose(resolved, selection.references, code)
        carried_trees = _trees(selection, resolved, reference_files)
        roots = {**chosen.sources, **reference_files.others}
        for name in carried_trees:
            roots.pop(name, None)
        finder = Finder(code)
        collected = collect([
            *(Root(label=name, place=f"params.{name}", source=named,
                   is_main=name == chosen.sheet_param) for name, named in roots.items()),
            *(Root(label="", place=f"params.{name}", source=url)
              for name, joined in chosen.several.items() for url in joined.data)],
            cache=cache, finder=finder, samples=selection.samples)
        wanted = stage.survey(collected, carried_trees.values(), cache)
        yield Surveyed(
            chosen=chosen, trees=carried_trees, collected=collected, wanted=wanted, cache=cache,
            every=frozenset({*selection.given, *reference_files.others}), known=known,
            plan=stage.weigh(wanted, collected, cache, sizes),
            absent=reference_files.absent,
            left=[*chosen.left, *_nulled(chosen, reference_files, carried_trees), *collected.left])


def _nulled(chosen: params.Chosen, reference_files: references.References,
            carried: Mapping[str, Tree]) -> Iterator[Left]:
    """The folders that params name, of which nothing is carried, and what hangs on attributes."""
    if reference_files.absent:
        yield Left(place="params of the genome's attributes", why="not among references.attributes,"
                   " so null offline", text=", ".join(sorted(reference_files.absent)))
    for name, url in chosen.folders.items():
        if name not in carried:
            yield Left(place=f"params.{name}", text=url, why="a folder, null offline; data.folders "
                       "names what of it is carried, `params` an address to carry whole")


def opened(source: Source, *, limit: int | None) -> tuple[Cache, dict[str, str], dict[str, int]]:
    """The cache, and of the lock's files the digests and sizes by URL."""
    locked = _locked(source.lock)
    entries = locked.entries
    notes = {url: _note(source.lock, entry, is_own=url in locked.own)
             for url, entry in entries.items()}
    known = {url: entry["sha256"] for url, entry in entries.items()}
    sizes = {url: entry["size"] for url, entry in entries.items()}
    return Cache(folder=source.blobs, partial=source.blobs / ".partial", reach=source.reach,
                 known={} if source.relock else known, limit=limit, notes=notes), known, sizes


def _note(lock: LockFiles, entry: Entry, *, is_own: bool) -> str:
    """What an error says of a file that is locked, and can't be had."""
    return (f"\n      locked in {lock.own if is_own else lock.shared}: sha256 {entry['sha256']}; a "
            "copy of that will do, mapped in hosts.urls; for other bytes there: "
            f"{lock.renewing}")


def lock(staged: stage.Staged, known: Mapping[str, str], source: Source) -> None:
    """Hold what was fetched against the lock, then write the lock."""
    fetched = {key: blob for key, blob in staged.blobs.items() if urls.is_url(key)}
    now: dict[str, Entry] = {
        blob.url: {"url": blob.url, "sha256": blob.sha256, "size": blob.size}
        for blob in fetched.values()}
    locked = _locked(source.lock)
    lock_files.compare(known, {url: entry["sha256"] for url, entry in now.items()},
                       lock=source.lock, relock=source.relock, own=locked.own)
    fresh = now if source.relock else {*now} - {*locked.entries}
    lock_files.write(source.lock, locked.renewed(now, fresh, {
        blob.url: place for key, blob in fetched.items()
        if (place := sources.own_place(key, source.reach))}), lambda entries: {
            "files": [entries[url] for url in sorted(entries)]})


def _locked(lock: LockFiles) -> Locked:
    """The lock's entries, by their URLs without secrets."""
    shared, own = ({entry["url"]: entry for entry in (read or {"files": []})["files"]}
                   for read in lock_files.read_both(lock, "data-lock"))
    return Locked(shared=shared, own=own)


def _trees(selection: Selection, resolved: Mapping[str, Any],
           reference_files: references.References) -> dict[str, Tree]:
    """The params whose folders are carried in parts."""
    tree = reference_files.tree
    trees_by_param = {tree.label: tree} if tree else {}
    faults = []
    for name, below in selection.folders.items():
        value = resolved.get(name)
        if not isinstance(value, str) or not urls.is_url(value):
            faults.append(f"{name}: the params have no URL of that name")
        elif name in trees_by_param:
            faults.append(f"{name}: it is the base of references, which `references` choose")
        else:
            trees_by_param[name] = Tree(label=name, base=trees.folder(value), wanted={
                f"data.folders.{name}: {part}": part for part in below})
    if faults:
        raise ConfigError("folders that can't be carried:\n"
                          + "\n".join(f"    {fault}" for fault in faults), where="data.folders")
    return trees_by_param


def _write(spec: Mirror, survey: Surveyed, staged: stage.Staged) -> None:
    collected = staged.collected
    main = collected.sheets.get(collected.main or "")

    def rendered(prefix: str) -> bytes:
        def place(key: str) -> str | None:
            blob = staged.blobs.get(key)
            if not prefix or key in collected.paths or blob is None:
                return staged.path(key)
            return f"{prefix}/{blob.path}"
        if main is None or collected.main is None:
            return b""
        sheet = stage.placed(collected, collected.main, place)
        is_run = collected.paths[collected.main] == staged_data.INPUTS
        return sheet.data() if is_run else sheet.as_csv().encode()

    templates = stage.templates(staged, spec.source.blobs)
    files.write_bytes(spec.inputs, rendered(""))
    files.write_bytes(spec.inputs_store, rendered(f"{spec.store.rstrip('/')}/blobs/sha256"))
    listed: dict[str, Blob] = {**staged.files, **{
        path: blob for path, blob in templates.items() if path != staged_data.INPUTS}}
    files.write_bytes(spec.sums, checksums.format_sums(
        {path: blob.sha256 for path, blob in listed.items()}))
    files.write_json(spec.manifest, {
        "pipeline": spec.pipeline, "profile": spec.selection.profile,
        "params": _params(survey, staged), "declared": list(survey.chosen.declared),
        "sheets": stage.sheets_listed(staged, templates), "files": stage.listed(staged)})


def _params(survey: Surveyed, staged: stage.Staged) -> dict[str, Any]:
    """The manifest's `params`: how each that needs an answer offline is set there."""
    chosen, collected = survey.chosen, staged.collected
    every = {staged_data.EVERY: True}
    named: dict[str, Any] = {name: {"kind": "none", "was": urls.redact(value), **every}
                             for name, value in {**survey.absent, **chosen.folders,
                                                 **chosen.none}.items()}
    named |= {name: {"kind": "none", **every} if value is None else
              {"kind": "value", "value": value, **every}
              for name, value in chosen.values.items()}
    for name, key in collected.roots.items():
        path = staged.path(key)
        if path is not None:
            kind = ("sheet" if key in collected.sheets else "file" if key not in collected.patterns
                    else "pattern" if collected.patterns[key] else "folder")
            named[name] = {"kind": kind, "path": path.rstrip("/"),
                           **({"was": urls.redact(key)} if urls.is_url(key) else {}),
                           **(every if name in survey.every else {})}
    named |= {name: _several(joined, staged, every if name in survey.every else {})
              for name, joined in chosen.several.items()}
    named |= {name: {"kind": "folder", "path": f"trees/{name}", "was": urls.redact(tree.base),
                     **every} for name, tree in survey.trees.items()}
    return named


def _several(joined: params.Joined, staged: stage.Staged, every: Mapping[str, bool]
             ) -> dict[str, Any]:
    """A value with several addresses in it, those of data as they are found in the release."""
    def placed(member: Any) -> Any:
        if isinstance(member, str):
            return stage.replaced(member, lambda text: staged.path(key_of(text.strip()))
                                  if text.strip() in joined.data else None)
        if isinstance(member, Mapping):
            return {key: placed(inner) for key, inner in member.items()}
        return [placed(inner) for inner in member] if isinstance(member, list) else member

    return {"kind": "several", "value": placed(joined.value),
            "was": " ".join(map(urls.redact, joined.data)), **every}
