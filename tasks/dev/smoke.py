"""`dev:smoke`: on the online side, what the offline host will do, without the computing.

The pipeline's code runs confined, and asks the engine for containers through a gate of ours.
"""

from __future__ import annotations

import dataclasses
import logging
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path

from tasks.core.engine import daemon
from tasks.core.engine.address import Engine
from tasks.core.inputs import staged_data
from tasks.core.nextflow import isolation, launch, queries
from tasks.core.nextflow.environment import SHORT_LIVED
from tasks.core.nextflow.image_selectors import mirrored
from tasks.core.nextflow.machine import Machine, this_machine
from tasks.core.paths import PipelinePaths, SitePaths
from tasks.core.schema import read_json
from tasks.core.source import resolved_config, stubs
from tasks.dev import own_sheet

logger = logging.getLogger(__name__)


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
    from tasks.core.engine import for_run
    ready, within = prepared(spec)
    if said := stubs.told(stubs.lacking(ready.code, _main_script(spec))):
        logger.warning("dev:smoke:%s  %s", spec.pipeline, said)
    out = spec.output.absolute()
    out.mkdir(parents=True, exist_ok=True)
    launch.run(ready, profile=spec.profile, log=out / "preview.log", words=["-preview"],
               within=within, options=["-with-dag", within.folder / "DAG.svg", *_outdir(within)],
               env=SHORT_LIVED)
    _take(within, out, "DAG.svg")
    images = list(mirrored(read_json(spec.receipt, "images-receipt")).values())
    with spec.pulling:
        pulled = daemon.pull(daemon.connect(spec.engine), images, authfile=spec.authfile)
    with for_run.reached(spec.engine, images, launch=ready.folder, writable=within.folder,
                         path=spec.machine.inherited.path) as engine:
        with_engine = dataclasses.replace(within, reads=(*within.reads, *engine.reads))
        launch.run(ready, profile=spec.profile, log=out / "smoke.log", words=["-stub-run"],
                   options=["-with-trace", within.folder / "trace.txt",
                            "-with-report", within.folder / "report.html", *_outdir(within)],
                   env={**SHORT_LIVED, **engine.variables}, within=with_engine)
    _take(within, out, "trace.txt", "report.html")
    return f"preview and stub run ended well, {pulled} images pulled; {spec.output}/DAG.svg"


def prepared(spec: SmokeSpec) -> tuple[launch.Launch, launch.Confinement]:
    """The launch, laid out anew where an earlier run could write; no other user may enter it."""
    at = PipelinePaths(site=spec.site, pipeline=spec.pipeline)
    folder = (at.root / "launch").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    writable = folder / "writable"
    for written in (writable, folder / "nxf"):
        if written.exists():
            shutil.rmtree(written)
    writable.mkdir()
    ready = launch.prepare(launch.Carried(
        code=spec.code, runtime=spec.runtime, plugins=spec.plugins, config=spec.config,
        data_manifest=spec.data_manifest, configs=spec.configs,
        locate=staged_data.lay_out(spec.data_manifest, SitePaths(site=spec.site).blobs,
                                   folder / "staged")), folder, spec.machine)
    ready = own_sheet.taken(at, ready, f"dev:smoke:{spec.pipeline}")
    return ready, launch.Confinement(folder=writable, least=spec.isolation)


def _main_script(spec: SmokeSpec) -> str:
    at = PipelinePaths(site=spec.site, pipeline=spec.pipeline)
    config = resolved_config.config(at.resolved) if at.resolved.is_file() else {}
    return resolved_config.main_script(config)


def _outdir(within: launch.Confinement) -> list[str | Path]:
    return ["--outdir", within.folder / "results", "-work-dir", within.folder / "work"]


def _take(within: launch.Confinement, out: Path, *names: str) -> None:
    """What the run wrote, where it is a file; what an earlier run wrote is no result of this."""
    for name in names:
        (out / name).unlink(missing_ok=True)
        queries.keep(within.folder / name, out / name)
