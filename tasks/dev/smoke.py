"""`dev:smoke`: on the online side, what the offline host will do, without the computing.

The pipeline's code runs confined, and asks the engine for containers through a gate of ours.
"""

from __future__ import annotations

import dataclasses
import logging
import re
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path

from tasks.core import files, processes
from tasks.core.engine import daemon
from tasks.core.engine.address import Engine
from tasks.core.inputs import staged_data
from tasks.core.nextflow import isolation, launch, queries, reports, versions
from tasks.core.nextflow.image_selectors import mirrored
from tasks.core.nextflow.machine import Machine, this_machine
from tasks.core.nextflow.task_count import TaskCount
from tasks.core.paths import PipelinePaths, SitePaths
from tasks.core.schema import read_json
from tasks.core.source import resolved_config, stubs
from tasks.dev import own_sheet

logger = logging.getLogger(__name__)

PREVIEW_LIMIT = 900.0
"""Seconds; that of sarek takes 40 on two cores."""
WAITS_FOR_OUTPUTS = ">=26.03.1-edge"
OUTPUTS = re.compile(r"^[ \t]*output\s*\{", re.MULTILINE)
NO_PICTURE = """\
<svg xmlns="http://www.w3.org/2000/svg" width="400" height="40">\
<text x="10" y="25">Nextflow drew no picture of the DAG here.</text></svg>
"""


@dataclass(frozen=True, kw_only=True)
class SmokeSpec:
    """What the smoke run reads, and the folder that it writes.

    `pulling` is held while images are pulled: two steps that pull one image at once can fail.
    `docker` are the settings that have Docker run the images, where offline.config has another
    engine do it: the gate speaks Docker's API, so Docker's client asks it.
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
    docker: Path | None = None
    isolation: str = isolation.FULL
    machine: Machine = field(default_factory=this_machine)
    pulling: threading.Lock = field(default_factory=threading.Lock)


def smoke(spec: SmokeSpec) -> str:
    """A preview with the DAG's picture, then a stub run in the mirror's images.

    Where there can be no preview, the picture is of the stub run.
    """
    from tasks.core.engine import for_run
    ready, within = prepared(spec)
    if warning := stubs.warning(stubs.lacking(ready.code, _main_script(spec))):
        logger.warning("dev:smoke:%s  %s", spec.pipeline, warning)
    out = spec.output.absolute()
    out.mkdir(parents=True, exist_ok=True)
    drawing: list[str | Path] = ["-with-dag", within.folder / reports.MERMAID]
    is_drawn = _preview(spec, ready, within, out, drawing)
    images = list(mirrored(read_json(spec.receipt, "images-receipt")).values())
    with spec.pulling:
        pulled = daemon.pull(daemon.connect(spec.engine), images, authfile=spec.authfile)
    with for_run.reached(spec.engine, images, launch=ready.folder, writable=within.folder,
                         path=spec.machine.inherited.path) as engine:
        with_engine = dataclasses.replace(within, reads=(*within.reads, *engine.reads))
        trace, log = within.folder / "trace.txt", out / "smoke.log"
        tasks = TaskCount(f"dev:smoke:{spec.pipeline}", trace, is_logged=False)
        with processes.following(log, tasks.line, tasks.look):
            launch.run(ready, profile=spec.profile, log=log, words=["-stub-run"],
                       options=["-with-trace", trace, "-with-report", within.folder / "report.html",
                                *([] if is_drawn else drawing), *_outdir(within)],
                       env=engine.variables, within=with_engine)
    _take(within, out, "trace.txt", "report.html", reports.MERMAID)
    reports.close([out / "report.html"])
    runs = "preview and stub run" if is_drawn else "stub run"
    return f"{runs} ended well, {pulled} images pulled; {_picture(spec)}"


def _preview(spec: SmokeSpec, ready: launch.Launch, within: launch.Confinement, out: Path,
             drawing: list[str | Path]) -> bool:
    """Run a preview that draws the DAG; return whether there was one, and say where there wasn't.

    It needs no engine, so what is wrong with config, params and workflow shows within seconds.
    """
    version = ready.nextflow.version
    if preview_hangs(version, ready.code):
        logger.warning("%s: no preview, the picture of the DAG is that of the stub run: a preview "
                       "of Nextflow %s never ends where the pipeline has workflow outputs",
                       spec.pipeline, version)
        return False
    try:
        launch.run(ready, profile=spec.profile, log=out / "preview.log", words=["-preview"],
                   within=dataclasses.replace(within, timeout=PREVIEW_LIMIT),
                   options=[*drawing, *_outdir(within)])
    except launch.TooLong as error:
        logger.warning("%s: %s (%s); the picture of the DAG is that of the stub run",
                       spec.pipeline, error.what, error.where)
        # What it drew before it hung would keep the stub run from drawing.
        (within.folder / reports.MERMAID).unlink(missing_ok=True)
        return False
    return True


def preview_hangs(version: str, code: Path) -> bool:
    """Whether a preview of this pipeline waits for outputs that no task will make.

    Nextflow 26.03.1-edge and later print the workflow outputs at the end, and wait for them
    (tried: 26.04.6; read: OutputDsl.groovy at the tags up to 26.08.0-edge).
    """
    return versions.meets(version, WAITS_FOR_OUTPUTS) and any(
        OUTPUTS.search(path.read_text(errors="replace"))
        for path in files.tree(code) if path.suffix == ".nf" and path.is_file())


def _picture(spec: SmokeSpec) -> str:
    """Draw the picture, and return where it lies; where there is none the reader is shown that."""
    picture = spec.output / "DAG.svg"
    if reports.draw(spec.output / reports.MERMAID, picture,
                    title=f"Processes of {spec.pipeline}"):
        return str(picture)
    files.write_text(picture, NO_PICTURE)
    return "no picture of the DAG: Nextflow drew none"


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
    if spec.docker:
        ready = dataclasses.replace(ready, configs=(*ready.configs, spec.docker.absolute()))
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
