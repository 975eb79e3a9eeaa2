"""A run that goes on after a failure: what is run, what is not, and what is remembered."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from doit import cmd_run
from doit.cmd_base import ModuleTaskLoader
from doit.doit_cmd import DoitMain
from doit.exceptions import TaskFailed

from tasks.core.graph import runner
from tasks.core.graph.reporter import Reporter


@pytest.fixture(params=["0", "3"])
def parallel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How many threads; doit's own runners are put back afterwards."""
    monkeypatch.setattr(cmd_run, "Runner", cmd_run.Runner)
    monkeypatch.setattr(cmd_run, "MThreadRunner", cmd_run.MThreadRunner)
    runner.use()
    return str(request.param)


NOTICES = {(): {"start", "done", "notice", "warning", "shown"},
           ("-v", "1"): {"start", "done", "warning", "shown"},
           ("-v", "0"): {"shown"}, ("-q",): {"shown"}}


@pytest.mark.parametrize(("words", "expected"), NOTICES.items(), ids=map(" ".join, NOTICES))
def test_as_many_notices_as_are_asked_for(
        words: tuple[str, ...], expected: set[str], tmp_path: Path, parallel: str,
        capsys: pytest.CaptureFixture[str]) -> None:
    def act() -> str:
        logger = logging.getLogger("tasks.room.act")
        logger.info("notice")
        logger.warning("warning")
        print("shown")
        return ""

    loader = ModuleTaskLoader({
        "task_one": lambda: {"actions": [act], "verbosity": 2, "io": {"capture": False}},
        "DOIT_CONFIG": {"dep_file": str(tmp_path / "state.db"), "backend": "sqlite3",
                        "reporter": Reporter, "par_type": "thread"}})
    command = {"COMMAND": {"run": "tasks.core.graph.run:Run"}}
    assert DoitMain(loader, extra_config=command).run([
        "run", "-n", parallel, "-o", str(tmp_path / "out"), *words]) == 0
    captured = capsys.readouterr()
    shown = captured.err + captured.out + (tmp_path / "out").read_text()
    assert expected == {word for word in ("start", "done", "notice", "warning", "shown")
                        if word in shown}


def run(folder: Path, parallel: str, ran: list[str], fails: set[str]) -> int:
    """Run servers <- images <- release, and code beside them; `fails` fail."""
    def act(name: str) -> Any:
        ran.append(name)
        if name in fails:
            return TaskFailed(f"{name} is broken")
        (folder / name).write_text(name)
        return True

    def step(name: str, needs: tuple[str, ...] = (), setup: tuple[str, ...] = ()) -> dict[str, Any]:
        return {"basename": name, "actions": [(act, [name])], "setup": list(setup),
                "file_dep": [str(folder / need) for need in needs], "targets": [str(folder / name)],
                "uptodate": [True] if name != "servers" else [False], "io": {"capture": False}}

    def task_all() -> Iterator[dict[str, Any]]:
        yield step("servers")
        yield step("images", setup=("servers",))
        yield step("release", needs=("images",))
        yield step("code")

    settings = {"dep_file": str(folder / "state.db"), "backend": "sqlite3", "continue": True,
                "reporter": Reporter, "par_type": "thread",
                "default_tasks": ["release", "images", "code"]}
    loader = ModuleTaskLoader({"task_all": task_all, "DOIT_CONFIG": settings})
    return int(DoitMain(loader).run(["run", "-n", parallel]))


def test_what_needs_a_failed_server_is_not_run_and_the_rest_is(
        tmp_path: Path, parallel: str, capsys: pytest.CaptureFixture[str]) -> None:
    ran: list[str] = []
    assert run(tmp_path, parallel, ran, {"servers"}) == 1
    assert sorted(ran) == ["code", "servers"]
    errors = capsys.readouterr().err
    assert "FAILED servers: servers is broken" in errors
    assert errors.splitlines()[-2:] == ["FAILED, as shown above: servers",
                                      "not run, since that comes before: images, release"]


