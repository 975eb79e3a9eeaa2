"""Every run has a folder and a record, written when it begins and when it ends, however that is."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files, processes
from tasks.core.errors import CommandError, ConfigError, HostError
from tasks.core.schema import read_json
from tasks.offline_host import at_work, results, run, run_folder, run_tasks, wheels
from tasks.offline_host import runs as records
from tasks.offline_host.run_folder import RunFolder
from tests.kit import runs

IMAGE = "registry.example/q/scale@sha256:" + "a" * 64
WELL = f"""
task 1 LAB:SPLIT COMPLETED 0 -
task 2 LAB:WEIGH COMPLETED 0 {IMAGE}
mkdir -p "$out/deep"; echo 3 > "$out/deep/weights.txt"; echo $resumed > "$out/resumed"
"""
BADLY = """
task 1 LAB:SPLIT COMPLETED 0 -
task 2 LAB:WEIGH FAILED 7 -
echo half > "$out/half.txt"
echo "ERROR ~ Error executing process > 'LAB:WEIGH (basalt)'"
exit 1
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sheet(place: str, text: str = "stone\nbasalt\n") -> Path:
    path = Path(place).absolute()
    files.write_text(path, text)
    return path


def record_of(folder: RunFolder) -> dict[str, Any]:
    record: dict[str, Any] = read_json(folder.record, "run")
    return record


def test_a_test_run_leaves_its_record_and_a_list_for_sha256sum(here: Path) -> None:
    runs.ready(runs.stub(here, WELL))
    said = run.run_test(runs.spec())
    folder, = runs.folders()
    assert said.startswith(f"2 results in runs/weigh/{folder.name}/results/")
    record = record_of(folder)
    assert runs.LAYOUT.run.read_bytes() == folder.record.read_bytes()
    assert record["release"] == {"id": runs.RELEASE, "promotion": None}
    assert record["outcome"] == {"state": "success", "status": 0, "process": None}
    assert (record["versions"]["java"], record["session"]) == ("21.0.8", runs.SESSION)
    assert [(task["process"], task["container"]) for task in record["tasks"]] == [
        ("LAB:SPLIT", None), ("LAB:WEIGH", IMAGE)]
    image, = record["images"]
    assert image["reference"] == IMAGE
    assert image["why_not"].startswith("no container engine answers")
    assert [row["path"] for row in record["results"]] == ["deep/weights.txt", "resumed"]
    assert record["command"] == {"role": "prod", "pipeline": "weigh"}
    assert record["user"]["id"] == os.geteuid()
    checked = subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=folder.path,
                             check=True, capture_output=True, text=True).stdout
    assert "run.json: OK" in checked
    assert "results/deep/weights.txt: OK" in checked


def test_sheets_of_one_name_from_two_folders_are_two_runs(here: Path) -> None:
    runs.ready(runs.stub(here, WELL))
    for place in ("a/mine.csv", "b/mine.csv"):
        run.run_own(runs.own_spec(sheet(place, f"stone\n{place}\n")))
    first, second = runs.folders()
    assert first.name[17:19] == second.name[17:19] == "mi"
    places = [record_of(folder)["inputs"]["sheet"]["place"] for folder in (first, second)]
    assert places == [str(here / "a/mine.csv"), str(here / "b/mine.csv")]
    assert first.results.resolve() != second.results.resolve()
    assert record_of(second)["continues"] is None


def test_runs_that_begin_in_one_second_get_two_folders() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    names = [run_folder.make(Path("runs"), "p", "mine", now).name for _ in range(3)]
    assert names == ["20260102T030405Z-mine", "20260102T030405Z-mine-2", "20260102T030405Z-mine-3"]
    assert all(run_folder.NAME.fullmatch(name) for name in names)


