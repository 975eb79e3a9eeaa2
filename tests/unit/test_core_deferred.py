"""Imports that wait: what a stand-in answers for, and what becomes of it."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tasks.core.graph.deferred import Call, Name, deferred, loaded
from tests.unit.test_core_graph import all_tasks

ROOT = Path(__file__).resolve().parents[2]

with deferred():
    from fractions import Fraction

    from tests.unit import conftest as neighbour


def test_nothing_is_imported_until_it_is_loaded() -> None:
    call: Any = Fraction(numerator=1, denominator=2)
    assert isinstance(call, Call)
    assert (call.numerator, call.denominator) == (1, 2)
    assert loaded(call) + loaded(call) == 1
    assert loaded(neighbour.ROOT) == ROOT
    with pytest.raises(ModuleNotFoundError):
        loaded(Name("tests.unit.nosuch.anything"))


def test_the_module_of_a_function() -> None:
    action: Any = neighbour.project
    assert isinstance(action, Name)
    assert (action.module, action.path) == ("tests.unit.conftest", "tests.unit.conftest.project")


def test_what_a_stand_in_does_not_know_is_an_error_at_once() -> None:
    with pytest.raises(AttributeError, match="is not loaded yet, and was given no 'real'"):
        Fraction(numerator=1).real  # noqa: B018
    with pytest.raises(TypeError):
        Fraction(1)
    with pytest.raises(TypeError):
        Path("a", Fraction(numerator=1))  # type: ignore[arg-type]


def test_imports_are_what_they_were_after_a_fault() -> None:
    with pytest.raises(ValueError), deferred():
        raise ValueError
    import fractions
    assert isinstance(fractions, type(sys))


def stand_ins(value: Any) -> list[object]:
    """Those in a spec, in whatever it holds."""
    if isinstance(value, (Call, Name)):
        return [value]
    if dataclasses.is_dataclass(value):
        inner = [getattr(value, field.name) for field in dataclasses.fields(value)]
    elif isinstance(value, Mapping):
        inner = list(value.values())
    else:
        inner = list(value) if isinstance(value, (tuple, list)) else []
    return [found for part in inner for found in stand_ins(part)]


def test_each_step_of_the_graph_loads_to_a_function_and_its_spec(project: Path) -> None:
    for task in all_tasks():
        if task.get("actions"):
            _, action, spec = task["actions"][0][1]
            assert callable(loaded(action)), task
            assert dataclasses.is_dataclass(loaded(spec)), task
            assert stand_ins(loaded(spec)) == [], task


def test_the_graph_is_loaded_without_the_logic_of_its_steps(project: Path) -> None:
    code = ("import sys\nsys.argv = ['doit']\nimport dodo\nlist(dodo.task_airlock())\n"
            "print(*sorted(name for name in sys.modules))")
    for _ in range(2):  # the first one reads and checks the configuration
        names = subprocess.run([sys.executable, "-c", code], check=True, text=True,
                               stdout=subprocess.PIPE, env={"PYTHONPATH": str(ROOT)}).stdout.split()
    heavy = {"jsonschema", "yaml", "rich", "urllib3", "boto3", "docker", "tarfile", "ssl"}
    assert heavy & {*names} == set()
    rooms = {name.split(".")[1] for name in names if name.startswith("tasks.")} - {"core"}
    logic = {name for name in names for room in rooms if name.startswith(f"tasks.{room}.")}
    assert {name for name in logic if not name.endswith((".graph", "_graph"))} == {
        "tasks.code.folder", "tasks.local_site.plugin", "tasks.release.places"}
