"""The graph of a site whose releases carry the images: nothing asks a registry on this side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.core import rooms
from tasks.core.config_load import load
from tests.kit.graph import Build

ASKS_THE_REGISTRY = {"images:plan", "images:mirror", "images:verify", "dev:smoke", "push:smoke"}


def tasks(*, role: str = "online") -> list[dict[str, Any]]:
    return list(rooms.tasks(load({"role": role})))


@pytest.fixture
def carried(project: Path) -> Path:
    path = project / "config/sites/local.yml"
    raw = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**raw, "images": {"carry": "store"}}))
    return project


def steps(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {task["basename"]: task for task in found if task.get("name")}


def test_archives_are_made_only_when_asked(project: Path) -> None:
    build = Build(tasks(), project / "state.db")
    save = build.control.tasks["images:save:hello"]
    assert str(Path("build/local/hello/oci/index.json")) in save.file_dep
    sign = build.control.tasks["images:sign:hello"]
    assert set(sign.file_dep) & set(save.targets)
    asked = ("images:save", "images:sign")
    needed = {name for task in tasks() if task["basename"] not in asked
              for name in [*task.get("file_dep", []), *task.get("task_dep", [])]}
    assert not needed & {*asked, *save.targets, *sign.targets}
    assert build.states()["images:sign:hello"] == "-"
    build.declare_done()
    assert build.states()["images:save:hello"] == "-"  # never counts as stale


def test_what_asks_the_registry_is_there_only_where_it_spans_the_gap(project: Path) -> None:
    assert set(steps(tasks())) >= ASKS_THE_REGISTRY
    assert "images:load" not in steps(tasks(role="prod"))


def test_the_store_carries_the_layout_and_the_offline_side_loads_it(carried: Path) -> None:
    online, offline = steps(tasks()), steps(tasks(role="prod"))
    assert not set(online) & ASKS_THE_REGISTRY
    root = "build/local/hello"
    assert {f"{root}/oci/index.json", f"{root}/oci/oci-layout"} <= set(
        online["release"]["file_dep"])
    assert f"{root}/images.receipt.json" in online["images:layout"]["targets"]
    assert offline["images:load"]["targets"][0] in offline["prod:bootstrap"]["file_dep"]
    assert offline["images:load"]["file_dep"] == offline["prod:fetch"]["targets"]
    build = Build([*tasks(), *tasks(role="prod")], carried / "state.db")
    build.declare_done()  # everything that a step needs is made by some step
    assert set(build.states().values()) <= {"fresh", "-"}
