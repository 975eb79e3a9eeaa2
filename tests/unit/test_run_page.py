"""The page that a run leaves, however it ends: its first lines say how, why, and how to go on."""

from __future__ import annotations

import html
import re
import shutil
import threading
import time
from pathlib import Path

import pytest

from tasks.core import files, processes
from tasks.core.errors import CommandError, HostError
from tasks.core.schema import read_json
from tasks.core.trust import checksums
from tasks.offline_host import at_work, export, run, run_page, take_back, verify
from tasks.offline_host.run_folder import RunFolder
from tests.kit import runs

BADLY = """
task 1 LAB:SPLIT COMPLETED 0 -
task 2 LAB:WEIGH FAILED 7 -
echo "ERROR ~ Error executing process > 'LAB:WEIGH (basalt)'"
echo
echo "Command executed:"
echo "  curl -H 'very-secret-word' scale"
echo
echo "Command error:"
echo "  no scale <here>"
exit 1
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    files.write_text(tmp_path / "my sheet.csv", "stone\nbasalt\n")
    return tmp_path


def first_lines(folder: RunFolder) -> str:
    """What is read of the page before its first tile, without its elements."""
    page = folder.page.read_text()
    above = page.partition("<body>")[2].partition('<div class="tiles">')[0]
    return html.unescape(re.sub("<[^>]+>", "", above))


def begun(here: Path) -> RunFolder:
    """The folder of the one run, once its program has begun."""
    while not list(here.glob("runs/weigh/*/launch/begun")):
        time.sleep(0.01)
    folder, = runs.folders()
    return folder


def test_a_run_that_failed_says_by_what_and_how_to_go_on(here: Path) -> None:
    runs.ready(runs.stub(here, BADLY))
    typed = {"role": "prod", "pipeline": "weigh", "input": "my sheet.csv"}
    with pytest.raises(CommandError):
        run.run_own(runs.own_spec(here / "my sheet.csv", command=typed))
    folder, = runs.folders()
    said = first_lines(folder)
    assert "failed" in said.partition("Look at this first")[0]
    for words in (
            "The process LAB:WEIGH failed: its task LAB:WEIGH (a) ended with exit status 7.",
            "Nextflow’s exit status is 1.", "Error executing process > 'LAB:WEIGH (basalt)'",
            "  no scale <here>", "mend the cause, and type the same command again",
            "./doit role=prod pipeline=weigh 'input=my sheet.csv'", "logs/run.log"):
        assert words in said, words
    assert "no session" not in said
    assert "very-secret-word" not in folder.page.read_text()


def test_a_run_that_no_process_made_fail_says_why(here: Path) -> None:
    runs.ready(runs.stub(here, "task 1 A COMPLETED 0 -\n"))
    with pytest.raises(HostError):
        run.run_test(runs.spec())
    folder, = runs.folders()
    said = first_lines(folder)
    assert "It failed, by no process of the pipeline." in said
    assert "the run ended well, but published nothing" in said


@pytest.mark.usefixtures("interrupted")
def test_a_run_under_way_and_one_that_was_interrupted_say_so(here: Path) -> None:
    runs.ready(runs.stub(here, "task 1 A COMPLETED 0 -\ntouch begun\nexec sleep 600\n"))

    def work() -> None:
        with pytest.raises(CommandError):
            run.run_own(runs.own_spec(here / "my sheet.csv"))

    thread = threading.Thread(target=work)
    thread.start()
    folder = begun(here)
    said = first_lines(folder)
    assert "under way since" in said and f"./doit runs:show {folder.name}" in said
    assert "If it was killed, type the same command again:" in said
    while thread.is_alive():
        processes.end_all()
        thread.join(timeout=0.1)
    said = first_lines(folder)
    assert "interrupted" in said.partition("Look at this first")[0]
    assert "there is no exit status, and its results aren’t listed" in said
    assert "To go on, type the same command again:" in said
    assert "which it did not come to" in folder.page.read_text()


def test_a_run_that_was_interrupted_before_nextflow_began_says_that_it_begins_anew(
        here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.ready(runs.stub(here, ""))

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.run_test(runs.spec())
    folder, = runs.folders()
    assert "Nextflow had no session yet, so that begins anew." in first_lines(folder)


@pytest.mark.parametrize("has_session", [True, False])
def test_a_run_that_was_killed_is_told_once_another_goes_on_with_it(
        here: Path, has_session: bool) -> None:
    """Nobody was left to say so before."""
    runs.ready(runs.stub(here, "echo 3 > \"$out/w.txt\"\n"))
    run.run_own(runs.own_spec(here / "my sheet.csv"))
    killed, = runs.folders()
    record = read_json(killed.record, "run") | {
        "ended": None, "results": None, "session": None,
        "process": {**at_work.this_process(), "started": 1},
        "outcome": {"state": "running", "status": None, "process": None}}
    files.write_json(killed.record, record)
    run_page.write(killed, record)
    if not has_session:
        shutil.rmtree(killed.launch)
    run.run_own(runs.own_spec(here / "my sheet.csv"))
    second = runs.folders()[1]
    assert read_json(second.record, "run")["continues"] == (killed.name if has_session else None)
    assert ("interrupted" in first_lines(killed)) == has_session
    assert "Look at this first" in first_lines(killed)
    assert "ended well" in first_lines(second)


def test_a_run_on_own_data_has_a_page_that_its_list_names(here: Path) -> None:
    runs.ready(runs.stub(here, "echo 3 > \"$out/w.txt\"\n"))
    files.write_text(here / "own.yml", "marks: /dev/null\n")
    run.run_own(runs.own_spec(here / "my sheet.csv", here / "own.yml"))
    folder, = runs.folders()
    text = folder.page.read_text()
    assert str(here / "my sheet.csv") in text and files.sha256(here / "own.yml") in text
    listed = checksums.parse_sums(folder.sums.read_bytes(), where=folder.sums)
    assert listed["report.html"] == files.sha256(folder.page)


def test_a_page_that_is_gone_is_missed_and_one_that_no_list_names_is_not(here: Path) -> None:
    """As tools left it that listed no page: such a run goes back without one."""
    runs.ready(runs.stub(here, "echo 3 > \"$out/w.txt\"\n"))
    run.run_own(runs.own_spec(here / "my sheet.csv"))
    folder, = runs.folders()
    digests = checksums.parse_sums(folder.sums.read_bytes(), where=folder.sums)
    del digests["report.html"]
    (here / "older").write_bytes(checksums.format_sums(digests))
    folder.page.rename(here / "page")
    assert verify.verify(folder, None).differences == (("missing", "report.html"),)
    (here / "older").rename(folder.sums)
    (here / "page").rename(folder.page)
    assert verify.verify(folder, None).differences == ()
    taken = take_back.take(export.export(folder, here / "x.tar"), here / "back", signers=None,
                           is_known=lambda *_: True)
    assert verify.verify(taken.folder, None).differences == ()
    assert not taken.folder.page.exists()


def test_a_page_that_cannot_be_made_is_not_the_run_s_fault_and_leaves_no_older_one(
        here: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    runs.ready(runs.stub(here, "echo 3 > \"$out/w.txt\"\n"))
    made = run_page.html

    def full(record: dict[str, object], *words: object) -> str:
        if record["ended"]:
            raise OSError(28, "No space left on device")
        return made(record, *words)  # type: ignore[arg-type]

    monkeypatch.setattr(run_page, "html", full)
    run.run_own(runs.own_spec(here / "my sheet.csv"))
    folder, = runs.folders()
    assert "the run's page can't be written" in caplog.text
    assert not folder.page.exists()
    assert "report.html" not in folder.sums.read_text()
