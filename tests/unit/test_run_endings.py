"""What is told at the end of a run, and how far a run of Nextflow is, on the way there."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from tasks.core import activity, endings
from tasks.core.config.load import load
from tasks.core.graph import rooms
from tasks.core.nextflow.task_count import TaskCount
from tasks.core.offline_paths import OfflinePaths
from tasks.core.paths import PipelinePaths
from tasks.local_site import cross, ending
from tasks.offline_host import ending as offline_ending


@pytest.fixture
def at_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def finished(folder: Path, *pages: str) -> Path:
    """A run's folder with these pages among its results."""
    for name in ("report.html", "reports/report.html", "run.json",
                 *(f"results/{page}" for page in pages)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    (folder / "results").mkdir(exist_ok=True)
    return folder


def test_a_run_is_told_by_its_folder_pages_report_and_record(at_root: Path) -> None:
    folder = finished(at_root / "runs/weigh/20260101T000000Z-test", "multiqc/page.html",
                      "pipeline_info/dag.html", "counts.tsv")
    assert list(endings.of_run("weigh ran", folder)) == [
        "weigh ran: runs/weigh/20260101T000000Z-test/", "  results  results/",
        "  page     results/multiqc/page.html", "  report   report.html",
        "  nextflow reports/report.html",
        "  record   run.json"]
    many = finished(at_root / "many", *(f"{name}.html" for name in "abcde"))
    assert list(endings.of_run("x", many))[2:6] == [
        *(f"  page     results/{name}.html" for name in "abc"),
        "           and 2 more below results/"]
    assert list(endings.of_run("x", at_root / "nowhere")) == []


def test_a_crossing_is_told_by_where_its_run_lies_here(at_root: Path) -> None:
    at = PipelinePaths(site="local", pipeline="weigh")
    assert list(ending.of_crossing(at)) == []
    run = "runs/weigh/20260101T000000Z-test"
    finished(at.of_site.sandbox / "host/disk/weigh/airlock" / run, "page.html")
    attempt = {"what": "internet", "kind": "tcp", "target": "192.0.2.1:443", "refused": True,
               "detail": "no route", "image": None, "open_because": None}
    at.crossing.parent.mkdir(parents=True)
    at.crossing.write_text(json.dumps({
        "pipeline": "weigh", "isolated": True, "why_not": None, "release": "dev-0a", "tool": "0b",
        "seconds": 1.5, "probed_during_run": True, "probes": [attempt], "run": run,
        "results": []}))
    lines = list(ending.of_crossing(at))
    assert lines[0] == ("weigh ran on the offline host: "
                        f"build/local/sandbox/host/disk/weigh/airlock/{run}/")
    assert "  page     results/page.html" in lines
    assert "  crossing build/local/weigh/crossing.json: 1 of 1 attempts to get out were refused" \
        in lines
    assert "`./doit list`" in lines[-1] and "`./doit sandbox:down`" in lines[-1]


def test_a_host_tells_of_the_run_that_was_made_or_of_the_last_one(at_root: Path) -> None:
    at = OfflinePaths(site="lab", pipeline="weigh")
    older, newer = (finished(at_root / f"runs/weigh/{name}") for name in ("1-test", "2-own"))
    (older / "run.json").write_text("the test")
    told = list(offline_ending.of_run("3 results in runs/weigh/2-own/results/; its record: "
                                      "runs/weigh/2-own/run.json", at, at_root / "runs"))
    assert told[0] == "weigh ran: runs/weigh/2-own/"
    assert told[-1] == "next: `./doit role=prod runs:show 2-own` tells all of it"
    at.run.parent.mkdir(parents=True)
    at.run.write_text("the test")
    fresh = list(offline_ending.of_run(None, at, at_root / "runs"))
    assert fresh[0] == "weigh ran: runs/weigh/1-test/"
    assert newer.is_dir()


def test_a_site_of_ones_own_is_told_what_to_type_on_its_hosts(
        at_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).resolve().parents[2]
    for name in ("config", "schemas"):
        (at_root / name).symlink_to(root / name)
    local = {task.get("basename"): task for task in rooms.tasks(load({}))}
    assert local["release:promote"]["meta"]["ends"] is None
    assert local["sandbox:cross"]["meta"]["ends"] is not None
    from tasks.release import graph
    assert graph._next("dev-0a is the current release\non the offline host: "
                       "./doit role=prod site=lab pipeline=weigh") == [
        "on the offline host: ./doit role=prod site=lab pipeline=weigh"]
    assert graph._next(None) == []
    assert graph._copied("28 files in s3://lab/x: tool/0b1c/\n0b1c is the current tool in s3://lab",
                         store="s3://lab/x") == [
        "a host without this tool copies it first: tool/0b1c in s3://lab/x"]


def test_tasks_are_counted_by_what_began_and_what_the_trace_has(
        tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tasks")
    count = TaskCount("prod:run:weigh", tmp_path / "trace.txt")
    count._logged_at = 0.0
    count.look()
    for name in ("A (1)", "A (2)", "B"):
        count.line(f"[0f/862b3f] Submitted process > {name}")
    count.line("WARN: nothing of a task")
    (tmp_path / "trace.txt").write_text("task_id\tname\n1\tA (1)\n2\tA (2)\n")
    count.look()
    assert caplog.messages == ["prod:run:weigh  submitted: A (1)",
                               "prod:run:weigh  submitted: A (2)",
                               "prod:run:weigh  submitted: B",
                               "prod:run:weigh  2 of 3 tasks done"]
    (tmp_path / "trace.txt").write_text("task_id\tname\n1\tA (1)\n2\tA (2)\n3\tB\n")
    count.look()  # at once: no second line within a second
    assert len(caplog.messages) == 4


class Watching:
    """Somebody who shows what runs."""

    def stop(self) -> None:
        """Show no more."""

    def apart(self) -> object:
        """Not needed here."""


def test_the_crossing_is_as_far_as_the_offline_hosts_doit_says(
        caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tasks")
    step = activity.begin("sandbox:cross:weigh")
    activity.watch(Watching())  # type: ignore[arg-type]
    try:
        cross.hear("weigh", "       prod:run:weigh  4 of 7 tasks done")
        cross.hear("weigh", "warning NOT PROVEN: dev-0a was made current without a smoke run")
    finally:
        activity.watch(None)
    assert (step.done, step.total, step.unit) == (4, 7, "tasks")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "weigh offline |        prod:run:weigh  4 of 7 tasks done"),
        ("WARNING", "weigh offline | NOT PROVEN: dev-0a was made current without a smoke run")]
