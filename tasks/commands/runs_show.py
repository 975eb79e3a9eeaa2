"""`doit runs:show`: what a run was made from, and what it came to."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tasks.commands import of_runs
from tasks.commands.runs import in_a_line, in_words
from tasks.core import files
from tasks.core.config import engines
from tasks.core.graph.commands import Typed
from tasks.offline_host import runs as records
from tasks.offline_host import verify
from tasks.offline_host.runs import Run


def runs_show(typed: Typed) -> int:
    """Print one run, or its record."""
    place = of_runs.place(typed.variables)
    run = place.one(typed.words)
    record = records.whole(run.folder)
    if typed.options.get("json"):
        sys.stdout.write(files.json_bytes(record).decode())
        return 0
    listed = run.folder.sums.read_bytes() if run.folder.sums.is_file() else b""
    signed, _ = verify.signed_by(run.folder, listed, record["host"]["name"], place.signers)
    for name, text in [*_lines(run, record), ("record", f"{run.folder.record}, {signed}")]:
        print(in_a_line(f"{name:<10} {text}"))
    return 0


def _lines(run: Run, record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "run", f"{record['pipeline']}/{run.folder.name}"
    yield "outcome", _outcome(run, record)
    yield "release", record["release"]["id"]
    yield from _promotion(record["release"]["promotion"])
    yield "who", f"{run.who}, {record['host']['system']}"
    yield "when", f"{record['started']}, for {in_words(run.seconds)}"
    if record["continues"]:
        yield "goes on", f"from {record['continues']}"
    for name, given in record["inputs"].items():
        if given:
            whose = "carried by the release" if given["carried"] else "the user's own"
            yield name, f"{given['place']}, {whose}, sha256 {given['sha256']}"
    versions, host = record["versions"], record["host"]
    yield "with", (f"Nextflow {versions['nextflow']}, Java {versions['java'] or 'not known'}, "
                   f"{_engine(versions)}; profile {record['profile']}; at "
                   f"most {host['cpus']} cpus and {files.human_size(host['memory'])} for a task")
    yield from _tasks(record)
    if record["results"] is not None:
        size = files.human_size(sum(row["size"] for row in record["results"]))
        where = record["outdir"] or f"{run.folder.path}/results"
        yield "results", f"{len(record['results'])} files, {size}, in {where}"
    for row in record["unlisted"]:
        yield "unlisted", f"{row['path']}: {row['why']}"


def _outcome(run: Run, record: dict[str, Any]) -> str:
    outcome = record["outcome"]
    status = "" if outcome["status"] is None else f", exit status {outcome['status']}"
    return run.state + status + (f", by {outcome['process']}" if outcome["process"] else "")


def _promotion(promotion: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    if promotion is None:
        yield "promotion", "none with a trusted signature named it when it was fetched"
        return
    proof = promotion["proof"]
    yield "promotion", (f"number {promotion['number']}, signed {promotion['signed']}"
                        + (f", on the proof sha256 {proof}" if proof else ""))
    if promotion["unproven"]:
        yield "NOT PROVEN", promotion["unproven"]


def _tasks(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """How many tasks each process had, and the digest of the image that they ran in."""
    counted = Counter((task["process"], task["container"], task["status"])
                      for task in record["tasks"])
    for (process, container, status), count in counted.items():
        yield "tasks", (f"{count} × {process}, {status.lower()}, in "
                        f"{container or 'no image: by the host alone'}")
    for image in record["images"]:
        what = image["id"] or f"not known to the engine: {image['why_not']}"
        yield "image", f"{image['reference']}, by the engine's id {what}"


def _engine(versions: Mapping[str, str | None]) -> str:
    """The engine's kind and version, as a record has them."""
    kind = next(kind for kind in engines.KINDS if kind in versions)
    return f"{kind.capitalize()} {versions[kind] or 'not known'}"
