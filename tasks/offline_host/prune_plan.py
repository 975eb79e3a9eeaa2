"""What of an offline host would go, and why the rest stays; nothing is changed here."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.core import files, nofollow
from tasks.core.config import engines
from tasks.core.engine.address import Engine, Podman
from tasks.core.errors import AirlockError, ConfigError
from tasks.core.in_place import in_use
from tasks.core.offline_paths import OfflinePaths
from tasks.core.paths import SIF_INDEX, SIFS, SitePaths
from tasks.core.run_records import last_ran
from tasks.core.schema import check, read_json
from tasks.offline_host import memory, old_work
from tasks.offline_host.bootstrap import shared_work_folder, work_folder
from tasks.offline_host.library import images_of, is_writable
from tasks.offline_host.pulled_images import references

DAY = 86400.0
"""Seconds for which a file of the cache stays that no release ever named: a fetch that was cut off
goes on with it."""


@dataclass(frozen=True, kw_only=True)
class PruneSpec:
    """A host, and by which rules it is pruned.

    `only` is the pipeline that was asked about. `seen` is the user's state folder, `runs` the
    folder of the runs, `here` the tool's own folder. What was used in the last `recent` seconds
    stays. `kind` is that of the site's engine, `library` the folder of image files that users
    share.
    """

    layout: SitePaths
    only: str | None
    seen: Path
    runs: Path
    here: Path
    recent: int
    engine: Engine | Podman
    kind: str = engines.DOCKER
    library: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Release:
    """A release in place, and whether it stays."""

    pipeline: str
    id: str
    stays: bool
    why: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What would go: releases, files of the cache, folders of tasks; and images and tools by hand.

    `fault` is why the cache isn't looked at, `busy` why the work of a pipeline isn't. `shared` are
    folders of the library, by hand as well, with the bytes that each would free.
    """

    releases: list[Release]
    cache: list[Path]
    fault: str | None
    work: list[Path]
    busy: Mapping[str, str]
    images: list[str]
    tools: Mapping[str, str]
    shared: Mapping[str, int]

    @property
    def goes(self) -> list[Release]:
        return [release for release in self.releases if not release.stays]


def plan(spec: PruneSpec) -> Plan:
    """Look at the whole host."""
    ran = last_ran(spec.runs)
    releases = [_judge(spec, pipeline, name, ran.get(pipeline, {}).get(name))
                for pipeline, name in _in_place(spec)]
    goes = [release for release in releases if not release.stays]
    cache, fault = list[Path](), None
    try:
        cache = _unnamed(spec, goes)
    except AirlockError as error:
        fault = str(error).partition("\n")[0]
    work, busy = list[Path](), {}
    for pipeline in sorted({release.pipeline for release in releases}):
        if spec.only in (None, pipeline):
            if why := _at_work(spec, pipeline):
                busy[pipeline] = why
            else:
                work += _old_work(spec, pipeline)
    return Plan(releases=releases, cache=cache, fault=fault, work=work, busy=busy,
                images=_images(spec, releases), tools=_tools(spec),
                shared=_shared(spec, releases))


def _at(spec: PruneSpec, pipeline: str) -> OfflinePaths:
    return OfflinePaths(site=spec.layout.site, pipeline=pipeline)


def _in_place(spec: PruneSpec) -> list[tuple[str, str]]:
    """Pipelines and ids of all releases that are laid out."""
    folders = spec.layout.root.glob("prod/*/releases/*")
    return sorted((folder.parts[-3], folder.name) for folder in folders
                  if folder.is_dir() and not folder.name.startswith(".")
                  and not folder.is_relative_to(spec.layout.store_memory))


def _judge(spec: PruneSpec, pipeline: str, name: str, ran: datetime | None) -> Release:
    at, now = _at(spec, pipeline), datetime.now(timezone.utc)
    came = datetime.fromtimestamp(at.release(name).stat().st_mtime, timezone.utc)
    if why := _needed(spec, at, name):
        return Release(pipeline=pipeline, id=name, stays=True, why=why)
    last = f"last ran on {ran:%Y-%m-%d}" if ran else f"came on {came:%Y-%m-%d}, and never ran"
    recent = (now - max(ran or came, came)).total_seconds() < spec.recent
    is_asked = spec.only in (None, pipeline)
    return Release(pipeline=pipeline, id=name, stays=recent or not is_asked,
                   why=last if recent or is_asked else "not asked about")


def _needed(spec: PruneSpec, at: OfflinePaths, name: str) -> str | None:
    """Why a release stays, however old it is."""
    held = memory.held(spec.seen, at.pipeline)
    if name == _current(at):
        return "in place"
    if held is not None and held.id == name:
        return f"this host is held at it since {held.since}"
    return "a run or a fetch uses it now" if in_use(at, name) else None


def _current(at: OfflinePaths) -> str | None:
    return str(read_json(at.current, "current")["id"]) if at.current.is_file() else None


def named(spec: PruneSpec, *, but: Iterable[Release] = ()) -> set[Path]:
    """The files of the cache that releases in place name.

    AirlockError where one doesn't tell its files.
    """
    gone = {(release.pipeline, release.id) for release in but}
    return {spec.layout.root / "prod/blobs/sha256" / path
            for pipeline, name in _in_place(spec) if (pipeline, name) not in gone
            for path in _named_by(_at(spec, pipeline).release(name), strict=True)}


