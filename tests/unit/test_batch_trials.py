"""The trials' plan: what a trace says, what a failure leaves open, and the table of times."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.batch import perf, trials
from tasks.batch.trials import TRIALS
from tasks.core import files
from tasks.core.aws.paths import BatchPaths
from tasks.core.errors import AwsError
from tasks.core.schema import check, read_json

TRACE = """\
name\tstatus\texit\tsubmit\tstart\tcomplete\tduration\trealtime
A:ONE (chr21)\tCOMPLETED\t0\t1000\t1500\t9500\t8500\t2000
A:ONE (chr22)\tCOMPLETED\t0\t1000\t2000\t4000\t3000\t500
A:TWO\tFAILED\t1\t1000\t-\t-\t-\t-
"""


def test_a_trace_says_what_each_job_waited_staged_and_ran(tmp_path: Path) -> None:
    (tmp_path / "trace.txt").write_text(TRACE)
    assert [(job["name"], job["waited"], job["staged"], job["run"])
            for job in trials.jobs(tmp_path / "trace.txt")] == [
        ("A:ONE (chr21)", 500, 6000, 2000), ("A:ONE (chr22)", 1000, 1500, 500),
        ("A:TWO", None, None, None)]


@pytest.mark.parametrize("number", range(len(TRIALS)))
def test_a_trial_that_fails_says_what_is_unproven(number: int) -> None:
    with pytest.raises(AwsError) as caught, trials._unproven(TRIALS[number].name):
        raise AwsError("no", todo="do this")
    message = str(caught.value)
    assert "do this\nnot shown yet:" in message
    assert [trial.shows in message for trial in TRIALS] == [
        place >= number for place in range(len(TRIALS))]


def write_receipt(at: BatchPaths, mode: str) -> None:
    path, trace = at.measured(mode), Path("trace.txt")
    trace.write_text(TRACE)
    files.write_json(path, check(
        {"trial": "main", "pipeline": "p", "where": "batch", "mode": mode, "seconds": 12.5,
         "results": 3, "jobs": trials.jobs(trace)}, "batch-trial", where=path))


def test_the_table_says_what_was_not_measured(tmp_path: Path,
                                              monkeypatch: pytest.MonkeyPatch,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    spec = perf.PerfSpec(pipeline="p", at=BatchPaths(site="here", pipeline="p"))
    write_receipt(spec.at, "fusion")
    assert perf.perf(spec).endswith("not measured: classic, carried-cli, docker")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines if line.startswith(("fusion", "classic"))] == [
        ["classic", "not", "measured"], ["fusion", "ONE", "2", "1.5", "7.5", "2.5"],
        ["fusion", "TWO", "1", "not", "known", "not", "known", "not", "known"]]
    modes = read_json(spec.at.performance, "batch-perf")["modes"]
    assert modes["classic"] is None
    assert modes["fusion"]["processes"]["ONE"] == {"jobs": 2, "waited": 1.5, "staged": 7.5,
                                                   "run": 2.5}
    texts = [element.text for element in ElementTree.parse(spec.at.performance_picture).iter()
             if element.tag.endswith("text")]
    assert "11.5" in texts
    assert "not measured: classic, carried-cli, docker" in texts


@given(st.dictionaries(st.sampled_from(trials.MODES), st.dictionaries(
    st.text("A<&\"é", min_size=1), st.fixed_dictionaries({
        "jobs": st.integers(1), **dict.fromkeys(perf.TIMES, st.none() | st.floats(0, 1e6))}))))
def test_the_picture_is_well_formed_whatever_was_measured(
        processes: dict[str, dict[str, dict[str, float]]]) -> None:
    measured = {mode: {"seconds": 1, "processes": jobs} for mode, jobs in processes.items()}
    ElementTree.fromstring(perf.picture("p & q", measured))
