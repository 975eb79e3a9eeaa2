"""Two checkouts of this project and one configuration: what an upgrade makes anew, and what not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.kit.git import Repository, git
from tests.kit.project import Project, copy, steps

STEPS = ("stage:weigh", "images:list:weigh")
"""What needs no server, and no more of the machine than git."""


@pytest.fixture
def upstream(tmp_path: Path) -> Repository:
    """The pipeline's repository, with a branch that moves."""
    folder = tmp_path / "upstream"
    folder.mkdir()
    made = Repository(folder)
    made.commit(**{"main.nf": "workflow {}\n", "nextflow.config": "profiles { test {} }\n"})
    made.push()
    return made


@pytest.fixture
def config(tmp_path: Path, upstream: Repository) -> Path:
    """A configuration in a repository of its own, in a folder with a blank."""
    folder = tmp_path / "our config"
    sites, pipelines = folder / "sites", folder / "pipelines"
    sites.mkdir(parents=True)
    pipelines.mkdir()
    (sites / "lab.yml").write_text(yaml.safe_dump({
        "pipelines": ["weigh"], "platform": "linux/amd64", "python": ["3.11"],
        "registry": {"host": "registry.invalid"}, "plugins": {"index": "https://h.invalid/plugins.json"},
        "store": {"url": "carried"}, "signing": {"key": "/nowhere/key", "identity": "lab"},
        "offline": {"trust": "/etc/airlock"}, "smoke": "none", "isolation": "none"}))
    (pipelines / "weigh.yml").write_text(yaml.safe_dump({
        "source": upstream.bare.as_uri(), "revision": "main", "profile": "test",
        "nextflow": {"version": "24.10.5",
                     "coordinates": ["io.nextflow:nextflow:24.10.5"]}, "data": {"rows": 0}}))
    git("init", "-q", "-b", "main", at=folder)
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    git("add", "-A", at=folder)
    git("commit", "-qm", "as it is now", at=folder)


def states(project: Project, config: Path) -> dict[str, str]:
    done = project.doit("list", "--json", env={"AIRLOCK_CONFIG": str(config)})
    return {task["task"]: task["state"] for task in json.loads(done.stdout)
            if task["task"] in STEPS}


def upgrade(project: Project) -> None:
    """What a newer version may bring that these steps have nothing to do with."""
    for path, more in (("config/offline.config", "// more\n"), ("README.md", "more\n"),
                       ("tasks/batch/causes.py", "MORE = 1\n"),
                       ("config/pipelines/demo.yml", "# more\n")):
        with (project.root / path).open("a") as stream:
            stream.write(more)


def test_an_upgrade_makes_anew_what_has_changed_and_nothing_else(
        tmp_path: Path, config: Path, upstream: Repository) -> None:
    env = {"AIRLOCK_CONFIG": str(config)}
    old = copy(tmp_path / "old", number=7)
    assert set(STEPS) <= steps(old.doit(*STEPS, env=env).stdout)
    lock = config / "locks/weigh/code.json"
    assert json.loads(lock.read_text())["commit"] == upstream.git("rev-parse", "HEAD")
    assert not (old.root / "config/locks/weigh").exists()
    commit(config)
    assert "nothing to do" in old.doit(*STEPS, env=env).stdout
    upgrade(old)  # a `git pull` there
    assert states(old, config) == dict.fromkeys(STEPS, "fresh")
    assert git("status", "--porcelain", at=config) == ""

    new = copy(tmp_path / "new", number=8)  # a second checkout, which takes the first one's place
    upgrade(new)
    shutil.rmtree(new.root / "build")
    (old.root / "build").rename(new.root / "build")
    assert states(new, config) == dict.fromkeys(STEPS, "fresh")
    assert "nothing to do" in new.doit(*STEPS, env=env).stdout

    (config / "pipelines/weigh.yml").write_text(
        (config / "pipelines/weigh.yml").read_text().replace("profile: test", "profile: other"))
    assert states(new, config) == {"stage:weigh": "fresh", "images:list:weigh": "stale"}


def test_a_second_checkout_goes_by_the_locks_of_the_configuration(
        tmp_path: Path, config: Path, upstream: Repository) -> None:
    env = {"AIRLOCK_CONFIG": str(config)}
    copy(tmp_path / "old", number=7).doit("stage:weigh", env=env)
    locked = upstream.git("rev-parse", "HEAD")
    upstream.commit(**{"main.nf": "workflow { println 'moved' }\n"})
    upstream.push()
    refused = copy(tmp_path / "new", number=8).doit("stage:weigh", env=env, check=False)
    lock = config / "locks/weigh/code.json"
    assert refused.returncode
    assert f"where: {lock}" in refused.stdout
    assert f"locked: {locked}" in refused.stdout
    assert json.loads(lock.read_text())["commit"] == locked


def test_what_it_hides_and_what_is_wrong_with_it_is_said_as_it_is_typed(
        tmp_path: Path, config: Path) -> None:
    project = copy(tmp_path / "here", number=7)
    shutil.copy(project.root / "config/offline.config", config / "offline.config")
    (project.root / ".env").write_text(f"AIRLOCK_CONFIG='{config}'\n")
    assert (f"{config}/offline.config is used, and hides the bundled config/offline.config"
            in project.doit("dev:contents").stdout)
    gone = project.doit("list", env={"AIRLOCK_CONFIG": str(config / "gone")}, check=False)
    assert gone.returncode == 3
    assert "there is no such folder" in gone.stdout
    assert f"where: AIRLOCK_CONFIG: {config}/gone" in gone.stdout
    assert "Traceback" not in gone.stdout