@pytest.mark.parametrize(("name", "expected"), [
    ("../../etc", "etc"), ("a b\nc", "a_b_c"), ("-rf", "rf"), ("データ", "run"), ("", "run"),
    (".hidden", "hidden"), ("x" * 300, "x" * 60), ("a/b", "a_b"), ("$(id)", "id")])
def test_a_name_from_outside_stays_one_part_of_a_path(name: str, expected: str) -> None:
    assert run_folder.cleaned(name) == expected


def test_what_was_given_is_copied_for_its_user_alone_and_no_token_shows(here: Path) -> None:
    runs.ready(runs.stub(here, WELL))
    files.write_text(here / "own.yml", "token: very-secret-word\n")
    run.run_own(runs.own_spec(sheet("mine.csv"), here / "own.yml"))
    folder, = runs.folders()
    assert folder.name.endswith("Z-mine")
    for private in ("inputs", "logs", "launch"):
        assert (folder.path / private).stat().st_mode & 0o777 == 0o700
    held = [path for path in files.tree(folder.path) if path.is_file()
            and b"very-secret-word" in path.read_bytes()]
    assert {path.parent for path in held} == {folder.inputs}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files.tree(folder.inputs))
    given = record_of(folder)["inputs"]
    assert given["params"]["sha256"] == files.sha256(here / "own.yml")
    assert given["sheet"]["sha256"] == files.sha256(here / "mine.csv")


def test_a_run_that_fails_says_by_which_process_and_keeps_what_it_made(here: Path) -> None:
    runs.ready(runs.stub(here, BADLY))
    with pytest.raises(CommandError) as caught:
        run.run_own(runs.own_spec(sheet("mine.csv")))
    folder, = runs.folders()
    assert f"it goes on from {folder.name}" in str(caught.value)
    record = record_of(folder)
    assert record["outcome"] == {"state": "failed", "status": 1, "process": "LAB:WEIGH"}
    assert [row["path"] for row in record["results"]] == ["half.txt"]
    assert folder.sums.is_file()


