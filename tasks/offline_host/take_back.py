"""`prod:import`: a run that an offline host packed, checked before anything of it is in place.

Nothing is believed: the list's signature comes first, where the site names the hosts' keys, then
the record by the list, then each file by the record. Only plain files are taken, under the names
and of the sizes that the record says, so nothing that the archive claims beside that is followed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.core import disk, files
from tasks.core.archives.broken import refusing_broken
from tasks.core.archives.limits import MAX_DEPTH, Bounds, Count
from tasks.core.archives.tars import Member, Reader
from tasks.core.errors import ConfigError, IntegrityError
from tasks.core.frozen import frozen
from tasks.core.schema import MAX_OTHER
from tasks.core.trust import checksums
from tasks.offline_host import results, runs, verify
from tasks.offline_host.run_folder import NAME, RunFolder

MAX_SIGNATURE = 1 << 16
MOST = {"SHA256SUMS": MAX_OTHER, "SHA256SUMS.sig": MAX_SIGNATURE, "run.json": MAX_OTHER,
        "report.html": MAX_OTHER}
"""Bytes of the small files of a run, which come before its results, in this order."""
ASK = "use nothing of it; ask those who packed it"


@frozen
class Taken:
    """A run that is in place, with how its list was signed; `is_new` where it wasn't before."""

    folder: RunFolder
    record: Mapping[str, Any]
    signed: str
    is_new: bool


def take(archive: Path, runs_folder: Path, *, signers: Path | None,
         is_known: Callable[[str, str], bool]) -> Taken:
    """Check a packed run whole, then lay it out below the folder of runs.

    `is_known` says whether a release of a pipeline is one that was made here. IntegrityError says
    what is not as it was signed; then nothing is left.
    """
    runs_folder.mkdir(parents=True, exist_ok=True)
    with files.scratch(runs_folder, "import") as scratch, _members(archive) as (reader, rest):
        name, first = _small(reader, rest, archive, scratch)
        folder = RunFolder(path=scratch / name)
        record, signed = _trusted(folder, archive, signers)
        if not is_known(record["pipeline"], record["release"]["id"]):
            raise IntegrityError(
                f"neither the store nor this site knows the release {record['release']['id']} of "
                f"{record['pipeline']}", where=archive,
                todo="see that this is the site whose release was run (site=NAME), and that the "
                     "release was not pruned; else " + ASK)
        place = RunFolder(path=runs_folder.absolute() / record["pipeline"] / name)
        is_new = not place.path.exists()
        if not is_new and not _is_same(folder, place):
            raise IntegrityError("another run is in place under this name", where=place.path,
                                 todo="name another folder: to=DIR")
        disk.hold(runs_folder, sum(row["size"] for row in record["results"]), "the results")
        _results(reader, first, rest, folder, record["results"], archive)
        if is_new:
            place.path.parent.mkdir(parents=True, exist_ok=True)
            os.replace(folder.path, place.path)
    return Taken(folder=place, record=record, signed=signed, is_new=is_new)


@contextmanager
def _members(archive: Path) -> Iterator[tuple[Reader, Iterator[Member]]]:
    """The members of a plain tar; a compressed one is none of ours."""
    if not archive.is_file():
        raise ConfigError("there is no such file, given by from=", where=archive.absolute())
    with refusing_broken(archive, "no run that was packed whole"), archive.open("rb") as stream:
        reader = Reader(stream=stream)
        yield reader, iter(reader)


def _small(reader: Reader, members: Iterator[Member], archive: Path,
           scratch: Path) -> tuple[str, Member | None]:
    """Bring the files before the results into a folder of `scratch`.

    Return the run's name, and the member that follows.
    """
    run, held, order = "", list[str](), list(MOST)
    for member in members:
        name, _, path = member.name.partition("/")
        if path not in MOST or (held and order.index(path) <= order.index(held[-1])):
            if {"SHA256SUMS", "run.json"} <= {*held}:
                return run, member
            break
        if not member.is_file or not NAME.fullmatch(name) or (run and name != run):
            break
        if member.size > MOST[path]:
            raise IntegrityError(f"its {path} has {files.human_size(member.size)}, which no run's "
                                 "has", where=archive, todo=ASK)
        run = name
        held.append(path)
        _write(reader, member, scratch / name / path)
    if {"SHA256SUMS", "run.json"} <= {*held}:
        return run, None
    raise IntegrityError("this is no run that prod:export has packed", where=archive, todo=ASK)


def _trusted(folder: RunFolder, archive: Path,
             signers: Path | None) -> tuple[dict[str, Any], str]:
    """The record, once its list is signed as it must be and names the very bytes of record and
    page."""
    listed = folder.sums.read_bytes()
    digests = checksums.parse_sums(listed, where=archive)
    for path in (folder.record, folder.page):
        if digests.pop(path.name, None) != (files.sha256(path) if path.is_file() else None):
            raise IntegrityError(f"its {path.name} is not the one that its list names",
                                 where=archive, todo=ASK)
    try:
        record = runs.whole(folder)
    except ConfigError as error:
        raise IntegrityError(f"its run.json is none: {error.what}", where=archive,
                             todo=ASK) from error
    signed, is_good = verify.signed_by(folder, listed, record["host"]["name"], signers)
    if not is_good:
        raise IntegrityError(f"it can't be trusted: {signed}", where=archive, todo=ASK)
    if record["name"] != folder.name or record["results"] is None:
        raise IntegrityError("its run.json is of another run, or of one without results",
                             where=archive, todo=ASK)
    named = results.digests(record["results"])
    if digests != named or len(named) != len(record["results"]) or any(
            str(PurePosixPath(path)) != path for path in named):
        raise IntegrityError("its list and its run.json do not name the same results, each once "
                             "and by its plain path", where=archive, todo=ASK)
    return record, signed


def _results(reader: Reader, first: Member | None, rest: Iterator[Member], folder: RunFolder,
             rows: list[dict[str, Any]], archive: Path) -> None:
    """Bring every result, each once and as the record says, and nothing else."""
    wanted = {f"{folder.name}/results/{row['path']}": row for row in rows}
    count = Count(where=archive.name, todo=ASK, bounds=Bounds(
        size=sum(row["size"] for row in rows), members=(len(rows) + 1) * MAX_DEPTH))
    for member in _from(first, rest):
        row = wanted.pop(member.name, None)
        if row is None or not member.is_file:
            raise IntegrityError(f"it holds {member.name!r}, which is no result of the run, or "
                                 "comes twice, or is no plain file", where=archive, todo=ASK)
        count.add(member.name, row["size"])
        target = files.inside(folder.results, row["path"])
        if member.size != row["size"] or _write(reader, member, target) != row["sha256"]:
            raise IntegrityError(f"the bytes of {member.name!r} have changed", where=archive,
                                 todo=ASK)
    if wanted:
        raise IntegrityError(f"{len(wanted)} of its results are missing, {min(wanted)!r} the first",
                             where=archive, todo=ASK)


def _from(first: Member | None, rest: Iterator[Member]) -> Iterator[Member]:
    if first is not None:
        yield first
        yield from rest


def _write(reader: Reader, member: Member, target: Path) -> str:
    """Write a member's content; return its SHA-256."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with target.open("xb") as writer:
        while block := reader.content(files.CHUNK):
            digest.update(block)
            writer.write(block)
    return digest.hexdigest()


def _is_same(folder: RunFolder, place: RunFolder) -> bool:
    return place.sums.is_file() and place.sums.read_bytes() == folder.sums.read_bytes()
