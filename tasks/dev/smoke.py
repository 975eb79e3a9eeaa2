"""`dev:smoke`: on the online side, what the offline host will do, without the computing."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from tasks.core import engine, inputs, launch, nextflow
from tasks.core.layout import Layout, SiteLayout
from tasks.core.schema import read_json


@dataclass(frozen=True, kw_only=True)
class SmokeSpec:
    """What the smoke run reads, and the folder that it writes."""

    pipeline: str
    site: str
    profile: str
    engine: str | None
    authfile: Path | None
    code: Path
    runtime: Path
    plugins: Path
    config: Path
    data_manifest: Path
    receipt: Path
    output: Path
    configs: Path | None = None


def smoke(spec: SmokeSpec) -> str:
    """A preview with the DAG's picture, then a stub run in the mirror's images."""
    at = Layout(site=spec.site, pipeline=spec.pipeline)
    carried = launch.Carried(
        code=spec.code, runtime=spec.runtime, plugins=spec.plugins, config=spec.config,
        data_manifest=spec.data_manifest, configs=spec.configs,
        locate=inputs.lay_out(spec.data_manifest, SiteLayout(site=spec.site).blobs,
                              at.root / "launch/staged"))
    ready = launch.prepare(carried, at.root / "launch")
    out = spec.output.absolute()
    out.mkdir(parents=True, exist_ok=True)
    launch.run(ready, profile=spec.profile, log=out / "preview.log", words=["-preview"],
               options=["-with-dag", out / "DAG.svg", *_outdir(ready)], env=nextflow.BRIEFLY)
    images = [f"{image['destination']}@{image['digest']}"
              for image in read_json(spec.receipt, "images-receipt")["images"]]
    client = engine.connect(spec.engine)
    pulled = engine.pull(client, images, authfile=spec.authfile)
    with tempfile.TemporaryDirectory() as docker_config:
        # The images are there: no login is needed.
        environment = {**nextflow.BRIEFLY, "DOCKER_CONFIG": docker_config}
        if spec.engine:
            environment["DOCKER_HOST"] = spec.engine
        launch.run(ready, profile=spec.profile, log=out / "smoke.log", words=["-stub-run"],
                   options=["-with-trace", out / "trace.txt", "-with-report", out / "report.html",
                            *_outdir(ready)], env=environment)
    return f"preview and stub run ended well, {pulled} images pulled; {spec.output}/DAG.svg"


def _outdir(ready: launch.Launch) -> list[str | Path]:
    return ["--outdir", ready.folder / "results", "-work-dir", ready.folder / "work"]
