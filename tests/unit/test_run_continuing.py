"""The same command again goes on; results of two runs never mix."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files
from tasks.core.errors import CommandError, ConfigError, HostError
from tasks.core.schema import read_json
from tasks.offline_host import at_work, continuing, run
from tasks.offline_host import runs as records
from tests.kit import runs

MENDED = """
echo $resumed > "$out/resumed"
[ -e ../../../../mended ]
"""
"""A run fails until there is a file `mended`."""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    runs.ready(runs.stub(tmp_path, MENDED))
    files.write_text(tmp_path / "mine.csv", "stone\nbasalt\n")
    return tmp_path


def fails(**given: Any) -> None:
    with pytest.raises(CommandError):
        run.run_own(runs.own_spec(**given))


def last() -> tuple[str | None, str]:
    """Which run the newest continues, and the session that its Nextflow was told."""
    folder = runs.folders()[-1]
    record = read_json(folder.record, "run")
    return record["continues"], (folder.results / "resumed").read_text().strip()


def as_if(name: str, **changed: Any) -> None:
    """Let a run's record say something else."""
    folder = next(folder for folder in runs.folders() if folder.name.endswith(name))
    files.write_json(folder.record, {**read_json(folder.record, "run"), **changed})


def test_after_a_failure_the_same_command_goes_on(here: Path) -> None:
    fails(input=here / "mine.csv")
    assert last() == (None, "none")
    first, = runs.folders()
    fails(input=here / "mine.csv")
    assert last() == (first.name, runs.SESSION)
    second = runs.folders()[1]
    (here / "mended").touch()
    run.run_own(runs.own_spec(here / "mine.csv"))
    assert last() == (second.name, runs.SESSION)
    assert first.record.is_file()
    assert not first.launch.exists()


def test_a_sheet_that_was_mended_or_moved_goes_on_and_another_begins_anew(here: Path) -> None:
    fails(input=here / "mine.csv")
    first, = runs.folders()
    files.write_text(here / "mine.csv", "stone\nbasalt\nchalk\n")
    fails(input=here / "mine.csv")
    assert last() == (first.name, runs.SESSION)
    files.write_text(here / "moved/mine.csv", "stone\nbasalt\nchalk\n")
    fails(input=here / "moved/mine.csv")
    assert last() == (runs.folders()[1].name, runs.SESSION)
    files.write_text(here / "other.csv", "stone\nflint\n")
    fails(input=here / "other.csv")
    assert last() == (None, "none")
    files.write_text(here / "p.json", "{}")
    fails(input=here / "other.csv", params=here / "p.json")
    assert last() == (None, "none")


def test_another_release_begins_anew(here: Path) -> None:
    fails(input=here / "mine.csv")
    as_if("-mine", release={"id": "1.1-ba9876543210", "promotion": None})
    fails(input=here / "mine.csv")
    assert last() == (None, "none")


def test_a_test_run_goes_on_after_a_failure_alone(here: Path) -> None:
    with pytest.raises(CommandError):
        run.run_test(runs.spec())
    first, = runs.folders()
    (here / "mended").touch()
    run.run_test(runs.spec())
    assert last() == (first.name, runs.SESSION)
    run.run_test(runs.spec())
    assert last() == (None, "none"), "a test that is run again is a test"


def test_own_data_that_has_grown_goes_on_from_what_went_well(here: Path) -> None:
    (here / "mended").touch()
    run.run_own(runs.own_spec(here / "mine.csv"))
    first, = runs.folders()
    before = first.sums.read_bytes()
    files.write_text(here / "mine.csv", "stone\nbasalt\nchalk\n")
    run.run_own(runs.own_spec(here / "mine.csv"))
    assert last() == (first.name, runs.SESSION)
    assert first.sums.read_bytes() == before
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=first.path, check=True)


def test_a_run_that_is_at_work_is_left_alone(here: Path) -> None:
    fails(input=here / "mine.csv")
    as_if("-mine", ended=None, results=None, process=at_work.this_process(),
          outcome={"state": "running", "status": None, "process": None})
    fails(input=here / "mine.csv")
    assert last() == (None, "none")