def test_why_a_run_failed_is_said_though_its_record_cannot_be_written(
        here: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    runs.ready(runs.stub(here, BADLY))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tasks.offline_host.results.listed", full)
    with pytest.raises(CommandError, match="Nextflow ended with an error"):
        run.run_own(runs.own_spec(sheet("mine.csv")))
    assert "record can't be written" in caplog.text


def test_a_test_run_that_publishes_nothing_has_failed(here: Path) -> None:
    runs.ready(runs.stub(here, "task 1 A COMPLETED 0 -\n"))
    with pytest.raises(HostError, match="published nothing"):
        run.run_test(runs.spec())
    assert record_of(runs.folders()[0])["outcome"]["state"] == "failed"
    assert not runs.LAYOUT.run.exists()


@pytest.mark.usefixtures("interrupted")
def test_an_interrupt_is_noted_though_its_thread_hears_nothing(here: Path) -> None:
    runs.ready(runs.stub(here, "task 1 A COMPLETED 0 -\ntouch begun\nexec sleep 600\n"))
    faults: list[BaseException] = []

    def work() -> None:
        try:
            run.run_own(runs.own_spec(sheet("mine.csv")))
        except CommandError as error:
            faults.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while not list(here.glob("runs/weigh/*/launch/begun")):
        time.sleep(0.01)
    while thread.is_alive():  # the program says that it has begun before we know that it has
        processes.end_all()
        thread.join(timeout=0.1)
    record = record_of(runs.folders()[0])
    assert faults
    assert record["outcome"]["state"] == "interrupted"
    assert (record["results"], len(record["tasks"])) == (None, 1)
    assert record["ended"]


def test_an_interrupt_of_the_step_s_own_thread_is_noted(
        here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.ready(runs.stub(here, WELL))

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.run_test(runs.spec())
    assert record_of(runs.folders()[0])["outcome"]["state"] == "interrupted"


def test_runs_and_results_are_no_strange_files_in_a_tool_s_folder(here: Path) -> None:
    for path in ("runs/p/x/run.json", "results/a", "odd/a"):
        files.write_text(here / path, "")
    files.write_text(here / "SHA256SUMS", "")
    assert wheels.unlisted(here) == ["odd/a"]


@pytest.mark.parametrize("change", [
    {"pid": 2**22 + 5}, {"boot": "another boot"}, {"started": 1}])
def test_a_run_that_was_killed_is_shown_as_interrupted(here: Path, change: dict[str, Any]) -> None:
    """A pid alone would do for another process that got it since."""
    runs.ready(runs.stub(here, WELL))
    run.run_test(runs.spec())
    folder, = runs.folders()
    record = record_of(folder) | {"ended": None, "results": None,
                                  "outcome": {"state": "running", "status": None, "process": None}}
    files.write_json(folder.record, record)
    assert records.all_runs(runs.RUNS)[0][0].state == "running"
    files.write_json(folder.record, record | {"process": {**at_work.this_process(), **change}})
    killed = records.all_runs(runs.RUNS)[0][0]
    assert (killed.state, killed.seconds) == ("interrupted", None)
    files.write_json(folder.record, record | {"host": {**record["host"], "name": "other"},
                                              "process": {**at_work.this_process(), **change}})
    assert records.all_runs(runs.RUNS)[0][0].state == "running", "on another host, for all we know"


def test_a_host_key_that_cannot_sign_is_told_before_anything_runs(here: Path) -> None:
    runs.ready(runs.stub(here, WELL))
    with pytest.raises(HostError, match="the signing key can't be used"):
        run.run_test(runs.spec(key=here / "none"))
    assert runs.folders() == []


def test_a_trace_is_read_though_names_hold_tabs_and_lines_and_it_was_cut_off(here: Path) -> None:
    columns = ["1", "ab/cdef01", "77", "A", "COMPLETED", "0", "1", *["-"] * 12, IMAGE, "/w"]
    row = "\t".join(columns)
    text = ("\t".join(run_tasks.FIELDS) + f"\n{row}\tA (x\ty\nz)\n"
            + row.replace("\t0\t", "\t2147483647\t", 1) + "\tB\n" + "3\tab/12\t9\tC")
    files.write_text(here / "trace", text)
    first, second = run_tasks.tasks(here / "trace")
    assert (first["name"], first["exit"], first["container"]) == ("A (x\ty\nz)", 0, IMAGE)
    assert second["exit"] is None
    assert run_tasks.tasks(here / "none") == []
    assert run_tasks.failed_process([], [{"status": "FAILED", "process": "A"},
                                         {"status": "COMPLETED", "process": "B"}]) == "A"


def test_results_that_are_links_or_odd_are_listed_as_far_as_they_can_be(here: Path) -> None:
    files.write_text(here / "work/d/in.txt", "x\n")
    root = here / "out"
    root.mkdir()
    (root / "d").symlink_to(here / "work/d")
    (root / "loop").symlink_to(root)
    (root / "gone").symlink_to(here / "nowhere")
    os.mkfifo(root / "pipe")
    (root / "a\nb").write_text("")
    (root / "back\\slash").write_text("")
    (root / os.fsdecode(b"\xff.txt")).write_text("")
    made = results.listed(root)
    assert [row["path"] for row in made.files] == ["d/in.txt"]
    assert made.links == 1
    assert {row["path"] for row in made.unlisted} == {
        "loop", "gone", "pipe", "a\nb", "back\\slash", "\\xff.txt"}
    assert results.differences(root, made.files, made.unlisted) == []
    json.dumps(made.unlisted).encode()


def test_a_sheet_whose_name_no_json_can_hold_is_refused(here: Path) -> None:
    runs.ready(runs.stub(here, WELL))
    name = os.fsdecode(b"mine-\xff.csv")
    (here / name).write_text("stone\n")
    with pytest.raises(ConfigError, match="is no UTF-8"):
        run.run_own(runs.own_spec(here / name))
