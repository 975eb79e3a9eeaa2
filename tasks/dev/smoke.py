"""`dev:smoke`: on the online side, what the offline host will do, without the computing.

The pipeline's code runs confined, and asks the engine for containers through a gate of ours.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path

from tasks.core.engine import daemon
from tasks.core.engine.address import Engine
from tasks.core.inputs import staged_data
from tasks.core.nextflow import isolation, launch, queries
from tasks.core.nextflow.environment import FOR_SECONDS
from tasks.core.nextflow.machine import Machine, this_machine
from tasks.core.paths import PipelinePaths, SitePaths
from tasks.core.schema import read_json


@dataclass(frozen=True, kw_only=True)
class SmokeSpec:
    """What the smoke run reads, and the folder that it writes.

    `pulling` is held while images are pulled: two steps that pull one image at once can fail.
    """

    pipeline: str
    site: str
    profile: str
    engine: Engine
    authfile: Path | None
    code: Path
    runtime: Path
    plugins: Path
    config: Path
    data_manifest: Path
    receipt: Path
    output: Path
    configs: Path | None = None
    isolation: str = isolation.FULL
    machine: Machine = field(default_factory=this_machine)
    pulling: threading.Lock = field(default_factory=threading.Lock)


def smoke(spec: SmokeSpec) -> str:
    """A preview with the DAG's picture, then a stub run in the mirror's images."""
    from tasks.core.engine import gate
    from tasks.core.engine.create import Rules
    ready, room = prepared(spec)
    out = spec.output.absolute()
    out.mkdir(parents=True, exist_ok=True)
    launch.run(ready, profile=spec.profile, log=out / "preview.log", words=["-preview"], room=room,
               options=["-with-dag", room.folder / "DAG.svg", *_outdir(room)],
               env=FOR_SECONDS)
    _take(room, out, "DAG.svg")
    images = [f"{image['destination']}@{image['digest']}"
              for image in read_json(spec.receipt, "images-receipt")["images"]]
    with spec.pulling:
        pulled = daemon.pull(daemon.connect(spec.engine), images, authfile=spec.authfile)
    rules = Rules(images=frozenset(images), launch=ready.folder, room=room.folder,
                  user=f"{os.getuid()}:{os.getgid()}")
    with gate.opened(daemon.dialling(spec.engine), rules) as place:
        client = shutil.which("docker", path=spec.machine.inherited.path)
        with_engine = dataclasses.replace(room, reads=(
            *room.reads, place.parent, *([Path(client)] if client else [])))
        launch.run(ready, profile=spec.profile, log=out / "smoke.log", words=["-stub-run"],
                   options=["-with-trace", room.folder / "trace.txt",
                            "-with-report", room.folder / "report.html", *_outdir(room)],
                   env={**FOR_SECONDS, "DOCKER_HOST": f"unix://{place}"}, room=with_engine)
    _take(room, out, "trace.txt", "report.html")
    return f"preview and stub run ended well, {pulled} images pulled; {spec.output}/DAG.svg"


def prepared(spec: SmokeSpec) -> tuple[launch.Launch, launch.Room]:
    """The launch, laid out anew where an earlier run could write; no other user may enter it."""
    at = PipelinePaths(site=spec.site, pipeline=spec.pipeline)
    folder = (at.root / "launch").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    room = folder / "room"
    for written in (room, folder / "nxf"):
        if written.exists():
            shutil.rmtree(written)
    room.mkdir()
    ready = launch.prepare(launch.Carried(
        code=spec.code, runtime=spec.runtime, plugins=spec.plugins, config=spec.config,
        data_manifest=spec.data_manifest, configs=spec.configs,
        locate=staged_data.lay_out(spec.data_manifest, SitePaths(site=spec.site).blobs,
                                   folder / "staged")), folder, spec.machine)
    return ready, launch.Room(folder=room, least=spec.isolation)


def _outdir(room: launch.Room) -> list[str | Path]:
    return ["--outdir", room.folder / "results", "-work-dir", room.folder / "work"]


def _take(room: launch.Room, out: Path, *names: str) -> None:
    """What the run wrote, where it is a file; what an earlier run wrote is no result of this."""
    for name in names:
        (out / name).unlink(missing_ok=True)
        queries.keep(room.folder / name, out / name)
