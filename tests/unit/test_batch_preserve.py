"""What differs between two runs, and between two resolved configs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest

from tasks.batch import preserve_run
from tasks.batch.preserve import differences as settings
from tasks.batch.preserve_run import Outcome, differences
from tasks.core import files

TASK = {"exit": "0", "cpus": "1", "memory": "4", "command": "a"}


def outcome(tasks: Mapping[str, Mapping[str, str]], results: Mapping[str, str],
            folder: Path = Path()) -> Outcome:
    return Outcome(tasks=tasks, results=results, folder=folder)


def test_equal_runs_differ_in_nothing() -> None:
    run = outcome({"A (1)": TASK}, {"out.txt": "1"})
    assert list(differences(run, run)) == []


@pytest.mark.parametrize(("tasks", "results", "expected"), [
    ({"A": {**TASK, "cpus": "2"}}, {"o": "1"}, "task A: cpus was 1, is 2"),
    ({"A": {**TASK, "memory": "8"}}, {"o": "1"}, "task A: memory was 4, is 8"),
    ({"A": {**TASK, "command": "b"}}, {"o": "1"}, "task A: command was a, is b"),
    ({}, {"o": "1"}, "task A: only before"),
    ({"A": TASK, "B": TASK}, {"o": "1"}, "task B: only after"),
    ({"A": TASK}, {"o": "2"}, "result o: its content"),
    ({"A": TASK}, {}, "result o: only before"),
    ({"A": TASK}, {"o": "1", "p": "1"}, "result p: only after"),
])
def test_each_difference_is_named(tasks: Mapping[str, Mapping[str, str]],
                                  results: Mapping[str, str], expected: str) -> None:
    assert list(differences(outcome({"A": TASK}, {"o": "1"}), outcome(tasks, results))) == [
        expected]


@pytest.mark.parametrize(("before", "after", "expected"), [
    (b"v1:rows", b"v2:rows", []), (b"v1:rows", b"v2:more", ["result t.parquet: its content"])])
def test_parquet_is_compared_by_what_it_holds(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bytes, after: bytes,
        expected: list[str]) -> None:
    class Table(bytes):
        def equals(self, other: bytes) -> bool:
            return self.split(b":")[1] == other.split(b":")[1]

    parquet = ModuleType("pyarrow.parquet")
    parquet.read_table = lambda path: Table(path.read_bytes())  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyarrow", ModuleType("pyarrow"))
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", parquet)
    runs = []
    for name, data in (("a", before), ("b", after)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "t.parquet").write_bytes(data)
        runs.append(outcome({}, {"t.parquet": name}, tmp_path / name))
    assert list(differences(*runs)) == expected


def test_parquet_without_a_reader_counts_as_different(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    runs = [outcome({}, {"t.parquet": name}, tmp_path) for name in "ab"]
    assert list(differences(*runs)) == ["result t.parquet: its content"]
    assert "no pyarrow" in caplog.text


def test_settings_that_differ_are_named_by_their_path() -> None:
    before = {"process": {"cpus": 1, "memory": "1 GB"}, "gone": [1]}
    after = {"process": {"cpus": 2, "memory": "1 GB"}, "new": {"a": 1}}
    assert list(settings(before, after)) == [
        ("gone", [1], None), ("new", None, {"a": 1}), ("process.cpus", 1, 2)]
    assert list(settings(before, before)) == []


def test_what_a_run_tells_of_itself_is_no_result(tmp_path: Path) -> None:
    for name in ("counts/one.tsv", "pipeline_info/params_2026-01-01.json"):
        files.write_text(tmp_path / "results" / name, name)
    assert preserve_run._results(tmp_path).keys() == {"counts/one.tsv"}
