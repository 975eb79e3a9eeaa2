"""A release with image files, in place on an offline host below the current folder."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.engine.address import Engine
from tasks.core.in_place import InPlace
from tasks.core.inputs.staged_data import blob
from tasks.core.machine_names import architecture
from tasks.core.net.network import Network
from tasks.core.nextflow.environment import Inherited, RunSettings
from tasks.core.nextflow.image_files import file_name
from tasks.core.nextflow.machine import this_machine
from tasks.offline_config.render import IndexSpec, build_files
from tasks.offline_host.bootstrap import BootstrapSpec
from tasks.offline_host.fetch import fetch
from tasks.offline_host.own_configs import OwnConfigs
from tasks.offline_host.run import RunSpec
from tasks.release import release, release_files
from tests.kit import apptainer
from tests.kit.project import ROOT
from tests.kit.releases import VERSION, Staged, change_code, stage

SOURCE = "quay.io/airlock/stones:1.0"
MANIFEST = "sha256:" + "c" * 64
CONTAINER = f"quay.io/airlock/stones@{MANIFEST}"
MAIN = b"""
process COUNT {
    container 'quay.io/airlock/stones:1.0'
    publishDir params.outdir, mode: 'copy'
    input: path sheet
    output: path 'count.txt'
    script: "cat $sheet | wc -l > count.txt"
}
workflow { COUNT(file(params.input)) }
"""
CONFIG = b"params.outdir = 'out'\nprofiles { test {}\n elsewhere { docker.enabled = true } }\n"


@dataclass(frozen=True, kw_only=True)
class Placed:
    """The release, with its one image, and an engine of this kind on a PATH."""

    staged: Staged
    kind: str
    path: str

    @property
    def folder(self) -> Path:
        return self.staged.prod.release(self.staged.id())

    @property
    def image(self) -> Path:
        return self.folder / "sif" / file_name(CONTAINER)

    def index(self, **changed: Any) -> None:
        """Write sif.json as the image file is, but for what is `changed` in it."""
        files.write_json(self.folder / "sif.json", {"images": [{
            "source": SOURCE, "container": CONTAINER, "file": self.image.name,
            "sha256": files.sha256(self.image), "size": self.image.stat().st_size,
            "platform": f"linux/{architecture()}", "manifest": MANIFEST, **changed}]})

    def bootstrap_spec(self) -> BootstrapSpec:
        """A bootstrap whose registry, CA, login and engine by a socket are nowhere."""
        at = self.staged.prod
        return BootstrapSpec(
            pipeline=at.pipeline, layout=at, launch=at.launch.absolute(), trust=Path("no-trust"),
            network=Network(), engine=Engine(url="unix:///none/engine.sock"),
            machine=this_machine({**os.environ, "PATH": self.path}), place=InPlace(at),
            kind=self.kind)

    def run_spec(self, *configs: Path) -> RunSpec:
        at = self.staged.prod
        return RunSpec(
            pipeline=at.pipeline, layout=at, settings=RunSettings(options="-Xmx512m"),
            inherited=Inherited.of({**os.environ, "PATH": self.path}), runs=Path("runs"), key=None,
            tool=Path("tool.json"), command={}, place=InPlace(at), seen=Path("seen"),
            own_configs=OwnConfigs(configs=tuple(path.absolute() for path in configs)))


def placed(runtime: Path | None, path: str, kind: str = "apptainer", *, main: bytes = MAIN,
           config: bytes = CONFIG) -> Placed:
    """Fetch a release of this pipeline, with its image file."""
    staged = published(runtime, kind, main=main, config=config)
    fetch(staged.fetch_spec())
    return Placed(staged=staged, kind=kind, path=path)


def published(runtime: Path | None, kind: str = "apptainer", *, main: bytes = MAIN,
              config: bytes = CONFIG) -> Staged:
    """Publish a release of this pipeline with its image file; without a runtime it can't be run.
    """
    staged = stage()
    change_code(staged, main)
    at = staged.layout
    files.write_tar(at.code, Path(), [], extra={"main.nf": main, "nextflow.config": config})
    _of_code(staged)
    if runtime:
        files.copy(runtime, at.runtime(VERSION))
        files.write_text(at.runtime_sums(VERSION), f"{files.sha256(runtime)}  {runtime.name}\n")
    files.write_json(at.images_scan, {
        "images": [SOURCE], "processes": [{"name": "COUNT", "aliases": [], "container": SOURCE,
                                           "file": "main.nf", "line": 3}],
        "selectors": [{"pattern": "(.*:)?(COUNT)", "choice": None,
                       "images": [{"name": SOURCE, "container": SOURCE}]}]})
    _image(staged)
    build_files(IndexSpec(
        pipeline=at.pipeline, nextflow=VERSION, scan=at.images_scan, index=at.sif_index,
        toggles=ROOT / "config/offline.config", output=at.offline_config,
        engine_toggles=ROOT / f"config/engines/{kind}.config"))
    files.write_text(at.plugins_list, "")
    files.write_tar(at.plugins, Path(), [])
    files.write_json(at.lock("plugins"), {"plugins": []})
    release.make(replace(staged.release_spec(), carry="files"))
    staged.push()
    staged.trust_key()
    return staged


def _image(staged: Staged) -> None:
    """Write the image file, sif.json, and the lock of the image that it was made of."""
    at = staged.layout
    made = apptainer.image(Path("made.img"))
    digest = files.sha256(made)
    files.copy(made, blob(at.of_site.blobs, digest, file_name(CONTAINER)))
    files.write_json(at.sif_index, {"images": [{
        "source": SOURCE, "container": CONTAINER, "file": file_name(CONTAINER), "sha256": digest,
        "size": made.stat().st_size, "platform": f"linux/{architecture()}",
        "manifest": MANIFEST}]})
    files.write_text(at.images, f"{SOURCE}\n")
    files.write_text(at.images_pinned, f"{CONTAINER}\n")
    lock = json.loads(at.lock("images").read_bytes())
    lock["images"][0] |= {"source": SOURCE, "manifest": MANIFEST}
    files.write_json(at.lock("images"), lock)
    release_files.write_lock(at)
    at.images_receipt.unlink()


def _of_code(staged: Staged) -> None:
    """Write the manifest of the code that lies there."""
    at = staged.layout
    files.write_json(at.code_manifest, {
        "pipeline": at.pipeline, "source": "examples/hello", "revision": "dev", "commit": None,
        "date": None, "sha256": files.sha256(at.code), "files": 2})