@contextmanager
def locking(path: Path) -> Iterator[None]:
    """Another process that holds a lock as Java does: one's own locks don't count."""
    with subprocess.Popen(
            [sys.executable, "-c", "import fcntl, sys; stream = open(sys.argv[1], 'r+b'); "
             "fcntl.lockf(stream, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()", path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdin
        process.stdout.readline()
        yield
        process.stdin.close()


def test_a_nextflow_that_outlived_its_doit_is_not_run_beside(here: Path) -> None:
    fails(input=here / "mine.csv")
    first, = runs.folders()
    with locking(first.launch / f".nextflow/cache/{runs.SESSION}/db/LOCK"):
        with pytest.raises(HostError, match=f"still at work on the run {first.name}"):
            run.run_own(runs.own_spec(here / "mine.csv"))
        assert runs.folders() == [first], "nothing was made"
    fails(input=here / "mine.csv")
    assert last() == (first.name, runs.SESSION)


def test_two_that_begin_at_once_do_not_take_one_session(here: Path) -> None:
    """The first to hold the lock of the folder of runs takes it; the other begins anew."""
    fails(input=here / "mine.csv")
    runs.stub(here, "while [ $(ls -d ../../*Z-mine* | wc -l) -lt 3 ]; do sleep 0.05; done\n"
                    'echo $resumed > "$out/resumed"\n')
    script = ("from tests.kit import runs\nfrom tasks.offline_host import run\n"
              "run.run_own(runs.own_spec('mine.csv'))")
    both = [subprocess.Popen([sys.executable, "-c", script], cwd=here,
                             env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])})
            for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert sorted((folder.results / "resumed").read_text().strip()
                  for folder in runs.folders()[1:]) == [runs.SESSION, "none"]


def with_outdir(here: Path, place: str, name: str = "p") -> Path:
    path = here / f"{name}.json"
    files.write_text(path, json.dumps({"outdir": place}))
    return path


def test_an_outdir_is_recorded_and_no_other_run_writes_into_it(here: Path) -> None:
    (here / "mended").touch()
    out = here / "elsewhere"
    run.run_own(runs.own_spec(here / "mine.csv", with_outdir(here, str(out))))
    folder, = runs.folders()
    assert read_json(folder.record, "run")["outdir"] == str(out)
    assert folder.results.resolve() == out
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder.path, check=True)
    for other in (out, out / "below", here / "elsewhere/../elsewhere"):
        with pytest.raises(ConfigError, match=folder.name):
            run.run_own(runs.own_spec(here / "mine.csv", with_outdir(here, str(other), "q")))
    assert runs.folders() == [folder]


def test_a_failed_run_goes_on_in_its_outdir_with_the_same_files_alone(here: Path) -> None:
    params = with_outdir(here, str(here / "elsewhere"))
    fails(input=here / "mine.csv", params=params)
    first, = runs.folders()
    files.write_text(here / "mine.csv", "stone\nchalk\n")
    with pytest.raises(ConfigError, match=f"holds the results of the run {first.name}"):
        run.run_own(runs.own_spec(here / "mine.csv", params))
    files.write_text(here / "mine.csv", "stone\nbasalt\n")
    (here / "mended").touch()
    run.run_own(runs.own_spec(here / "mine.csv", params))
    assert last() == (first.name, runs.SESSION)


@pytest.mark.parametrize(("outdir", "said"), [
    ("s3://bucket/results", "no folder of this host"), ("", "no folder of this host"),
    ("a\0b", "no folder of this host"), ("{here}", "a folder with runs in it"),
    ("{here}/runs/weigh", "a folder with runs in it"), ("{here}/full", "is not empty"),
    ("{here}/mine.csv", "is not empty"), ("link", "a folder with runs in it")])
def test_an_outdir_that_would_mix_results_is_refused(here: Path, outdir: str, said: str) -> None:
    files.write_text(here / "full/notes.txt", "mine")
    (here / "link").symlink_to(here)
    params = with_outdir(here, outdir.format(here=here))
    with pytest.raises(ConfigError, match=said):
        run.run_own(runs.own_spec(here / "mine.csv", params))
    assert runs.folders() == []


def test_an_outdir_that_is_no_text_is_refused(here: Path) -> None:
    files.write_text(here / "p.json", '{"outdir": 7}')
    with pytest.raises(ConfigError, match="no folder of this host"):
        run.run_own(runs.own_spec(here / "mine.csv", here / "p.json"))


def test_a_run_that_cannot_begin_leaves_the_one_before_as_it_was(
        here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(input=here / "mine.csv")
    first, = runs.folders()

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tasks.offline_host.record.write", broken)
    with pytest.raises(OSError, match="No space left"):
        run.run_own(runs.own_spec(here / "mine.csv"))
    assert runs.folders() == [first]
    assert first.launch.is_dir()


def test_another_user_s_run_is_not_gone_on_with(here: Path,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    fails(input=here / "mine.csv")
    asked = continuing.Asked(pipeline="weigh", release=runs.RELEASE, run="own", profile="offline",
                             name="mine", sheet=read_json(
                                 runs.folders()[0].record, "run")["inputs"]["sheet"])
    known, _ = records.all_runs(runs.RUNS)
    assert continuing.before(asked, known) == known[0]
    monkeypatch.setattr("os.geteuid", lambda: 4321)
    assert continuing.before(asked, known) is None
