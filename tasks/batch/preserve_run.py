"""Two runs of a pipeline, without and with the profile for Batch in its code: what differs.

Both run on this machine as the smoke run does, confined and in mirrored images, but whole.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.batch.parquet import same_table
from tasks.core import endings, files, nofollow
from tasks.core.engine import daemon
from tasks.core.engine.address import Engine
from tasks.core.engine.for_run import Reached, reached
from tasks.core.inputs import staged_data
from tasks.core.nextflow import isolation, launch
from tasks.core.nextflow.image_selectors import mirrored
from tasks.core.nextflow.machine import Machine, this_machine
from tasks.core.schema import read_json

TRACED = ("exit", "container", "cpus", "memory", "time", "disk")
"""What is compared of each task, by the names of Nextflow's trace, besides its command."""
REPORTS = ("report", "timeline", "dag")
"""Nextflow's own, which no run makes here: they hold times."""
MAX_COMMAND, MAX_TRACE = 1 << 20, 64 << 20
"""Bytes of a task's script, and of the trace."""
MAX_DIFFERENCES = 50


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """What a run needs besides the code: the parts of a release, and where tasks run.

    Without an `engine` they run without containers, as the pipeline's own profile says.
    """

    profile: str
    runtime: Path
    plugins: Path
    config: Path
    data_manifest: Path
    blobs: Path
    receipt: Path
    log: Path
    engine: Engine | None = None
    authfile: Path | None = None
    configs: Path | None = None
    isolation: str = isolation.FULL
    machine: Machine = field(default_factory=this_machine)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run did: each task by its name, and each result below `folder` by its SHA-256.

    Not pipeline_info/, where pipelines write of the run itself, with its time and name.
    """

    tasks: Mapping[str, Mapping[str, str]]
    results: Mapping[str, str]
    folder: Path


def compare(spec: RunSpec, before: Path, after: Path, scratch: Path) -> dict[str, Any]:
    """Run both codes, and return what preserve.json says of the runs."""
    with files.scratch(scratch, "before") as one, files.scratch(scratch, "after") as other:
        first = _run(spec, before, one)
        second = _run(spec, after, other)
        differing = list(differences(first, second))
    return {"profile": spec.profile, "is_same": not differing, "tasks": len(first.tasks),
            "results": len(first.results),
            "differences": differing[:MAX_DIFFERENCES]}


def differences(before: Outcome, after: Outcome) -> Iterator[str]:
    """Yield what differs between two runs: a task's command, size, image or exit, or a result."""
    for name in sorted({*before.tasks, *after.tasks}):
        one, other = before.tasks.get(name), after.tasks.get(name)
        if one is None or other is None:
            yield f"task {name}: {'only after' if one is None else 'only before'}"
            continue
        for key in sorted({*one, *other}):
            if one.get(key) != other.get(key):
                yield f"task {name}: {key} was {one.get(key)}, is {other.get(key)}"
    for path in sorted({*before.results, *after.results}):
        if path not in before.results or path not in after.results:
            yield f"result {path}: {'only after' if path in after.results else 'only before'}"
        elif before.results[path] != after.results[path] and not (
                path.endswith(".parquet")
                and same_table(before.folder / path, after.folder / path)):
            yield f"result {path}: its content"


def _run(spec: RunSpec, code: Path, folder: Path) -> Outcome:
    ready = launch.prepare(launch.Carried(
        code=code, runtime=spec.runtime, plugins=spec.plugins, config=spec.config,
        data_manifest=spec.data_manifest, configs=spec.configs,
        locate=staged_data.lay_out(spec.data_manifest, spec.blobs, folder / "staged")),
        folder, spec.machine)
    writable = folder / "writable"
    writable.mkdir()
    traced = folder / "trace.config"
    files.write_text(traced, "".join([
        f"trace.fields = 'name,hash,{','.join(TRACED)}'\ntrace.raw = true\n",
        *(f"{name}.enabled = false\n" for name in REPORTS)]))
    ready = dataclasses.replace(ready, configs=(*ready.configs, traced))
    with _engine(spec, ready, writable) as engine:
        launch.run(ready, profile=spec.profile, log=spec.log, env=engine.variables,
                   within=launch.Confinement(folder=writable, reads=engine.reads,
                                             least=spec.isolation),
                   options=["-with-trace", writable / "trace.txt", "--outdir", writable / "results",
                            "-work-dir", writable / "work"])
    return Outcome(tasks=_tasks(writable), results=_results(writable),
                   folder=writable / "results")


@contextlib.contextmanager
def _engine(spec: RunSpec, ready: launch.Launch, writable: Path) -> Iterator[Reached]:
    """Yield what a run reaches the engine by; nothing where there is none."""
    if spec.engine is None:
        yield Reached(variables={}, reads=())
        return
    images = list(mirrored(read_json(spec.receipt, "images-receipt")).values())
    daemon.pull(daemon.connect(spec.engine), images, authfile=spec.authfile)
    with reached(spec.engine, images, launch=ready.folder, writable=writable,
                 path=spec.machine.inherited.path) as engine:
        yield engine


def _tasks(writable: Path) -> dict[str, dict[str, str]]:
    """Return each task of the trace with the digest of its command; the run wrote both."""
    with nofollow.reading(writable, "trace.txt") as stream:
        rows = stream.read(MAX_TRACE).decode(errors="replace").splitlines()
    tasks = {}
    for row in csv.DictReader(rows, delimiter="\t"):
        start, _, rest = str(row.get("hash")).partition("/")
        folders = sorted((writable / "work" / files.inside(Path(), start)).glob(f"{rest}*"))
        command = "?"
        if rest and folders:
            relative = (folders[0] / ".command.sh").relative_to(writable).as_posix()
            with nofollow.reading(writable, relative) as script:
                command = files.sha256_bytes(script.read(MAX_COMMAND))
        tasks[str(row["name"])] = {**{key: str(row.get(key)) for key in TRACED},
                                   "command": command}
    return tasks


def _results(writable: Path) -> dict[str, str]:
    folder = writable / "results"
    return {path.relative_to(folder).as_posix(): _digest(path, writable)
            for path in files.tree(folder)
            if not path.is_relative_to(folder / endings.OWN)}


def _digest(path: Path, writable: Path) -> str:
    """Return a result's digest; a link is followed to what a task wrote, and nowhere else."""
    real = path.resolve()
    if not real.is_relative_to(writable.resolve()):
        return "a link out of the run"
    if real.is_dir():
        listed = [f"{inner.relative_to(real)} {_digest(inner, writable)}"
                  for inner in files.tree(real) if not inner.is_symlink()]
        return files.sha256_bytes("\n".join(listed).encode())
    return files.sha256(real) if real.is_file() else "no file"
