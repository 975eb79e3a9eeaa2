"""`profile=` and `config=` on an offline host: what is refused before Nextflow starts."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.config.load import load
from tasks.core.errors import ConfigError
from tasks.core.graph.deferred import loaded
from tasks.core.nextflow import launch
from tasks.core.nextflow.environment import NOTHING
from tasks.core.nextflow.installed import Nextflow
from tasks.offline_host import graph
from tasks.offline_host.own_configs import OwnConfigs

CODE = """
params.custom_config_base = 'https://configs.example.org'
includeConfig "${params.custom_config_base}/lab_custom.config"
includeConfig 'conf/base.config'
profiles { test { params.x = 1 }
           docker { docker.enabled = true } }
"""
TREE = """
profiles { uni_tartu { includeConfig "${params.custom_config_base}/conf/uni_tartu.config" }
           abims { process.queue = 'fast' } }
"""


@pytest.fixture
def ready(tmp_path: Path) -> launch.Launch:
    for path, text in {"code/nextflow.config": CODE, "configs/lab_custom.config": TREE,
                       "code/conf/base.config": "profiles { arm { process.arch = 'arm64' } }",
                       "offline.config": "profiles { offline {} }", "host.config": ""}.items():
        files.write_text(tmp_path / path, text)
    return launch.Launch(
        nextflow=Nextflow(launcher=tmp_path, java=tmp_path, home=tmp_path, inherited=NOTHING),
        code=tmp_path / "code", tree=tmp_path / "configs", params=tmp_path, folder=tmp_path,
        host_params=tmp_path,
        configs=(tmp_path / "offline.config", tmp_path / "host.config"))


def test_a_user_s_configs_come_after_the_host_s_and_before_offline_config(
        ready: launch.Launch, tmp_path: Path) -> None:
    own = (tmp_path / "slurm.config", tmp_path / "mine.config")
    for path in own:
        path.write_text("process.executor = 'slurm'\n")
    applied = OwnConfigs(configs=own).applied(ready)
    assert [path.name for path in applied.configs] == [
        "host.config", "slurm.config", "mine.config", "offline.config"]


def test_profiles_follow_that_of_the_test_run() -> None:
    both = OwnConfigs(profiles=("slurm", "test"))
    assert both.profile("test") == "test,slurm"
    assert both.profile("") == "slurm,test"
    assert OwnConfigs().profile("") == ""


@pytest.mark.parametrize("name", ["test", "docker", "arm", "abims", "uni_tartu", "offline",
                                  "slurm"])
def test_a_profile_of_any_config_that_is_read_is_taken(
        ready: launch.Launch, tmp_path: Path, name: str) -> None:
    own = tmp_path / "own/slurm.config"
    files.write_text(own, "includeConfig 'more.config'\n")
    files.write_text(own.with_name("more.config"), "profiles { slurm { process.cpus = 2 } }\n")
    OwnConfigs(profiles=(name,), configs=(own,)).applied(ready)


@pytest.mark.parametrize(("name", "near"), [("dokcer", "did you mean 'docker'?"),
                                            ("uni-tartu", "did you mean 'uni_tartu'?"),
                                            ("zzzz", "there is no profile 'zzzz'"),
                                            ("a b", "there is no profile 'a b'"),
                                            ("$(x)", "there is no profile")])
def test_one_that_nothing_has_is_refused_with_the_near_ones(
        ready: launch.Launch, name: str, near: str) -> None:
    with pytest.raises(ConfigError) as caught:
        OwnConfigs(profiles=("test", name)).applied(ready)
    assert near in str(caught.value)
    assert "abims, arm, docker, offline, test, uni_tartu" in str(caught.value)


@pytest.mark.parametrize("text", ["includeConfig '/etc/elsewhere.config'\n",
                                  "includeConfig \"${params.where}/x.config\"\n", "x = '''\\n"])
def test_where_not_all_can_be_read_it_is_left_to_nextflow(
        ready: launch.Launch, tmp_path: Path, text: str) -> None:
    (tmp_path / "own.config").write_text(text)
    OwnConfigs(profiles=("elsewhere",), configs=(tmp_path / "own.config",)).applied(ready)
    with pytest.raises(ConfigError, match="no profile 'else where'"):
        OwnConfigs(profiles=("else where",), configs=(tmp_path / "own.config",)).applied(ready)


def test_a_config_that_can_t_be_read_is_named(ready: launch.Launch, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for missing in ("none.config", "folder"):
        with pytest.raises(ConfigError, match="given by config=") as caught:
            OwnConfigs(configs=(tmp_path / missing,)).applied(ready)
        assert str(tmp_path / missing) in str(caught.value)


def test_lists_are_told_by_commas_and_a_test_run_with_them_is_another_one(project: Path) -> None:
    def run(given: dict[str, str]) -> tuple[OwnConfigs, bool]:
        task = next(task for task in graph.tasks(load({"role": "prod", **given}))
                    if task["basename"] == "prod:run" and task["name"] == "hello")
        spec = loaded(task["actions"][0][1][2])
        return spec.own_configs, task["meta"]["recorded"]

    assert run({}) == (OwnConfigs(), True)
    assert run({"profile": "slurm, uni_tartu,", "config": "a.config,/b.config"}) == (OwnConfigs(
        profiles=("slurm", "uni_tartu"), configs=(project / "a.config", Path("/b.config"))), False)
    assert run({"profile": "slurm", "input": "x.csv"})[0].profiles == ("slurm",)


def test_a_host_s_limits_are_none_of_tasks_on_other_machines(
        ready: launch.Launch, tmp_path: Path) -> None:
    """What a pipeline's own config says of such params stays."""
    host, params = tmp_path / "run/host.params.json", tmp_path / "run/params.json"
    files.write_json(host, {"max_cpus": 2, "max_memory": "900.MB", "custom_config_base": "/c"})
    files.write_json(params, {"max_cpus": 48, "max_memory": "900.MB", "input": "/a.csv"})
    elsewhere = launch.without_limits(dataclasses.replace(ready, params=params, host_params=host))
    assert json.loads(elsewhere.host_params.read_bytes()) == {"custom_config_base": "/c"}
    assert json.loads(elsewhere.params.read_bytes()) == {"max_cpus": 48, "input": "/a.csv"}
    assert [path.name for path in elsewhere.configs] == ["offline.config"]
    assert "max_cpus" in host.read_text()  # for the next run on this host


def test_where_image_files_lie_holds_over_a_user_s_configs(
        ready: launch.Launch, tmp_path: Path) -> None:
    (tmp_path / "own.config").write_text("apptainer.libraryDir = '/elsewhere'\n")
    placed = dataclasses.replace(ready, configs=(
        *ready.configs, tmp_path / "engine.config", tmp_path / "images.config"))
    applied = OwnConfigs(configs=(tmp_path / "own.config",)).applied(placed)
    assert [path.name for path in applied.configs] == [
        "host.config", "engine.config", "own.config", "offline.config", "images.config"]
