"""The runs of a host: read from their records, found by name, oldest first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tasks.core import nofollow, parsing
from tasks.core.errors import AirlockError, ConfigError
from tasks.core.frozen import frozen
from tasks.core.schema import MAX_OTHER, check, read_json
from tasks.offline_host import at_work
from tasks.offline_host.run_folder import NAME, RunFolder, time

LATEST = "latest"
"""Stands for the name of the run that began last."""
INTERRUPTED = "interrupted"


@frozen
class Run:
    """A run with its record, as far as a list of runs needs it; `whole` reads it with care."""

    folder: RunFolder
    record: Mapping[str, Any]

    @property
    def state(self) -> str:
        """How it ended; a run that still says it runs, and whose process is gone, was interrupted.
        """
        state: str = self.record["outcome"]["state"]
        if state == "running" and not at_work.runs_still(self.record["host"]["name"],
                                                         self.record["process"]):
            return INTERRUPTED
        return state

    @property
    def was_killed(self) -> bool:
        """Whether it was interrupted so that its record still says it runs."""
        return self.state == INTERRUPTED and self.record["outcome"]["state"] != INTERRUPTED

    @property
    def who(self) -> str:
        return f"{self.record['user']['name']}@{self.record['host']['name']}"

    @property
    def seconds(self) -> int | None:
        """How long it took, or has taken; None where nobody saw its end."""
        begun = time(self.record["started"])
        if self.record["ended"]:
            return int((time(self.record["ended"]) - begun).total_seconds())
        if self.state == "running":
            return int((datetime.now(timezone.utc) - begun).total_seconds())
        return None


def whole(folder: RunFolder) -> dict[str, Any]:
    """A run's record, held against its schema."""
    record: dict[str, Any] = read_json(folder.record, "run")
    return record


def all_runs(runs: Path, pipeline: str | None = None) -> tuple[list[Run], list[RunFolder]]:
    """All runs, in the order in which they began, and the folders whose record can't be read."""
    read, unread = [], []
    for path in sorted(runs.absolute().glob(f"{pipeline or '*'}/*")):
        if not NAME.fullmatch(path.name) or not path.is_dir():
            continue
        folder = RunFolder(path=path)
        try:
            read.append(_read(folder))
        except (OSError, ValueError, LookupError, TypeError, AirlockError):
            unread.append(folder)
    return sorted(read, key=lambda run: (run.record["started"], run.folder.name)), unread


def one(runs: Path, name: str | None, pipeline: str | None = None) -> Run:
    """The run of a name or the beginning of one, or the latest.

    ConfigError names those that there are, where it is none or several.
    """
    known, unread = all_runs(runs, pipeline)
    if name in (None, "", LATEST) and known:
        return known[-1]
    wanted = (name or LATEST).removesuffix("/")
    exact = [run for run in known if wanted in (run.folder.name, _long(run))]
    fitting = exact or [run for run in known if any(
        text.startswith(wanted) for text in (run.folder.name, run.folder.name[17:], _long(run)))]
    if len(fitting) == 1:
        return fitting[0]
    broken = [folder for folder in unread if folder.name.startswith(wanted)]
    if broken and not fitting:
        raise ConfigError("the run has no record that can be read", where=broken[0].record,
                          todo="it was ended before it began, or the file was changed")
    shown = [_long(run) for run in (fitting or known)[-5:]]
    raise ConfigError(
        f"{len(fitting)} runs are called so: {wanted!r}" if fitting else
        f"there is no run {wanted!r}", where=runs.absolute(),
        todo=f"name one of: {', '.join(reversed(shown))}" if shown else
             "none has begun here; AIRLOCK_RUNS names another folder of runs")


def _long(run: Run) -> str:
    return f"{run.record['pipeline']}/{run.folder.name}"


def _read(folder: RunFolder) -> Run:
    """A record, held against its schema but for its long lists, which a list of runs only counts.

    One of another form is ValueError or the like.
    """
    record = parsing.from_json(nofollow.read(folder.record, most=MAX_OTHER))
    count = None if record["results"] is None else len(record["results"])
    check({**record, "tasks": [], "images": [], "results": None if count is None else []}, "run",
          where=folder.record)
    if record["name"] != folder.name:
        raise ValueError("the record is of another run")
    return Run(folder=folder, record=record)
