"""Runs on a cluster: the real Nextflow's executor slurm, led to a stand-in, and head jobs."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tasks.core.errors import ConfigError, HostError
from tasks.core.in_place import InPlace
from tasks.core.offline_paths import OfflinePaths
from tasks.core.schema import read_json
from tasks.offline_host import cluster, submit
from tasks.offline_host.bootstrap import bootstrap
from tasks.offline_host.own_configs import OwnConfigs
from tasks.offline_host.run import run_test
from tasks.offline_host.run_folder import RunFolder
from tasks.runtime import build as runtimes
from tests.kit import apptainer, image_files, slurm

CONFIG = """
process { executor = 'slurm'; queue = 'long'; cpus = 9; memory = '90 GB' }
executor { pollInterval = '1 sec'; queueStatInterval = '2 sec' }
profiles { here { process.executor = 'local' } }
"""
AT = OfflinePaths(site="there", pipeline="hello")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a config that asks for Slurm."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slurm.config").write_text(CONFIG)
    return tmp_path / "slurm.config"


def on(monkeypatch: pytest.MonkeyPatch, kind: str, **others: str) -> None:
    """Have a path's file system be of a kind, but where it stands in a folder of another."""
    monkeypatch.setattr(cluster, "file_system", lambda place, mounts: next(
        (other for name, other in others.items() if name in place.parts), kind))


@pytest.mark.parametrize(("text", "profiles", "found"), [
    (CONFIG, [], ["slurm"]), (CONFIG, ["here"], []), ("process.executor = 'local'", [], []),
    ("process { withName: 'A' { executor = 'lsf' } }", [], ["lsf"]),
    ("executor.name = 'PBSPRO'", [], ["pbspro"]), ("process.cpus = 2", [], []),
    ("profiles { x { process.executor = 'slurm' } }", [], []),
    ("process.executor = { task.cpus > 1 ? 'slurm' : 'local' }", [], [])])
def test_an_executor_is_known_by_what_a_config_says(
        tmp_path: Path, text: str, profiles: list[str], found: list[str]) -> None:
    (tmp_path / "own.config").write_text(text)
    roots = [(tmp_path, "nextflow.config"), (tmp_path, "own.config")]  # the first isn't there
    assert cluster.executors(roots, profiles) == found


def test_the_work_folder_stays_where_nodes_see_it(own: Path, tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, "nfs4")
    assert cluster.work_folder(AT, None, ["slurm"]) == str((AT.root / "work").absolute())
    assert cluster.work_folder(AT, "/shared/work", ["slurm"]) == "/shared/work"
    (tmp_path / "fast").mkdir()
    on(monkeypatch, "nfs4", fast="tmpfs")
    with pytest.raises(HostError, match=r"slurm runs tasks on other .* own disk \(tmpfs\)"):
        cluster.work_folder(AT, str(tmp_path / "fast/work"), ["slurm"])


def test_a_library_must_be_where_nodes_see_it(own: Path, tmp_path: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, "nfs4", fast="xfs")
    (tmp_path / "fast/library").mkdir(parents=True)
    cluster.work_folder(AT, None, ["slurm"], tmp_path / "library")
    with pytest.raises(HostError, match="the library of image files lies on this machine's own"):
        cluster.work_folder(AT, None, ["slurm"], tmp_path / "fast/library")


