"""A run's own folder, runs/<pipeline>/<UTC time>-<name>/: what lies in it, under which name."""

from __future__ import annotations

import itertools
import os
import re
from datetime import datetime, timezone
from pathlib import Path

from tasks.core.frozen import frozen

MAX_NAME = 60
"""Characters of a run's name that come from a file's."""
TIME = "%Y%m%dT%H%M%SZ"
NAME = re.compile(r"[0-9]{8}T[0-9]{6}Z-[A-Za-z0-9._-]{1,80}")
PRIVATE = ("inputs", "logs", "launch")
"""Folders that are the user's alone: params may hold tokens, and a log shows them."""


@frozen
class RunFolder:
    """The files of a run, below its folder's absolute path."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def record(self) -> Path:
        return self.path / "run.json"

    @property
    def page(self) -> Path:
        """What the record says, as a page; until the run's end it says how far that is known."""
        return self.path / "report.html"

    @property
    def sums(self) -> Path:
        """SHA256SUMS of the record, the page and every result; older tools listed no page."""
        return self.path / "SHA256SUMS"

    @property
    def signature(self) -> Path:
        return self.path / "SHA256SUMS.sig"

    @property
    def results(self) -> Path:
        """What the run publishes; a link where its params name another folder."""
        return self.path / "results"

    @property
    def reports(self) -> Path:
        return self.path / "reports"

    @property
    def trace(self) -> Path:
        return self.reports / "trace.txt"

    @property
    def inputs(self) -> Path:
        """Copies of the sheet and the params as they were given."""
        return self.path / "inputs"

    @property
    def params(self) -> Path:
        """The params as Nextflow is given them."""
        return self.inputs / "params.json"

    @property
    def log(self) -> Path:
        """What Nextflow printed; its own log lies beside it."""
        return self.path / "logs/run.log"

    @property
    def launch(self) -> Path:
        """Nextflow is started here, and keeps its session and its lock here."""
        return self.path / "launch"


def make(runs: Path, pipeline: str, name: str, now: datetime) -> RunFolder:
    """Make the folder of a run that begins now: one that no other has, in the same second too."""
    place = runs.absolute() / pipeline
    place.mkdir(parents=True, exist_ok=True)
    begun = f"{now.strftime(TIME)}-{cleaned(name)}"
    for number in itertools.count(1):
        folder = RunFolder(path=place / (begun if number == 1 else f"{begun}-{number}"))
        try:
            folder.path.mkdir()
        except FileExistsError:
            continue
        break
    for private in PRIVATE:
        (folder.path / private).mkdir(mode=0o700)
    folder.reports.mkdir()
    return folder


def cleaned(name: str) -> str:
    """A name from outside as a part of a path: letters, digits, `.`, `_` and `-`."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:MAX_NAME].strip("._-") or "run"


def stamp(now: datetime) -> str:
    """A time as records have it, by which runs are ordered: UTC, in milliseconds."""
    return f"{now.isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"


def time(text: str) -> datetime:
    """A time that `stamp` wrote."""
    return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=timezone.utc)


def in_utf8(path: Path) -> str:
    """A path as JSON can hold it; bytes that are no UTF-8 are written as `\\xff`."""
    return os.fsencode(path).decode(errors="backslashreplace")
