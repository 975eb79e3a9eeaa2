"""Which run a new one goes on with, and whether it may write where its params want it to."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tasks.core.errors import ConfigError, HostError
from tasks.core.frozen import frozen
from tasks.offline_host import at_work
from tasks.offline_host.runs import INTERRUPTED, Run

ENDED_BADLY = ("failed", INTERRUPTED)


@frozen
class Asked:
    """What a run is asked to do: of which release, with what; `outdir` where params name one.

    `sheet` and `params` are as a record has them.
    """

    pipeline: str
    release: str
    run: str
    profile: str
    name: str
    sheet: Mapping[str, Any] | None = None
    params: Mapping[str, Any] | None = None
    outdir: Path | None = None


def before(asked: Asked, known: Iterable[Run]) -> Run | None:
    """The run whose session a new one goes on with: the last of the same release and files.

    The files are the same by their place, so that one may be mended, or by their bytes. A test run
    goes on with one that failed or was interrupted. One on own data goes on with any: what a sheet
    has got since is computed, and nothing else. HostError where that one's Nextflow still runs.
    """
    for run in sorted(known, key=lambda run: run.record["started"], reverse=True):
        if not _is_alike(asked, run) or run.state == "running" or not _is_own(run):
            continue
        if run.state == "success" and asked.run != "own":
            return None
        session = at_work.session_of(run.folder.launch)
        if session is None:
            continue
        if at_work.is_locked(run.folder.launch, session):
            raise HostError(
                f"Nextflow is still at work on the run {run.folder.name}, though what started it "
                "was killed", where=run.folder.launch,
                todo="wait for it, or end it (`pgrep -af nextflow` shows it), then run the same "
                     "command again")
        return run
    return None


def hold_outdir(asked: Asked, runs: Path, known: Iterable[Run]) -> None:
    """ConfigError where the folder that params name for results has others' files in it.

    Results of two runs never mix; but a run may go on where it failed, with the same files.
    """
    outdir = asked.outdir
    if outdir is None:
        return
    place, root = outdir.resolve(), runs.resolve()
    if place.is_relative_to(root) or root.is_relative_to(place):
        raise ConfigError("params.outdir is a folder with runs in it", where=outdir,
                          todo="leave outdir out, and results lie in the run's own folder; or name "
                               "an empty folder elsewhere")
    gone_on = False
    for run in known:
        other = run.record["outdir"] and Path(run.record["outdir"]).resolve()
        if not other or not (place.is_relative_to(other) or other.is_relative_to(place)):
            continue
        if place == other and run.state in ENDED_BADLY and _is_same(asked, run):
            gone_on = True
            continue
        raise ConfigError(
            f"params.outdir holds the results of the run {run.folder.name}"
            if place == other else "params.outdir lies in that of the run "
            f"{run.folder.name}, or around it", where=outdir,
            todo="name another folder, or leave outdir out: results then lie in the run's own")
    if not gone_on and outdir.exists() and (not outdir.is_dir() or any(outdir.iterdir())):
        raise ConfigError("params.outdir is not empty, and what lies in it would count as results",
                          where=outdir, todo="name an empty folder, or leave outdir out")


def _is_alike(asked: Asked, run: Run) -> bool:
    """Whether a run is of the same kind, release and files, by their places or by their bytes."""
    record = run.record
    return ((record["pipeline"], record["release"]["id"], record["run"], record["profile"])
            == (asked.pipeline, asked.release, asked.run, asked.profile)
            and (_is_same(asked, run) or all(_of(mine, "place") == _of(theirs, "place")
                                             for mine, theirs in _pairs(asked, run))))


def _is_same(asked: Asked, run: Run) -> bool:
    """Whether a run was given the same bytes, of the same release."""
    return run.record["release"]["id"] == asked.release and all(
        _of(mine, "sha256") == _of(theirs, "sha256") for mine, theirs in _pairs(asked, run))


def _pairs(asked: Asked, run: Run) -> list[tuple[Any, Any]]:
    inputs = run.record["inputs"]
    return [(asked.sheet, inputs["sheet"]), (asked.params, inputs["params"])]


def _of(given: Mapping[str, Any] | None, key: str) -> object:
    return None if given is None else given[key]


def _is_own(run: Run) -> bool:
    """Whether the run's folder is this user's: in another's, nothing is moved."""
    return run.folder.path.stat().st_uid == os.geteuid()
