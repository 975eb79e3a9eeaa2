"""What Nextflow's trace says of a run's tasks, and which process made it fail."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

FIELDS = ("task_id", "hash", "native_id", "process", "status", "exit", "attempt", "submit",
          "start", "complete", "duration", "realtime", "cpus", "memory", "%cpu", "peak_rss",
          "peak_vmem", "rchar", "wchar", "container", "workdir", "name")
"""Columns of the trace: Nextflow's own, and those that name the process and its image. The name
is the last, since a pipeline may put anything into it."""
NUMBERED = re.compile(r"[0-9]+\t")
NO_STATUS = 2**31 - 1
"""What Nextflow writes where a task has no exit status."""
FAILED = re.compile(r"Error executing process > '([^' ]+)")


def config() -> str:
    """The settings by which the trace has these columns, whatever the pipeline sets."""
    return f"trace {{\n    fields = '{','.join(FIELDS)}'\n    sep = '\\t'\n    raw = false\n}}\n"


def tasks(trace: Path) -> list[dict[str, Any]]:
    """Return the tasks in a trace, as far as it was written: one that was cut off is left out."""
    return [_task(row) for row in rows(trace)]


def rows(trace: Path) -> list[dict[str, str]]:
    """The same with all columns, as they were written."""
    try:
        lines = trace.read_text(errors="replace").split("\n")
    except OSError:
        return []
    whole: list[str] = []
    for line in lines[1:]:
        if NUMBERED.match(line):
            whole.append(line)
        elif whole and line:
            whole[-1] += f"\n{line}"  # of a name
    split = (row.split("\t", len(FIELDS) - 1) for row in whole)
    return [dict(zip(FIELDS, cells, strict=True)) for cells in split
            if len(cells) == len(FIELDS)]


def failed_process(tail: Iterable[str], ran: Sequence[dict[str, Any]]) -> str | None:
    """Return the process that ended a run: the one that Nextflow names, else the last that failed.
    """
    for line in tail:
        if match := FAILED.search(line):
            return match[1]
    return next((task["process"] for task in reversed(ran) if task["status"] == "FAILED"), None)


def _task(row: dict[str, str]) -> dict[str, Any]:
    known = {key: None if value in ("-", "") else value for key, value in row.items()}
    status = known["exit"]
    code = int(status) if status and re.fullmatch(r"-?[0-9]{1,10}", status) else None
    return {"name": row["name"], "process": row["process"], "hash": row["hash"],
            "native_id": known["native_id"], "status": row["status"],
            "exit": None if code == NO_STATUS else code, "start": known["start"],
            "complete": known["complete"], "container": known["container"]}
