"""A copy of a bundled example has any name, and gets what the local site offers to that one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.core import config_places, files
from tasks.core.config.load import load
from tasks.core.config.settings import Config
from tasks.core.graph import examples, rooms


@pytest.fixture
def own(project: Path, tmp_path_factory: pytest.TempPathFactory,
        monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A configuration of one's own, without a pipeline yet."""
    del project
    folder = tmp_path_factory.mktemp("own")
    (folder / "pipelines").mkdir()
    monkeypatch.setenv("AIRLOCK_CONFIG", str(folder))
    yield folder
    config_places.use(None)


def write(own: Path, name: str, source: str, **more: str) -> None:
    raw = yaml.safe_load(Path("config/pipelines/hello.yml").read_text())
    files.write_text(own / f"pipelines/{name}.yml", yaml.safe_dump({
        **raw, "source": source, **more}))


def tasks(config: Config) -> dict[str, dict[str, Any]]:
    return {":".join(filter(None, (task["basename"], task.get("name")))): task
            for task in rooms.tasks(config)}


def waits(config: Config, pipeline: str) -> bool:
    """Whether its plugins wait for hello's, which is made then."""
    steps = tasks(config)
    waiting = "sandbox:plugin" in steps[f"plugins:cache:{pipeline}"]["task_dep"]
    assert waiting == ("sandbox:plugin" in steps)
    return waiting


def test_hello_under_another_name_gets_its_plugin(own: Path) -> None:
    shutil.copytree("examples/hello", own / "code/greet")
    write(own, "greet", "code/greet")
    config = load({"site": "local", "pipeline": "greet"})
    assert waits(config, "greet")
    needed = tasks(config)["sandbox:plugin"]["file_dep"]
    assert any("/greet/nextflow-24.10.5.tar" in path for path in needed), needed


def test_so_does_the_one_that_the_local_site_has_in_git(own: Path) -> None:
    write(own, "greet", "https://git.example.org/hello.git", revision="1.0.0")
    assert waits(load({"site": "local", "pipeline": "greet"}), "greet")


def test_what_is_called_hello_and_asks_for_nothing_gets_none(own: Path) -> None:
    files.write_text(own / "code/nextflow.config", "profiles { test {} }\n")
    write(own, "hello", "code")
    assert not waits(load({"site": "local", "pipeline": "hello"}), "hello")
    write(own, "none", "code/there/is/none")
    assert not waits(load({"site": "local", "pipeline": "none"}), "none")


def test_chromapipe_under_another_name_gets_its_structures(own: Path) -> None:
    shutil.copytree("examples/chromapipe", own / "code/fold")
    write(own, "fold", "code/fold")
    for name, asked in (("fold", True), ("chromapipe", True), ("hello", False)):
        config = load({"site": "local", "pipeline": name})
        assert bool(examples.asking(examples.CHROMAPIPE, config)) == asked
        assert tasks(config)["sandbox:up"]["actions"][0][1][2].fields["chromapipe"] == asked


def test_a_site_without_servers_of_its_own_offers_nothing(own: Path) -> None:
    raw = yaml.safe_load(Path("config/sites/local.yml").read_text())
    raw.pop("sandbox")
    files.write_text(own / "sites/lab.yml", yaml.safe_dump({**raw, "pipelines": ["hello"]}))
    assert not waits(load({"site": "lab"}), "hello")
