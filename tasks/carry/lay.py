"""`carry:lay`: the store's current release of a pipeline, laid into the folder that is carried.

What is there with the right bytes stays, and what is new is written beside it. Only when all of it
is there go the old list, which holds until then, and the few files that change. The new list is
written by `carry`, which signs it: a folder without one isn't whole.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.carry import contents, place, readme, split
from tasks.carry import record as records
from tasks.carry.contents import Carried, File
from tasks.carry.place import Place
from tasks.carry.record import Record
from tasks.core import disk, files
from tasks.core.archives import volumes
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import ConfigError, IntegrityError
from tasks.core.parallel import run_all
from tasks.core.paths import PipelinePaths, SitePaths
from tasks.core.process_shared import Shared
from tasks.core.progress import Progress
from tasks.core.store.store import open_store
from tasks.core.trust import carried, checksums
from tasks.core.trust.carried import README, RECORD, SUMS, WHOLE_SEAL, WHOLE_SUMS

logger = logging.getLogger(__name__)
THREADS = 4
"""Files written at a time: a stick gets slower by more."""


@dataclass(frozen=True, kw_only=True)
class LaySpec:
    """What is carried, and where to.

    `archives` is the folder of the images' archives, where they come along in that form, and `key`
    the signing key, which isn't opened here. `trust` and `identity` are what the offline host
    verifies by. With `remove`, files of earlier times go that nothing carried now names. `shared`
    remembers what this process has hashed.
    """

    pipeline: str
    layout: SitePaths
    store: StoreAt
    archives: Path | None
    to: str | None
    part: int | None
    remove: bool
    key: Path
    trust: Path
    identity: str
    shared: Shared


def pending(layout: SitePaths, to: str | None) -> Path:
    """Where the list of a folder waits to be signed, `whole.` before that of what is split."""
    name = files.sha256_bytes(os.fsencode(Path(to or "").expanduser().absolute()))[:12]
    return layout.carry / name / SUMS


def lay(spec: LaySpec) -> str:
    """Bring the folder up to the store, and write the list that is to be signed."""
    room = spec.part - split.BESIDE if spec.part else None
    root = place.chosen(spec.to, spec.store.folder, Path())
    with place.held(root, spec.shared):
        return _Laying(Place(root, spec.shared), spec, room).all()


class _Laying:
    """A folder on its way from what it holds to what it shall hold."""

    def __init__(self, to: Place, spec: LaySpec, room: int | None) -> None:
        self._to, self._spec, self._room = to, spec, room
        self._store = open_store(spec.store)
        self._pending = pending(spec.layout, spec.to)
        self._memory = spec.layout.carry / "records.txt"
        self._before, self._is_own = records.read(to.root, memory=self._memory, key=spec.key)
        to.refuse_others(known=self._before is not None)
        if self._before and self._before.site != spec.layout.site:
            raise ConfigError(f"this folder carries the site {self._before.site!r}", where=to.root,
                              todo="name another folder")
        to.sweep()

    def all(self) -> str:
        """Lay out what is carried, as files or as volumes."""
        record = self._wanted()
        wanted = record.files()
        if self._room is None:
            digests = {path: file.sha256 for path, file in wanted.items()}
            record = self._leaving(record, digests)
            written = self._lay_out(wanted)
        else:
            record, digests, written = self._fill(record, wanted, self._room)
        digests |= {path: files.sha256_bytes(data) for path, data in self._top.items()}
        files.write_bytes(self._pending, checksums.format_sums(digests))
        own = record.pipelines[self._spec.pipeline]
        return "\n".join([
            f"{own.id} and the tool {record.tool.id if record.tool else ''} in {self._to.root}: "
            f"{len(wanted)} files, {files.human_size(sum(file.size for file in wanted.values()))}; "
            f"{files.human_size(written)} written now", *self._remarks(record)])

    def _wanted(self) -> Record:
        """What the store shows now of this pipeline and the tool, and of others what is here."""
        kept = dict(self._before.pipelines) if self._before else {}
        others = sorted(kept.keys() - {self._spec.pipeline})
        if others and not self._is_own:
            logger.warning("what was here of %s is not carried on, as it was not signed to its end "
                           "by this site's key: carry it again", ", ".join(others))
            kept = {}
        kept = {name: self._with_archives(name, subject) for name, subject in kept.items()}
        kept[self._spec.pipeline] = contents.of_pipeline(self._store, self._spec.pipeline,
                                                         self._spec.archives)
        wanted = Record(site=self._spec.layout.site, pipelines=dict(sorted(kept.items())),
                        tool=contents.of_tool(self._store), part=self._room)
        if self._before and self._is_own:
            self._refuse_back(self._before, wanted)
        return wanted

    def _refuse_back(self, before: Record, wanted: Record) -> None:
        """IntegrityError where the folder has later promotions than the store."""
        pairs = [(name, subject, wanted.pipelines[name])
                 for name, subject in before.pipelines.items()]
        if before.tool and wanted.tool:
            pairs.append(("the tool", before.tool, wanted.tool))
        for name, there, now in pairs:
            if there.number > now.number:
                raise IntegrityError(
                    f"{name}: the folder has promotion {there.number}, {there.id}, and the store "
                    f"{now.number}, {now.id}: the store is older", where=self._to.root,
                    todo="find out who went back in the store; else name an empty folder")

    def _with_archives(self, pipeline: str, subject: Carried) -> Carried:
        """What was carried before, with the archives of this side, which the store hasn't."""
        at = PipelinePaths(site=self._spec.layout.site, pipeline=pipeline)
        place_of = f"images/{pipeline}/"
        return replace(subject, files=tuple(
            replace(file, source=at.archives / file.path.removeprefix(place_of))
            if file.path.startswith(place_of) else file for file in subject.files))

    def _leaving(self, record: Record, wanted: Collection[str]) -> Record:
        """The record, with the files of earlier times that are there and that nothing names now.

        With `remove` they will go, and it names none. What stands at the top is known then.
        """
        before, left = self._before, set()
        if before is not None:
            left = {*before.left, *before.files()}
            if before.part:
                left |= {*self._to.volumes(), WHOLE_SUMS, WHOLE_SEAL}
        self._gone = sorted(path for path in left - {*wanted} if carried.is_ours(path)
                            and os.path.lexists(self._to.root / path))
        if not self._spec.remove:
            record = replace(record, left=tuple(self._gone))
        self._top = {RECORD: record.data(), README: readme.text(
            record, trust=self._spec.trust, identity=self._spec.identity).encode()}
        records.remember(self._memory, self._top[RECORD])
        return record

    def _lay_out(self, wanted: Mapping[str, File]) -> int:
        """Have every file there; the bytes that were written."""
        if remark := place.unfit(self._to.root, [(file.path, file.size)
                                                 for file in wanted.values()]):
            logger.warning("%s", remark)
        here = run_all(self._to.holds, wanted.values(), threads=os.cpu_count() or 1)
        lacking = [file for file, held in zip(wanted.values(), here, strict=True) if not held]
        self._make_room(sum(file.size for file in lacking))
        changing = {file.path: file for file in lacking if carried.POINTER.fullmatch(file.path)
                    or os.path.lexists(self._to.root / file.path)}
        self._write([file for file in lacking if file.path not in changing])
        if changing or not self._stands():
            self._to.unseal()
            self._write(changing.values())
            self._write_top()
        self._to.flush()
        return sum(file.size for file in lacking)

    def _make_room(self, needed: int) -> None:
        """HostError where the disk has none, also without the files that are to go."""
        if self._spec.remove and disk.free_at(self._to.root) < needed:
            self._to.unseal()  # which may name them
            self._to.remove(self._gone)
        disk.hold(self._to.root, needed, "what is carried")

    def _write(self, lacking: Collection[File]) -> None:
        with Progress("carry", {file.path: file.size for file in lacking},
                      kind="files") as progress:
            def one(file: File) -> None:
                with self._opened(file) as stream:
                    self._to.write(file, stream, progress.of(file.path))

            run_all(one, sorted(lacking, key=lambda file: -file.size), threads=THREADS)

    def _opened(self, file: File) -> contents.Opened:
        return contents.opened(file, self._spec.store, self._store, self._pending.parent)

    def _fill(self, record: Record, wanted: Mapping[str, File],
              room: int) -> tuple[Record, dict[str, str], int]:
        """Have every file in a volume: the record of it, what the folder holds, bytes written."""
        before = self._before.stretches if self._before and self._before.part == room else ()
        kept = dict(split.kept(self._to.root, before, wanted, room))
        there = {name: digest for held in kept.values() for name, digest in held.items()}
        held = {path for stretch in kept for path in stretch.paths}
        lacking = [file for path, file in wanted.items() if path not in held]
        planned = split.plan(lacking, map(carried.number, there), room)
        stale = self._to.volumes() - {*there, *map(carried.own_list, there)}
        needed = sum(file.size for file in lacking)
        place.unfit(self._to.root, [(carried.volume(1), min(room, needed))])
        record = self._leaving(replace(record, stretches=tuple(sorted(
            [*kept, *planned], key=lambda stretch: stretch.first))), {
                *there, *map(carried.own_list, there), *stale, WHOLE_SUMS, WHOLE_SEAL})
        self._make_room(needed - self._to.sizes(stale))
        if stale or planned or not self._stands():
            self._to.unseal()
            self._to.remove(stale)
            self._write_top()
        for stretch in planned:
            there |= volumes.write(
                self._to.root, split.names(stretch, wanted, room), room, volumes.contents(
                    [split.member(wanted[path]) for path in stretch.paths],
                    lambda member: self._opened(wanted[member.name])))
        return record, there | self._write_lists(wanted, there), needed

    def _write_lists(self, wanted: Mapping[str, File], there: Mapping[str, str]) -> dict[str, str]:
        """Have the list of the whole there, and each volume's own: their SHA-256."""
        whole = checksums.format_sums({path: file.sha256 for path, file in wanted.items()})
        files.write_bytes(self._pending.with_name(f"whole.{SUMS}"), whole)
        lists = {carried.own_list(name): f"{digest}  {name}\n".encode()
                 for name, digest in there.items()} | {WHOLE_SUMS: whole}
        for path, data in lists.items():
            self._to.have(path, data)
        return {path: files.sha256_bytes(data) for path, data in lists.items()}

    def _stands(self) -> bool:
        """Whether what the folder says of itself is right already."""
        return not (self._spec.remove and self._gone) and all(
            place.content(self._to.root, path, len(data)) == data
            for path, data in self._top.items())

    def _write_top(self) -> None:
        if self._spec.remove:
            self._to.remove(self._gone)
        for path, data in self._top.items():
            self._to.have(path, data)

    def _remarks(self, record: Record) -> list[str]:
        lines = []
        others = [f"{name} {subject.id}" for name, subject in record.pipelines.items()
                  if name != self._spec.pipeline]
        if others:
            lines.append(f"beside it, as it was carried before: {', '.join(others)}")
        if record.stretches:
            lines.append(f"{len(self._to.volumes()) // 2} volumes, each with its list")
        if record.left:
            size = files.human_size(self._to.sizes(record.left))
            lines.append(f"{len(record.left)} files of earlier times, {size}, are left there, "
                         "which nothing carried now names: remove=1 removes them")
        return lines
