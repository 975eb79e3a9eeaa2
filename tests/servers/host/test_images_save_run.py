"""Both ways across without a registry that spans the gap, to the pipeline's results."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.schema import read_json
from tests.kit.engines import docker
from tests.kit.project import ROOT, Project, copy, steps

RUN = """\
import json, os, sys
from pathlib import Path
from tasks.core.inputs import staged_data
from tasks.core.nextflow import launch
from tasks.core.nextflow.machine import this_machine
from tasks.core.paths import PipelinePaths
at = PipelinePaths(site="local", pipeline="hello")
release = json.loads((at.release / "release.json").read_bytes())
ready = launch.prepare(launch.Carried(
    code=at.code, runtime=at.runtime(release["nextflow"]), plugins=at.plugins,
    config=at.load_config, data_manifest=at.data_manifest,
    locate=staged_data.lay_out(at.data_manifest, at.of_site.blobs, Path(sys.argv[1]) / "staged")),
    Path(sys.argv[1]) / "launch", this_machine(os.environ))
launch.run(ready, profile="test", log=Path(sys.argv[1]) / "run.log", options=[
    "-offline", "--outdir", Path(sys.argv[1]) / "results", "-work-dir", Path(sys.argv[1]) / "work"],
    env={"DOCKER_HOST": sys.argv[2]})
"""


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, str]]:
    """A local site whose releases carry the images, all the way across; what was printed."""
    project = copy(tmp_path_factory.mktemp("carried"), number=48)
    project.write_site({**project.site(), "images": {"carry": "store"}})
    try:
        yield project, project.doit().stdout
    finally:
        project.doit("sandbox:down", check=False)


def test_the_offline_registry_is_filled_from_the_store(crossed: tuple[Project, str]) -> None:
    project, output = crossed
    assert not steps(output) & {"images:mirror:hello", "dev:smoke:hello"}
    assert "images:load:hello" in output
    receipt = read_json(project.root / "build/local/hello/crossing.json", "crossing")
    assert receipt["results"]
    states = project.states()
    assert states["release:hello"] == states["sandbox:cross:hello"] == "fresh"
    assert states["images:save:hello"] == "-"


def load_as_documented(project: Project, folder: Path, engine: str) -> None:
    """Type what the documentation says, up to the pipeline's own run."""
    text = (ROOT / "docs/carrying.md").read_text()
    section = text[text.index("## No registry at all"):]
    lines = section.split("```\n")[1].splitlines()
    assert lines[-1].startswith("nextflow run")
    trust = project.root / "build/local/sandbox/host/trust"
    script = "\n".join(lines[:-1]).replace("/etc/airlock", str(trust)).replace("NAME", "hello")
    subprocess.run(["sh", "-ec", script], cwd=folder, check=True, capture_output=True,
                   env={**os.environ, "DOCKER_HOST": engine})


def write_image(path: Path, name: str) -> None:
    """An archive that an engine takes, of an image without a layer."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {},
                         "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": []}]).encode()
    files.write_tar(path, Path(), [], extra={"config.json": config, "manifest.json": manifest})


def test_archives_alone_are_enough_to_run(crossed: tuple[Project, str], tmp_path: Path) -> None:
    project, _ = crossed
    project.doit("images:sign:hello")
    folder = tmp_path / "carried"
    shutil.copytree(project.root / "build/local/hello/images", folder)
    write_image(folder / "evil.tar", "evil:1")
    with docker(tmp_path / "docker") as engine:
        load_as_documented(project, folder, engine.command[2])
        assert "evil" not in engine.run("images").stdout
        before = sorted(engine.run("images", "--quiet").stdout.split())
        done = subprocess.run([sys.executable, "-c", RUN, str(tmp_path), engine.command[2]],
                              cwd=project.root, env=project.environment(), check=False,
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        after = sorted(engine.run("images", "--quiet").stdout.split())
        assert after == before  # nothing was pulled
    assert list((tmp_path / "results").rglob("summary.html"))
