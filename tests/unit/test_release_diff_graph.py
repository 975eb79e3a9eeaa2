"""What `release:diff` builds before it looks: nothing that moves anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.core.config.load import load
from tasks.core.errors import ConfigError
from tasks.core.graph import rooms
from tests.kit.graph import Build


def built_before(variables: dict[str, str]) -> set[str]:
    """All steps that run before release:diff:hello, where none is fresh."""
    build = Build(list(rooms.tasks(load(variables))), Path("state.db"))
    waiting, reached = ["release:diff:hello"], set()
    while waiting:
        task: Any = build.control.tasks[waiting.pop()]
        for name in (*task.task_dep, *task.setup_tasks):
            if name not in reached:
                reached.add(name)
                waiting.append(name)
    return {name for name in reached if not name.startswith("sandbox")}


def test_no_more_is_built_than_code_config_and_the_images_lock(project: Path) -> None:
    assert built_before({}) == {f"{verb}:hello" for verb in (
        "stage", "runtime", "resolve", "images:list", "images:lock")}


def test_two_releases_of_the_store_need_nothing_built(project: Path) -> None:
    assert built_before({"from": "1.0", "to": "1.1"}) == set()
    assert built_before({"from": "now", "to": "1.1"}) == built_before({})


def test_data_is_not_fetched_where_it_takes_a_run_to_know_the_images(project: Path) -> None:
    """The list of images would ask `nextflow inspect`, which reads the data."""
    (project / "build/local/hello").mkdir(parents=True)
    (project / "build/local/hello/images.unknown.txt").write_text("A: only a run tells\n")
    assert built_before({}) == {"stage:hello", "runtime:hello", "resolve:hello"}


def test_institutional_configs_are_staged_for_it(project: Path) -> None:
    text = (project / "config/pipelines/hello.yml").read_text()
    (project / "config/pipelines/hello.yml").write_text(
        f"{text}configs: {{source: https://git.example.org/configs, revision: main}}\n")
    assert "stage:configs:hello" in built_before({})


def test_the_names_of_the_sides_are_the_only_ones(project: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'from'"):
        load({"form": "1.0"})
