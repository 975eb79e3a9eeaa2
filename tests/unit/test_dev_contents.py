"""The table of what pipelines carry: from their files, and a dash for what isn't built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.core.config.load import load
from tasks.core.graph import rooms
from tasks.core.paths import PipelinePaths
from tasks.dev.contents import ContentsSpec, contents
from tasks.dev.graph import READ
from tests.kit import releases as staged
from tests.kit.graph import Build


def all_fresh() -> dict[str, str]:
    return {f"{step}:{pipeline}": "fresh" for step in READ for pipeline in ("hello", "none")}


def test_a_row_says_what_is_built_and_what_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    here = staged.stage().layout
    here.plugins_list.write_text("nf-a@1.0.0\nnf-b@2.0.0\n")
    done = contents(ContentsSpec(layouts=(here, PipelinePaths(site="here", pipeline="none")),
                                 runtimes=("24.10.5", "25.10.4"), standing=all_fresh()))
    assert done.startswith("2 pipelines, 1 of them not built as the configuration stands now")
    *_, hello, none = capsys.readouterr().out.splitlines()
    cells = [cell.strip() for cell in hello.strip("|").split("|")]
    assert cells[:3] == ["hello", "dev", "24.10.5"]
    assert cells[3].startswith("1, ")
    assert cells[4:] == ["nf-a@1.0.0, nf-b@2.0.0", "2 files, 30 B", "0 of 0"]
    assert none == "| none | – | 25.10.4 | – | – | – | – |"


@pytest.mark.parametrize(("step", "cells"), [
    ("stage", {1}), ("images:list", {3}), ("plugins:cache", {4}), ("mirror:data", {5}),
    ("reach", {6})])
def test_what_is_of_another_state_is_a_dash(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
        step: str, cells: set[int]) -> None:
    monkeypatch.chdir(tmp_path)
    layout = staged.stage().layout
    for state in ("stale", "behind", "-", ""):
        contents(ContentsSpec(layouts=(layout,), runtimes=("24.10.5",),
                              standing={**all_fresh(), f"{step}:hello": state}))
        *_, line = capsys.readouterr().out.splitlines()
        row = [cell.strip() for cell in line.strip("|").split("|")]
        assert {at for at, cell in enumerate(row) if cell == "–"} == cells


def test_a_lock_that_may_be_another_ones_gives_no_size(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
        ) -> None:
    monkeypatch.chdir(tmp_path)
    layout = staged.stage().layout
    contents(ContentsSpec(layouts=(layout,), runtimes=("24.10.5",),
                          standing={**all_fresh(), "images:lock:hello": "stale"}))
    assert "| hello | dev | 24.10.5 | 1 |" in capsys.readouterr().out


def tasks() -> list[dict[str, Any]]:
    return list(rooms.tasks(load({})))


def test_a_new_revision_stands_beside_no_old_plugins(project: Path) -> None:
    """The step is told by doit's own state which files are of the code that is staged now."""
    Build(tasks(), project / "state.db").declare_done()

    def states() -> dict[str, str]:
        build = Build(tasks(), project / "state.db")
        task = build.control.tasks["dev:contents"]
        assert build.dependency.get_status(task, build.control.tasks).status == "run"
        spec = task.actions[0].args[2]
        assert spec.standing.value.keys() == {f"{step}:hello" for step in READ}
        return {name.removesuffix(":hello"): state for name, state in spec.standing.value.items()}

    assert set(states().values()) == {"fresh"}
    with (project / "examples/hello/main.nf").open("a") as code:
        code.write("// another revision\n")
    assert states()["stage"] == "stale" and set(states().values()) == {"stale", "behind"}
    Path("build/local/hello/code.tar").write_text("another revision")
    Build(tasks(), project / "state.db").succeed("stage:hello")
    now = states()
    assert now["stage"] == "fresh"
    assert "fresh" not in {now[step] for step in set(READ) - {"stage"}}
