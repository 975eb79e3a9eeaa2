"""Where the tool's own code changed, `list` and `info` name the files that did."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tasks.core.graph.action_code import ActionCode
from tasks.core.graph.deferred import Name
from tasks.core.graph.step import step
from tests.kit.graph import Build

BREW, WATER = Path("tasks/kitchen/brew.py"), Path("tasks/core/water.py")


@dataclass(frozen=True, kw_only=True)
class Tea:
    pipeline: str
    leaves: str = "green"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one room, whose code is that of a step."""
    monkeypatch.chdir(tmp_path)
    for path, text in ((BREW, "from tasks.core import water\n"), (WATER, "BOILS = 100\n"),
                       (Path("schemas/x.schema.json"), "{}")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def built(name: str = "brew:tea", leaves: str = "green") -> Build:
    build = Build([step(name, "", Name("tasks.kitchen.brew.brew"),  # type: ignore[arg-type]
                        Tea(pipeline="tea", leaves=leaves))], Path("state.db"))
    build.dependency.backend.code = ActionCode(Path("code.json"), Path.cwd())
    return build


def done(**changed: Any) -> None:
    build = built(**changed)
    build.succeed("brew:tea")
    build.dependency.close()


def said(**changed: Any) -> list[str]:
    return built(**changed).reasons().own("brew:tea")


def noted() -> int:
    with closing(sqlite3.connect("state.db")) as state:
        return int(state.execute("select count(*) from code").fetchone()[0])


def test_the_changed_file_is_named() -> None:
    done()
    assert built().states()["brew:tea"] == "fresh"
    WATER.write_text("BOILS = 99\n")
    assert said() == ["code of brew changed: tasks/core/water.py"]
    assert said(leaves="black") == ["leaves green → black",
                                    "code of brew changed: tasks/core/water.py"]


def test_a_step_s_own_module_and_room_come_first_and_of_many_files_some() -> None:
    done()
    BREW.write_text("from tasks.core import water, cup\nfrom tasks.kitchen import spoon\n")
    for path in (WATER, Path("tasks/core/cup.py"), Path("tasks/kitchen/spoon.py")):
        path.write_text("SIZE = 1\n")
    assert said() == ["code of brew changed: tasks/kitchen/brew.py, tasks/kitchen/spoon.py, "
                      "tasks/core/cup.py and 1 more"]
    done()
    Path("tasks/core/cup.py").unlink()
    assert said() == ["code of brew changed: tasks/core/cup.py"]


def test_what_was_noted_before_files_were_is_said_without_them() -> None:
    done()
    with closing(sqlite3.connect("state.db")) as state:
        state.execute("drop table code")
        state.commit()
    WATER.write_text("BOILS = 98\n")
    assert said() == ["code of brew changed"]


def test_files_are_noted_once_for_code_that_steps_are_noted_with() -> None:
    done()
    done()
    assert noted() == 1
    WATER.write_text("BOILS = 97\n")
    done()
    assert noted() == 1
    assert built().states()["brew:tea"] == "fresh"


def test_code_that_is_written_while_a_step_runs_is_not_noted_as_what_ran() -> None:
    build = built()
    build.states()
    code = build.dependency.backend.code
    code.digest("tasks.kitchen.brew")
    code._contents[str(WATER)]["sha256"] = "0" * 64  # another than when it was asked first
    assert code.digests_of("tasks.kitchen.brew") == {}
