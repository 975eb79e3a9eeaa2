"""`doit runs`: a line for each run, the newest last."""

from __future__ import annotations

import sys
from typing import Any

from tasks.commands import of_runs
from tasks.core import files
from tasks.core.errors import shown
from tasks.core.graph.commands import Typed
from tasks.core.schema import check
from tasks.offline_host import runs as records
from tasks.offline_host.runs import Run

COLUMNS = ("started", "pipeline", "release", "run", "who", "outcome", "took", "results")


def runs(typed: Typed) -> int:
    """Print all runs; those whose record can't be read are named on standard error."""
    place = of_runs.place(typed.variables)
    known, unread = records.all_runs(place.runs, place.pipeline)
    for folder in unread:
        sys.stderr.write(shown(f"no record that can be read: {folder.path}\n"))
    if typed.options.get("json"):
        listed = check([_row(run) for run in known], "runs", where="doit runs")
        sys.stdout.write(files.json_bytes(listed).decode())
        return 0
    if not known:
        print(f"there is no run here yet: {place.runs.absolute()}; those of an older tool stand in "
              "its own folder, which AIRLOCK_RUNS can name")
        return 0
    table = [COLUMNS, *(_cells(_row(run)) for run in known)]
    widths = [max(len(row[column]) for row in table) for column in range(len(COLUMNS))]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print(in_a_line("  ".join(cells)).rstrip())
    return 0


def _row(run: Run) -> dict[str, Any]:
    record = run.record
    return {"name": run.folder.name, "pipeline": record["pipeline"],
            "release": record["release"]["id"], "started": record["started"], "who": run.who,
            "outcome": run.state, "process": record["outcome"]["process"], "seconds": run.seconds,
            "results": None if record["results"] is None else len(record["results"]),
            "continues": record["continues"]}


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    count = row["results"]
    return (row["started"][:19].replace("T", " "), row["pipeline"], row["release"],
            row["name"], row["who"], row["outcome"], in_words(row["seconds"]),
            "-" if count is None else str(count))


def in_a_line(text: str) -> str:
    """Others' text in one line of a terminal: a file's name may hold what would begin another."""
    return shown(text).replace("\n", "\\n")


def in_words(seconds: int | None) -> str:
    """A time that something took: 12 s, 3 min 20 s, 2 h 5 min."""
    if seconds is None:
        return "-"
    minutes, hours = seconds // 60, seconds // 3600
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"
