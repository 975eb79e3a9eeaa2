"""A run as a page in its own folder: what ran, how long, with which images, and what it made."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tasks.core import dag, files, page
from tasks.core.nextflow import reports
from tasks.offline_host import run_tasks
from tasks.offline_host.run_folder import RunFolder, time
from tasks.offline_host.runs import INTERRUPTED, Run, whole

logger = logging.getLogger(__name__)

TEMPLATE = Path(__file__).with_name("run.html")
MAX_ROWS = 5000
"""Rows of a table that the page shows; run.json has all."""
BAD = ("FAILED", "ABORTED")


def write(folder: RunFolder, record: Mapping[str, Any], error: Sequence[str] = ()) -> bool:
    """Write the page, and return whether that could be done; a fault in that is none of the run's.

    `error` are the lines that say why it failed.
    """
    try:
        text = html(record, run_tasks.rows(folder.trace), dag.read(
            folder.reports / reports.MERMAID), error)
        files.write_text(folder.page, text)
    except Exception as fault:
        folder.page.unlink(missing_ok=True)  # one that was made before tells of another state
        logger.warning("the run's page can't be written: %s: %s", type(fault).__name__, fault)
        return False
    return True


def write_interrupted(run: Run, session: str | None) -> None:
    """Write the page of a run that was killed: the one that it began with knows of no end.

    `session` is Nextflow's, None where it had none yet.
    """
    write(run.folder, {**whole(run.folder), "session": session, "outcome": {
        "state": INTERRUPTED, "status": None, "process": None}})


def html(record: Mapping[str, Any], traced: Sequence[Mapping[str, str]],
         graph: Mapping[str, Any] | None, error: Sequence[str] = ()) -> str:
    """The page of a run's record, of what Nextflow's trace has of its tasks, and of its graph."""
    tasks = [_task(row) for row in traced]
    begins = [task["begin"] for task in tasks if task["begin"] is not None]
    ends = [task["end"] for task in tasks if task["end"] is not None]
    results = [{**row, "link": f"results/{quote(row['path'])}"} for row in record["results"] or ()]
    return page.render(TEMPLATE, {
        **record, "most_rows": MAX_ROWS, "took": _took(record), "ran": tasks, "files": results,
        "error": error, "culprit": _culprit(tasks, record["outcome"]["process"]),
        "typed": shlex.join(["./doit", *(f"{name}={value}" for name, value
                                         in record["command"].items())]),
        "processes": _processes(tasks), "first": min(begins, default=0.0),
        "whole": max(max(ends, default=0.0) - min(begins, default=0.0), 0.001),
        "bytes": sum(row["size"] for row in results),
        "largest": max((row["size"] for row in results), default=0),
        "longest": max((task["seconds"] or 0 for task in tasks), default=0),
        "picture": dag.picture(graph) if graph else None, "graph": graph})


def _took(record: Mapping[str, Any]) -> str | None:
    """How long it took, in words; None before its end."""
    if record["ended"] is None:
        return None
    return span((time(record["ended"]) - time(record["started"])).total_seconds())


def _culprit(tasks: Sequence[Mapping[str, Any]], process: str | None) -> Mapping[str, Any] | None:
    """The last task of the process that made a run fail; None where the trace has none."""
    return next((task for task in reversed(tasks)
                 if task["process"] == process and task["status"] == "FAILED"), None)


def _task(row: Mapping[str, str]) -> dict[str, Any]:
    begin, end = _seconds(row["start"]), _seconds(row["complete"])
    took = None if begin is None or end is None else max(end - begin, 0.0)
    return {"name": row["name"], "process": row["process"], "status": row["status"],
            "exit": row["exit"], "begin": begin, "end": end, "seconds": took,
            "took": "" if took is None else span(took), "memory": _known(row["peak_rss"]),
            "cpu": _known(row["%cpu"]), "container": _known(row["container"]),
            "is_bad": row["status"] in BAD}


def _known(cell: str) -> str:
    return "" if cell == "-" else cell


def _seconds(text: str) -> float | None:
    """A time of the trace, in seconds of the host's clock; None where it has none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _processes(tasks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The tasks of each process together, in the order in which they began."""
    named: dict[str, list[Mapping[str, Any]]] = {}
    for task in tasks:
        named.setdefault(task["process"], []).append(task)
    rows = [{"name": name, "tasks": len(own), "bad": sum(task["is_bad"] for task in own),
             "cached": sum(task["status"] == "CACHED" for task in own),
             "seconds": sum(task["seconds"] or 0 for task in own),
             "took": span(sum(task["seconds"] or 0 for task in own)),
             "begin": _first(task["begin"] for task in own),
             "end": max((task["end"] for task in own if task["end"] is not None), default=None)}
            for name, own in named.items()]
    return sorted(rows, key=lambda row: (row["begin"] is None, row["begin"] or 0, row["name"]))


def _first(times: Iterable[float | None]) -> float | None:
    return min((begin for begin in times if begin is not None), default=None)


def span(seconds: float) -> str:
    """A length of time for people: 0.4 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
