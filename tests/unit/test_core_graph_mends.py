"""Steps of an offline host, where several runs keep one state: what is run, and what is fresh."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tasks.core.graph.step import step
from tests.kit.graph import Build


@dataclass(frozen=True, kw_only=True)
class CopySpec:
    pipeline: str
    source: Path
    target: Path


def copy_file(spec: CopySpec) -> None:
    spec.target.write_text(spec.source.read_text())


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        Path(name).write_text("x")


def copying(**more: Any) -> dict[str, Any]:
    return step("one:p", "", copy_file, CopySpec(pipeline="p", source=Path("a"), target=Path("b")),
                needs=[Path("a")], makes=[Path("b")], **more)


def test_what_mends_runs_each_time_and_is_listed_by_what_it_made() -> None:
    Build([copying(mends=True)], Path("state.db")).succeed("one:p")
    build = Build([copying(mends=True)], Path("state.db"))
    assert build.states()["one:p"] == "fresh"
    build.dependency.backend.is_run = True
    task = build.control.tasks["one:p"]
    assert build.dependency.get_status(task, build.control.tasks).status == "run"
    Path("a").write_text("y")
    assert Build([copying(mends=True)], Path("state.db")).states()["one:p"] == "stale"


def test_a_step_is_fresh_for_what_it_ran_on_and_not_for_what_came_meanwhile() -> None:
    """Another process writes the file that this one's step has read."""
    def running(digest: str) -> Build:
        return Build([copying(on=lambda: digest)], Path("state.db"))

    running("old").succeed("one:p")
    assert running("old").states()["one:p"] == "fresh"
    assert running("new").states()["one:p"] == "stale"


def test_a_failure_leaves_no_transaction_open_that_others_would_wait_for() -> None:
    first = Build([copying()], Path("state.db"))
    first.succeed("one:p")
    first.dependency.remove_success(first.control.tasks["one:p"])
    other = Build([copying()], Path("state.db"))
    other.dependency.backend._conn.execute("pragma busy_timeout = 0")
    other.succeed("one:p")
