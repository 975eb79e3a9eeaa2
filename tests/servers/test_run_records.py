"""The real Nextflow goes on where a run failed or was killed, and two runs don't meet."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.errors import CommandError, HostError
from tasks.core.schema import read_json
from tasks.offline_host import run
from tasks.offline_host import runs as records
from tasks.offline_host.run_folder import RunFolder
from tasks.offline_host.verify import verify
from tasks.runtime import build as runtimes
from tests.kit import runs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: runtimes.Runtime) -> Path:
    """A release in place, and a user's sheet and params."""
    monkeypatch.chdir(tmp_path)
    runs.with_nextflow(tmp_path, runtime.archive)
    return tmp_path


def outcome(folder: RunFolder) -> tuple[str, int | None, str | None]:
    said = read_json(folder.record, "run")["outcome"]
    return said["state"], said["status"], said["process"]


def statuses(folder: RunFolder) -> dict[str, str]:
    return {task["process"]: task["status"] for task in read_json(folder.record, "run")["tasks"]}


def test_after_a_failure_the_same_command_goes_on(here: Path) -> None:
    asked = runs.own_spec(here / "mine.csv", here / "p.json")
    with pytest.raises(CommandError) as caught:
        run.run_own(asked)
    first, = runs.folders()
    assert f"it goes on from {first.name}" in str(caught.value)
    assert outcome(first) == ("failed", 1, "WEIGH")
    assert "Error executing process &gt; &#39;WEIGH&#39;" in first.page.read_text()
    assert statuses(first) == {"SPLIT": "COMPLETED", "WEIGH": "FAILED"}
    (here / "scale").touch()
    assert run.run_own(asked).startswith("2 results in ")
    second = runs.folders()[1]
    assert statuses(second) == {"SPLIT": "CACHED", "WEIGH": "COMPLETED"}
    assert (here / "marks").read_text().split() == ["split", "weigh", "weigh"]
    record = read_json(second.record, "run")
    assert (record["continues"], record["outcome"]["state"]) == (first.name, "success")
    assert record["session"] == read_json(first.record, "run")["session"]
    assert [row["path"] for row in record["results"]] == ["stones.txt", "weights/all.txt"]
    assert verify(second, None).differences == verify(first, None).differences == ()
    assert {path.name for path in second.reports.iterdir()} == {
        "report.html", "timeline.html", "trace.txt", "dag.mmd", "dag.svg"}


WAITING = runs.MAIN.replace("test -e '${params.scale}';",
                            "while ! test -e '${params.scale}'; do sleep 0.1; done;")


def test_a_killed_run_is_known_and_gone_on_with_once_its_nextflow_has_ended(here: Path) -> None:
    """Nextflow outlives what started it: until it has ended, its session is its own."""
    files.write_text(runs.LAYOUT.launch / "code/main.nf", WAITING)
    script = ("from tests.kit import runs\nfrom tasks.offline_host import run\n"
              "run.run_own(runs.own_spec('mine.csv', 'p.json'))")
    with subprocess.Popen([sys.executable, "-c", script], cwd=here, start_new_session=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        while not ((here / "marks").is_file() and "weigh" in (here / "marks").read_text()):
            assert process.poll() is None
            time.sleep(0.1)
        assert records.all_runs(runs.RUNS)[0][0].state == "running"
        os.kill(process.pid, signal.SIGKILL)
    killed, = runs.folders()
    assert "under way" in killed.page.read_text()
    assert records.all_runs(runs.RUNS)[0][0].state == "interrupted"
    asked = runs.own_spec(here / "mine.csv", here / "p.json")
    with pytest.raises(HostError, match="Nextflow is still at work on the run"):
        run.run_own(asked)
    (here / "scale").touch()
    for _ in range(300):
        try:
            run.run_own(asked)
            break
        except HostError:
            time.sleep(0.1)
    second = runs.folders()[1]
    assert read_json(second.record, "run")["continues"] == killed.name
    assert "It was interrupted before its end" in killed.page.read_text()
    assert set(statuses(second).values()) == {"CACHED"}
    assert (here / "marks").read_text().split() == ["split", "weigh"]


def test_two_runs_at_once_have_sessions_and_results_of_their_own(here: Path) -> None:
    (here / "scale").touch()
    files.write_text(here / "b/mine.csv", "stone\nchalk\nflint\n")
    sheets = (here / "mine.csv", here / "b/mine.csv")
    given = json.loads((here / "p.json").read_bytes())
    files.write_json(here / "q.json", {**given, "outdir": str(here / "elsewhere/out")})
    threads = [threading.Thread(target=run.run_own, args=[runs.own_spec(sheet, params)])
               for sheet, params in zip(sheets, (here / "p.json", here / "q.json"), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = {json.loads(folder.record.read_bytes())["inputs"]["sheet"]["place"]: folder
            for folder in runs.folders()}
    assert [outcome(made[str(sheet)])[0] for sheet in sheets] == ["success", "success"]
    assert [(made[str(sheet)].results / "stones.txt").read_text() for sheet in sheets] == [
        "basalt\n", "chalk\nflint\n"]
    assert (here / "elsewhere/out/stones.txt").read_text() == "chalk\nflint\n"
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], check=True,
                   cwd=made[str(sheets[1])].path)
    sessions = {read_json(folder.record, "run")["session"] for folder in made.values()}
    assert len(sessions) == 2