def test_a_step_that_was_not_run_is_as_fresh_as_before(tmp_path: Path, parallel: str,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    ran: list[str] = []
    assert run(tmp_path, parallel, ran, set()) == 0
    assert sorted(ran) == ["code", "images", "release", "servers"]
    (tmp_path / "images").unlink()
    ran.clear()
    assert run(tmp_path, parallel, ran, {"images"}) == 1
    assert sorted(ran) == ["images", "servers"]
    assert "not run, since that comes before: release" in capsys.readouterr().err
    ran.clear()
    assert run(tmp_path, parallel, ran, set()) == 0
    assert sorted(ran) == ["images", "servers"]  # the same bytes again: the release stays


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_looked_at_first_comes_before_every_step_once_and_stops_all(
        tmp_path: Path, parallel: str, capsys: pytest.CaptureFixture[str], fails: bool) -> None:
    ran: list[str] = []

    def act(name: str) -> object:
        ran.append(name)
        return TaskFailed("a wrong password") if fails and name == "look" else None

    def task(name: str, **more: object) -> object:
        return lambda: {"actions": [(act, [name])], "targets": [str(tmp_path / name)],
                        "uptodate": [(tmp_path / name).is_file()], **more}

    loader = ModuleTaskLoader({
        "task_servers": task("servers"), "task_one": task("one"), "task_two": task("two"),
        "task_last": task("last", task_dep=["one", "two"], setup=["servers"]),
        "task_look": lambda: {"actions": [(act, ["look"])], "uptodate": [False],
                              "setup": ["servers"], "meta": {"first": True}},
        "DOIT_CONFIG": {"dep_file": str(tmp_path / "state.db"), "backend": "sqlite3",
                        "reporter": Reporter, "par_type": "thread", "continue": True,
                        "default_tasks": ["last"]}})
    command = {"COMMAND": {"run": "tasks.core.graph.run:Run"}}
    status = DoitMain(loader, extra_config=command).run(["run", "-n", parallel])
    assert status == (1 if fails else 0)
    assert ran[:2] == ["servers", "look"]
    assert sorted(ran[2:]) == ([] if fails else ["last", "one", "two"])
    said = capsys.readouterr().err
    assert said.count("a wrong password") == (1 if fails else 0)
    ran.clear()
    assert DoitMain(loader, extra_config=command).run(["run", "-n", parallel, "one"]) == 0
    assert "look" not in ran
    for name in ("one", "two", "last", "servers"):
        (tmp_path / name).touch()
    ran.clear()
    assert DoitMain(loader, extra_config=command).run(["run", "-n", parallel]) == 0
    assert ran == []


@pytest.mark.parametrize(("words", "expected"), [((), ["check", "big"]), (("big",), ["big"])])
def test_a_check_of_the_whole_comes_first_where_no_task_is_named(
        words: tuple[str, ...], expected: list[str], tmp_path: Path, parallel: str) -> None:
    ran: list[str] = []

    def act(name: str) -> None:
        ran.append(name)

    loader = ModuleTaskLoader({
        "task_check": lambda: {"actions": [(act, ["check"])], "uptodate": [False]},
        "task_big": lambda: {"actions": [(act, ["big"])], "targets": [str(tmp_path / "big")],
                             "uptodate": [(tmp_path / "big").is_file()],
                             "meta": {"in_all": ["check"]}},
        "DOIT_CONFIG": {"dep_file": str(tmp_path / "state.db"), "backend": "sqlite3",
                        "reporter": Reporter, "par_type": "thread", "default_tasks": ["big"]}})
    command = {"COMMAND": {"run": "tasks.core.graph.run:Run"}}
    assert DoitMain(loader, extra_config=command).run(["run", "-n", parallel, *words]) == 0
    assert ran == expected
    ran.clear()
    (tmp_path / "big").touch()
    assert DoitMain(loader, extra_config=command).run(["run", "-n", parallel, *words]) == 0
    assert ran == []  # what is fresh asks for nothing


def test_a_fault_that_several_steps_meet_is_told_once(
        tmp_path: Path, parallel: str, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(where: str, what: str = "no connection to the store") -> object:
        return lambda: {"actions": [lambda: TaskFailed(
            f"{what}\n  where: s3://b: {where}\n  to do: check it")]}

    loader = ModuleTaskLoader({
        "task_one": fail("one"), "task_two": fail("two"), "task_three": fail("three", "denied"),
        "DOIT_CONFIG": {"dep_file": str(tmp_path / "state.db"), "backend": "sqlite3",
                        "reporter": Reporter, "par_type": "thread", "continue": True}})
    command = {"COMMAND": {"run": "tasks.core.graph.run:Run"}}
    assert DoitMain(loader, extra_config=command).run(["run", "-n", parallel]) == 1
    said = capsys.readouterr().err
    assert said.count("no connection to the store") == said.count("denied") == 1
    assert said.count(", above\n") == 1
    assert all(name in said for name in ("FAILED one", "FAILED two", "FAILED three"))


def test_a_step_that_was_not_run_tells_what_that_leaves(
        tmp_path: Path, parallel: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Once, by the names of what failed before it, whether that is a check or makes a file."""
    def fail() -> TaskFailed:
        return TaskFailed("it is broken")

    made = tmp_path / "made"
    loader = ModuleTaskLoader({
        "task_check": lambda: {"actions": [fail], "targets": [str(made)]},
        "task_promote": lambda: {
            "actions": [lambda: True], "setup": ["check"], "file_dep": [str(made)],
            "meta": {"left": lambda failed: f"it is left, since {', '.join(failed)} failed"}},
        "task_quiet": lambda: {"actions": [lambda: True], "setup": ["check"],
                               "meta": {"left": lambda failed: None}},
        "DOIT_CONFIG": {"dep_file": str(tmp_path / "state.db"), "backend": "sqlite3",
                        "reporter": Reporter, "par_type": "thread", "continue": True}})
    command = {"COMMAND": {"run": "tasks.core.graph.run:Run"}}
    assert DoitMain(loader, extra_config=command).run(["run", "-n", parallel]) == 1
    said = capsys.readouterr().err
    assert said.endswith("\n\nit is left, since check failed\n")
    assert "None" not in said