def test_a_local_work_folder_is_an_error_unless_the_user_names_it(
        own: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A disk may be shared by being exported, which only its user can know."""
    on(monkeypatch, "ext4")
    with pytest.raises(HostError, match=r"the release, .* own disk \(ext4\)") as caught:
        cluster.work_folder(AT, None, ["slurm"])
    assert "NXF_WORK=/shared/work" in str(caught.value)
    assert cluster.work_folder(AT, str(own.parent / "w"), ["lsf"]) == str(own.parent / "w")
    assert caplog.text.count("NOT SEEN TO BE SHARED") == 2


def test_the_real_nextflow_hands_its_tasks_to_slurm(
        own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        runtime: runtimes.Runtime) -> None:
    """Each with more than this host has, since its limits are none of theirs."""
    engine, jobs = apptainer.standin(tmp_path / "bin"), slurm.standin(tmp_path / "slurm")
    here = image_files.placed(runtime.archive, jobs.path(engine.path))
    bootstrap(here.bootstrap_spec())
    on(monkeypatch, "ext4")
    with pytest.raises(HostError, match="own disk"):
        run_test(here.run_spec(own))
    assert not Path("runs").exists()
    on(monkeypatch, "nfs4")
    run_test(here.run_spec(own))
    job, = jobs.jobs()
    work = (here.staged.prod.root / "work").absolute()
    assert Path(job["cwd"]).is_relative_to(work)
    assert {"-c 9", "--mem 92160M", "-p long"} <= {*job["options"]}
    assert engine.calls()[-1]["image"] == str(here.image.absolute())
    folder, = Path("runs/hello").glob("*Z-*")
    record = read_json(RunFolder(path=folder).record, "run")
    assert record["outcome"]["state"] == "success" and record["work"] == str(work)
    assert "host.config" not in {Path(config["path"]).name for config in record["configs"]}


def spec(own: Path, path: str, *configs: Path, **environment: str) -> submit.SubmitSpec:
    """What is submitted of a release that is in place, on a machine without an engine."""
    AT.current.parent.mkdir(parents=True, exist_ok=True)
    AT.current.write_text(json.dumps({"pipeline": "hello", "id": "1.0-0123456789ab"}))
    return submit.SubmitSpec(
        pipeline="hello", layout=AT, here=own.parent, seen=Path("seen"), path=path,
        variables={"role": "prod", "pipeline": "hello", "input": "/data/a sheet.csv"},
        environment=environment, own_configs=OwnConfigs(configs=configs), place=InPlace(AT))


@pytest.mark.parametrize(("executor", "line", "how"), [
    ("slurm", "#SBATCH --mem=8G", "sbatch "), ("lsf", "#BSUB -n 1", "bsub < "),
    ("pbspro", "#PBS -l select=1:ncpus=1:mem=8gb", "qsub ")])
def test_a_head_job_is_written_for_the_scheduler_that_a_config_names(
        own: Path, monkeypatch: pytest.MonkeyPatch, executor: str, line: str, how: str) -> None:
    own.write_text(f"process.executor = '{executor}'\n")
    on(monkeypatch, "nfs4")
    said = submit.submit(spec(own, "/nowhere", own, NXF_WORK="/shared/the work"))
    script = AT.submit.read_text()
    assert f"submit it by: {how}{AT.submit.absolute()}" in said
    assert script.startswith("#!/bin/bash -l\n") and line in script.splitlines()
    assert "export NXF_WORK='/shared/the work'\n" in script
    assert (f"exec {own.parent}/doit role=prod site=there pipeline=hello "
            "'input=/data/a sheet.csv' prod:run:hello\n") in script
    assert subprocess.run(["bash", "-n", AT.submit], check=False).returncode == 0


def test_a_scheduler_is_known_by_its_command_and_asked_for_where_there_is_none(
        own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, "nfs4")
    with pytest.raises(ConfigError, match="none of sbatch, bsub, qsub is on the PATH"):
        submit.submit(spec(own, "/nowhere"))
    assert not AT.submit.exists()
    assert "for Slurm" in submit.submit(spec(own, str(slurm.standin(tmp_path / "slurm").folder)))
    on(monkeypatch, "ext4")
    with pytest.raises(HostError, match="slurm runs tasks on other machines"):
        submit.submit(spec(own, str(tmp_path / "slurm")))


def test_a_head_job_starts_the_run_that_was_typed(own: Path, tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    """By the stand-in's sbatch, as by a user's own hand."""
    on(monkeypatch, "nfs4")
    jobs = slurm.standin(tmp_path / "slurm")
    (tmp_path / "doit").write_text("#!/bin/sh\npwd > said; printf '%s\\n' \"$@\" >> said\n")
    (tmp_path / "doit").chmod(0o755)
    submit.submit(spec(own, str(jobs.folder), own))
    subprocess.run([jobs.folder / "sbatch", AT.submit.absolute()], check=True, cwd="/",
                   env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    end = time.monotonic() + 20
    while not (tmp_path / "said").exists() or len((tmp_path / "said").read_text()) < 20:
        assert time.monotonic() < end
        time.sleep(0.1)
    time.sleep(0.2)
    assert (tmp_path / "said").read_text().splitlines() == [
        str(tmp_path), "role=prod", "site=there", "pipeline=hello", "input=/data/a sheet.csv",
        "prod:run:hello"]
