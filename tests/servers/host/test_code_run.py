"""What each step of a crossing really runs is what makes it stale."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core.graph import action_code
from tasks.core.graph.action_code import ActionCode
from tests.kit.project import Project, copy
from tests.kit.recorder import Ran, record, recorded

AROUND = ("tasks/core/graph/",)
"""What runs an action, and is not run by it."""
CROSSED = {"stage:hello", "images:list:hello", "mirror:data:hello", "release:hello", "push:tool",
           "sandbox:cross:hello", "prod:fetch:hello", "prod:bootstrap:hello", "prod:run:hello"}
"""Some of the steps, of which records must have come: from here, and from the offline host."""


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project that went all the way, one step at a time, each with a record of what it ran."""
    project = copy(tmp_path_factory.mktemp("recorded"), number=53)
    record(project.root)
    try:
        project.doit("-n", "0")
        project.doit("-n", "0", "images:plan", "images:verify", "data:plan", "dev:contents",
                     "images:layout", "images:inspect")
        yield project
    finally:
        project.doit("sandbox:down", check=False)


@pytest.fixture(scope="module")
def ran(crossed: Project) -> dict[str, Ran]:
    host = crossed.root / "build/local/sandbox/host/disk/hello/airlock"
    return {**recorded(crossed.root), **recorded(host)}


def code_of(step: str, ran: Ran) -> set[str]:
    """What the record says; a step that carries the project opens all of it, as its input."""
    paths = ran.called | (frozenset() if step == "tool" else ran.opened)
    return {path for path in paths if not path.startswith(AROUND)}


def test_each_step_runs_only_what_is_known_of_it(crossed: Project, ran: dict[str, Ran]) -> None:
    assert set(ran) >= CROSSED
    code = ActionCode(crossed.root / "code", crossed.root)
    empty = {path.relative_to(crossed.root).as_posix()
             for path in crossed.root.glob("tasks/**/__init__.py")
             if path.read_text().count('"""') in (0, 2)}
    unknown = {step: code_of(step, run) - empty - {*code.run_by(run.module)}
               for step, run in ran.items()}
    assert not any(unknown.values()), {step: paths for step, paths in unknown.items() if paths}


def test_each_file_makes_stale_all_steps_that_ran_it(
        crossed: Project, ran: dict[str, Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action_code, "SETTLED", -10**18)
    code = ActionCode(crossed.root / "code", crossed.root)
    before = {step: code.digest(run.module) for step, run in ran.items()}
    fresh = {}
    for name in {path for step, run in ran.items() for path in code_of(step, run)}:
        path: Path = crossed.root / name
        text = path.read_text()
        path.write_text(f"{text}\n#")
        code = ActionCode(crossed.root / "code", crossed.root)
        left = {step for step, run in ran.items() if name in code_of(step, run)
                and code.digest(run.module) == before[step]}
        path.write_text(text)
        if left and "\n" in text.strip():  # a docstring alone runs nothing
            fresh[name] = left
    assert not fresh
