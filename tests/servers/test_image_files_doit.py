"""An offline host with image files by the commands that are typed there, without a registry."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tasks.core import files
from tasks.runtime import build as runtimes
from tests.kit import apptainer, image_files, slurm
from tests.kit.offline import SITE, Host
from tests.kit.project import copy


@pytest.fixture
def host(tmp_path: Path, runtime: runtimes.Runtime, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host whose site names Apptainer and a library, and no registry, CA or login."""
    (tmp_path / "online").mkdir()
    monkeypatch.chdir(tmp_path / "online")
    image_files.published(runtime.archive)
    (tmp_path / "there").mkdir()
    made = Host(project=copy(tmp_path / "there", number=7), store=tmp_path / "online/store")
    made.configure(tmp_path / "online/trust", ["hello"])
    path = made.root / f"config/sites/{SITE}.yml"
    raw = yaml.safe_load(path.read_text())
    raw["offline"] |= {"engine": "apptainer", "library": str(tmp_path / "library")}
    (tmp_path / "library").mkdir(mode=0o755)
    del raw["registry"]
    files.write_text(path, yaml.safe_dump(raw))
    return made


def test_one_command_fetches_and_runs_and_a_login_node_writes_the_head_job(
        host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    login = slurm.standin(tmp_path / "slurm").path(apptainer.path_without())
    monkeypatch.setenv("PATH", login)
    (tmp_path / "slurm.config").write_text("process.executor = 'slurm'\n")
    words = ("pipeline=hello", f"config={tmp_path}/slurm.config")
    said = host.run(*words, status=1)
    assert "'apptainer' is not on the PATH" in said and "prod:submit" in said
    assert not (host.root / "runs").exists()

    monkeypatch.setenv("NXF_WORK", str(tmp_path / "shared work"))
    said = host.run(*words, "prod:submit")
    script = (host.root / host.at().submit).read_text()
    assert f"exec {host.root}/doit role=prod site={SITE} pipeline=hello " in script
    assert f"config={tmp_path}/slurm.config prod:run:hello\n" in script
    assert f"export NXF_WORK='{tmp_path}/shared work'\n" in script
    assert f"sbatch {host.root / host.at().submit}" in said

    monkeypatch.delenv("NXF_WORK")
    engine = apptainer.standin(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{engine.folder}:{login}")
    said = host.run("pipeline=hello")
    assert "1 image files; Nextflow" in said and "1 results in runs/hello/" in said
    assert len(engine.calls()) == 2
    image, = (tmp_path / "library/hello").rglob("*.img")
    assert {call["image"] for call in engine.calls()} == {str(image)}
    assert not list(host.root.rglob("*.img"))
    assert "holds no images" in host.run("prod:prune:images")
