"""What a run on the user's own data is given, and where tasks work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files
from tasks.core.config.load import load
from tasks.core.disk import REMOTE, file_system
from tasks.core.errors import ConfigError, HostError
from tasks.core.graph.run import is_recorded
from tasks.offline_host import graph, run
from tasks.offline_host.run import own_params, tell_of_own_programs
from tests.kit import runs

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/export /srv/my\\040data nfs4 rw 0 0
tmpfs /srv/my\\040data/fast tmpfs rw 0 0
"""


@pytest.mark.parametrize(("place", "kind"), [
    ("/home/x", "ext4"), ("/srv/my data/x", "nfs4"), ("/srv/my data/fast/x", "tmpfs"),
    ("/srv/my data2", "ext4")])
def test_the_file_system_of_a_place(place: str, kind: str) -> None:
    assert file_system(Path(place), MOUNTS) == kind
    assert (kind in REMOTE) is (kind == "nfs4")


def test_own_params_come_from_the_file_and_the_sheet(tmp_path: Path) -> None:
    here = {"release": tmp_path, "folder": tmp_path}
    sheet, params = tmp_path / "mine.csv", tmp_path / "p.yml"
    sheet.write_text("sample\n")
    params.write_text("input: other.csv\nskip: null\n")
    assert own_params(str(sheet), None, **here) == {"input": str(sheet)}
    assert own_params(None, str(params), **here) == {"input": "other.csv", "skip": None}
    assert own_params(str(sheet), str(params), **here) == {"input": str(sheet), "skip": None}
    params.write_text(json.dumps({"genome": "x"}))
    assert own_params(None, str(params), **here) == {"genome": "x"}


@pytest.mark.parametrize("text", ["- a list\n", "a: [\n", ""])
def test_a_params_file_that_is_none(tmp_path: Path, text: str) -> None:
    here = {"release": tmp_path, "folder": tmp_path}
    (tmp_path / "p").write_text(text)
    with pytest.raises(ConfigError):
        own_params(None, str(tmp_path / "p"), **here)


def test_a_sheet_that_is_missing_is_named(tmp_path: Path) -> None:
    here = {"release": tmp_path, "folder": tmp_path}
    with pytest.raises(ConfigError, match="input=") as caught:
        own_params(str(tmp_path / "none.csv"), None, **here)
    assert str(tmp_path / "none.csv") in str(caught.value)


def test_what_runs_by_the_hosts_own_programs_is_said(
        tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scan: dict[str, Any] = {"images": [], "processes": [], "selectors": []}
    row = {"file": "main.nf", "line": 1, "why": "nothing sets one", "called": True}
    for without, said in (([], ""), ([{**row, "name": "LOST", "accepted": False}], ""), (
            [{**row, "name": name, "accepted": True} for name in ("SORT", "COUNT")],
            "COUNT, SORT run by this host's own programs")):
        files.write_json(tmp_path / "images.json", {**scan, "without": without})
        tell_of_own_programs(tmp_path)
        assert said in caplog.text
        assert ("WITHOUT AN IMAGE" in caplog.text) is bool(said)


class Told:
    """A task of doit as far as the question goes."""

    def __init__(self, meta: object) -> None:
        self.meta = meta


def test_a_run_on_own_data_leaves_the_test_runs_success_alone(project: Path) -> None:
    def run(given: dict[str, str]) -> dict[str, object]:
        tasks = list(graph.tasks(load({"role": "prod", **given})))
        return next(task for task in tasks
                    if task["basename"] == "prod:run" and task["name"] == "hello")

    test, own = run({}), run({"input": "sheet.csv"})
    assert test["targets"] and not own["targets"]
    assert is_recorded(Told(test["meta"])) and not is_recorded(Told(own["meta"]))


def test_a_run_on_own_data_alone_has_no_limit(tmp_path: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float | None] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "_run", lambda *_, limit, **__: limits.append(limit))
    files.write_text(tmp_path / "own.yml", "a: 1\n")
    for kind in ("stub", "test"):
        runs.ready(tmp_path / "nextflow-24.10.5/nextflow", kind=kind)
        with pytest.raises(HostError, match="published nothing"):
            run.run_test(runs.spec())
    run.run_own(runs.own_spec(params=tmp_path / "own.yml"))
    assert limits == [7200.0, 86400.0, None]