def _unnamed(spec: PruneSpec, goes: Iterable[Release]) -> list[Path]:
    """Files of the cache that nothing names but releases that go, or nothing has for a day."""
    blobs = spec.layout.root / "prod/blobs/sha256"
    kept, before = named(spec, but=goes), time.time() - DAY
    was_named = {blobs / path for release in goes for path in _named_by(
        _at(spec, release.pipeline).release(release.id), strict=False)}
    return [path for path in sorted(blobs.glob("*/*")) if path not in kept and path.is_file()
            and (path in was_named or path.stat().st_mtime < before)]


def _named_by(folder: Path, *, strict: bool) -> Iterator[str]:
    """The files of a release by their places in the cache: <sha256>/<basename>."""
    path = folder / "release.json"
    try:
        listed = read_json(path, "release")["files"]
        yield f"{files.sha256(path)}/{path.name}"
    except ConfigError:
        if strict:
            raise
        return
    shared = [] if (folder / SIFS).is_dir() else images_of([file["path"] for file in listed])
    for file in listed:
        if file["path"] not in shared:
            yield f"{file['sha256']}/{PurePosixPath(file['path']).name}"


def _at_work(spec: PruneSpec, pipeline: str) -> str | None:
    """Why tasks may be at work for a pipeline, or None: also of a release that is in place no more.
    """
    at = _at(spec, pipeline)
    used = [lock.stem for lock in sorted(at.lock("-").parent.glob("*.lock"))
            if in_use(at, lock.stem)]
    return f"a run of {used[0]} is at work" if used else None


def _old_work(spec: PruneSpec, pipeline: str) -> list[Path]:
    """Folders of tasks that nothing has changed for long, and that no result is a link into."""
    at = _at(spec, pipeline)
    before = time.time() - spec.recent
    results = [*spec.runs.glob(f"{pipeline}/*/results"), spec.here / "results" / pipeline]
    old: list[Path] = []
    for work in dict.fromkeys([work_folder(at), shared_work_folder(at)]):
        linked = {folder for place in results for folder in old_work.linked_to(place, work)}
        old += [folder for folder in old_work.task_folders(work, before) if folder not in linked]
    return old


def _images(spec: PruneSpec, releases: list[Release]) -> list[str]:
    """Images of releases that go, or went before, which none that stays names.

    An engine that runs image files holds none: they go with their releases.
    """
    if spec.kind in engines.SIF_KINDS:
        return []
    kept, gone = set[str](), set(_listed_before(spec))
    for release in releases:
        folder = _at(spec, release.pipeline).release(release.id)
        try:
            (kept if release.stays else gone).update(
                [] if (folder / SIF_INDEX).is_file() else references(folder))
        except ConfigError:
            if release.stays:
                return []  # nobody knows what it needs
    return sorted(gone - kept)


def _listed_before(spec: PruneSpec) -> list[str]:
    try:
        return list(read_json(spec.layout.host_prune, "host-prune")["images"])
    except AirlockError:
        return []


def _tools(spec: PruneSpec) -> dict[str, str]:
    """Other tools of this site that were unpacked beside this one, by their folders."""
    tools = {}
    for path in [*spec.here.parent.glob("*/tool.json"), *spec.here.parent.glob("../*/*/tool.json")]:
        folder = path.parent.resolve()
        try:
            tool = read_json(path, "tool")
        except AirlockError:
            continue
        if folder != spec.here.resolve() and tool["site"] == spec.layout.site:
            tools[str(folder)] = str(tool["id"])
    return tools


def _shared(spec: PruneSpec, releases: Iterable[Release]) -> dict[str, int]:
    """Releases of the library that stay here no longer, for who owns it.

    Which of them other users run can't be known, so none goes by itself. A file that another
    release has as well frees nothing.
    """
    if spec.library is None or not is_writable(spec.library):
        return {}
    stays = {(release.pipeline, release.id) for release in releases if release.stays}
    freed: dict[str, int] = {}
    with contextlib.suppress(OSError, AirlockError):  # what can't be read there, goes by no advice
        for path, status in nofollow.described(spec.library, ""):
            folder = PurePosixPath(path).parent
            if len(folder.parts) == 2 and folder.parts not in stays:
                place = str(spec.library / folder)
                freed[place] = freed.get(place, 0) + (
                    status.st_size if status.st_nlink == 1 else 0)
    return dict(sorted(freed.items()))


def size(paths: Iterable[Path]) -> int:
    """Bytes of files, and of all below folders."""
    return sum(old_work.size(path) if path.is_dir() else path.stat().st_size for path in paths)


def write(spec: PruneSpec, plan: Plan, *, images: list[str]) -> None:
    """The report, by schemas/host-prune.schema.json; its images are remembered from it."""
    path = spec.layout.host_prune
    value: dict[str, Any] = {
        "releases": [{"pipeline": release.pipeline, "id": release.id, "stays": release.stays,
                      "why": release.why} for release in plan.releases],
        "cache": {"count": len(plan.cache), "bytes": size(plan.cache)},
        "work": {"count": len(plan.work), "bytes": size(plan.work)},
        "images": images, "tools": [{"folder": folder, "id": name}
                                    for folder, name in plan.tools.items()],
        "library": [{"folder": folder, "bytes": freed} for folder, freed in plan.shared.items()]}
    files.write_json(path, check(value, "host-prune", where=path))
