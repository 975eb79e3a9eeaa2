"""What is typed about runs: listed, shown, verified, packed and taken back."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from doit.doit_cmd import DoitMain

from tasks.core import files
from tasks.core.errors import CommandError, ConfigError
from tasks.core.schema import check, read_json
from tasks.core.trust import promotions, signature
from tasks.offline_host import at_work, run
from tasks.offline_host import runs as records
from tasks.offline_host.run_folder import RunFolder
from tests.kit import runs

ROOT = Path(__file__).resolve().parents[2]
OURS = dict(re.findall(r'^"?([a-z:]+)"? = "(tasks\.core\.graph\.commands:\w+)"',
                       (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
IMAGE = "registry.example/q/scale@sha256:" + "a" * 64


@pytest.fixture(autouse=True)
def here(project: Path) -> Path:
    """An offline host and its online side in one folder, with a run that went well."""
    site = project / "config/sites/local.yml"
    raw = yaml.safe_load(site.read_text())
    raw["store"] = {"url": "store"}
    raw["offline"] |= {"trust": "trust", "run_signers": "config/run_signers"}
    site.write_text(yaml.safe_dump(raw))
    runs.ready(runs.stub(project, f'task 1 LAB:WEIGH COMPLETED 0 {IMAGE}\necho 3 > "$out/w.txt"\n'))
    promoted = promotions.plan(promotions.Subject(pipeline="weigh"), runs.RELEASE, before=4,
                               valid=None, now=promotions.time("2026-01-02T03:04:05Z"),
                               unproven="the scale is being mended")
    files.write_bytes(runs.LAYOUT.promotion(runs.RELEASE), promoted.data())
    host = project / "keys/host"
    signature.ready(host, create=True, identity="host")
    for place in ("config/run_signers", "trust/run_signers"):
        files.write_text(project / place, f"{at_work.this_host()} {signature.public_key(host)}\n")
    run.run_test(runs.spec(key=host))
    return project


@pytest.fixture
def first() -> RunFolder:
    return runs.folders()[0]


def doit(*words: str) -> int:
    """Type a command of this project's own, as pyproject.toml names them."""
    status: int = DoitMain(extra_config={"COMMAND": OURS}, config_filenames=()).run(list(words))
    return status


def test_runs_are_listed_the_newest_last(
        first: RunFolder, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs.stub(here, 'echo "Error executing process > \'LAB:WEIGH (a)\'"; exit 1\n')
    files.write_text(here / "mine.csv", "stone\n")
    with pytest.raises(CommandError):
        run.run_own(runs.own_spec(here / "mine.csv"))
    begun = runs.folders()
    files.write_text(here / "runs/weigh/20260102T030405Z-torn/run.json", "{")
    capsys.readouterr()
    assert doit("role=prod", "runs") == 0
    printed = capsys.readouterr()
    head, *lines = printed.out.splitlines()
    assert head.split() == ["started", "pipeline", "release", "run", "who", "outcome", "took",
                            "results"]
    assert [row.split()[4] for row in lines] == [folder.name for folder in begun]
    assert "success" in lines[0]
    assert "failed" in lines[1]
    assert "no record that can be read" in printed.err
    assert "Z-torn" in printed.err
    assert doit("role=prod", "runs", "--json", "pipeline=weigh") == 0
    listed = check(json.loads(capsys.readouterr().out), "runs", where="runs")
    assert [row["outcome"] for row in listed] == ["success", "failed"]
    assert (listed[1]["process"], listed[0]["results"]) == ("LAB:WEIGH", 1)
    assert doit("role=prod", "runs", "pipeline=hello") == 0
    assert "there is no run here yet" in capsys.readouterr().out


def test_a_run_is_shown_with_what_an_auditor_asks(
        first: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert doit("role=prod", "runs:show") == 0
    said = capsys.readouterr().out
    for part in (f"weigh/{first.name}", "success, exit status 0", runs.RELEASE,
                 "number 5, signed 2026-01-02T03:04:05Z", "the scale is being mended",
                 f"1 × LAB:WEIGH, completed, in {IMAGE}", "Nextflow 24.10.5, Java 21.0.8",
                 "1 files, 2 B", f"trust/run_signers names for {at_work.this_host()}"):
        assert part in said, part
    assert doit("role=prod", "runs:show", "latest", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record == read_json(first.record, "run")
    assert record["release"]["promotion"]["sha256"] == files.sha256(
        runs.LAYOUT.promotion(runs.RELEASE))


@pytest.mark.parametrize("changed", [
    {"started": 7}, {"host": "node7"}, {"outdir": 5}, {"inputs": []}, {"name": "another"},
    {"results": 3}, {"outcome": {"state": "well"}}])
def test_a_record_of_another_form_is_named_and_stands_in_nobody_s_way(
        first: RunFolder, here: Path, capsys: pytest.CaptureFixture[str],
        changed: dict[str, Any]) -> None:
    files.write_json(first.record, {**read_json(first.record, "run"), **changed})
    assert doit("role=prod", "runs") == 0
    assert f"no record that can be read: {first.path}" in capsys.readouterr().err
    run.run_test(runs.spec())


def test_a_name_with_a_line_in_it_begins_no_other(
        first: RunFolder, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = here / "mine\npromotion  number 99\x1b[2J.csv"
    name.write_text("stone\n")
    run.run_own(runs.own_spec(name))
    assert doit("role=prod", "runs:show") == 0
    said = capsys.readouterr().out
    assert "\npromotion  number 99" not in said
    assert "\x1b" not in said


def test_a_run_is_named_by_its_name_its_beginning_or_latest(first: RunFolder, here: Path) -> None:
    run.run_test(runs.spec())
    second = runs.folders()[1]
    for name, folder in ((first.name, first), (f"weigh/{first.name}", first),
                         (f"weigh/{second.name}/", second), ("latest", second), (None, second)):
        assert records.one(runs.RUNS, name).folder == folder, name
    for name, said in ((first.name[:8], "2 runs are called so"), ("test", "2 runs are called so"),
                       ("nope", "there is no run 'nope'"), ("../..", "there is no run")):
        with pytest.raises(ConfigError, match=said) as caught:
            records.one(runs.RUNS, name)
        assert second.name in str(caught.value)
    with pytest.raises(ConfigError, match="AIRLOCK_RUNS names another"):
        records.one(here / "none", None)


def test_a_difference_ends_verify_with_1(
        first: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert doit("role=prod", "runs:verify", first.name) == 0
    assert "all 1 results are as they were recorded; signed by" in capsys.readouterr().out
    (first.results / "w.txt").write_text("4\n")
    assert doit("role=prod", "runs:verify") == 1
    assert capsys.readouterr().out.startswith("changed      w.txt\n")


def test_the_folder_of_runs_and_the_key_can_be_named_by_the_environment(
        first: RunFolder, here: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    (here / "runs").rename(here / "kept")
    monkeypatch.setenv("AIRLOCK_RUNS", str(here / "kept"))
    monkeypatch.setenv("AIRLOCK_RUN_KEY", str(here / "keys/host"))
    assert doit("role=prod", "runs") == 0
    assert first.name in capsys.readouterr().out
    from tasks.core.config.load import load
    offline = load({"role": "prod"}).site.offline
    assert (offline.runs, offline.key) == (here / "kept", here / "keys/host")


def packed(here: Path, first: RunFolder) -> Path:
    assert doit("role=prod", "prod:export", f"run={first.name}", f"to={here}/run.tar") == 0
    return here / "run.tar"


def known(release: str) -> None:
    files.write_text(Path(f"store/releases/weigh/{release}/SHA256SUMS"), "")


def test_a_run_goes_back_to_the_online_side(
        first: RunFolder, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = packed(here, first)
    said = capsys.readouterr().out
    assert f"sha256 {files.sha256(archive)}" in said
    assert "its list is signed by this host's key" in said
    known(runs.RELEASE)
    assert doit("prod:import", f"from={archive}") == 0
    assert "signed by the key that config/run_signers names" in capsys.readouterr().out
    assert (here / "build/local/runs/weigh" / first.name / "results/w.txt").read_text() == "3\n"
    assert doit("runs:verify") == 0
    assert doit("prod:import", f"from={archive}", f"to={here}/audit") == 0
    assert (here / "audit/weigh" / first.name / "run.json").is_file()


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert doit(*words) == 3
    said = capsys.readouterr().err
    assert said.startswith("ERROR: ")
    assert "Traceback" not in said
    return said


def test_what_cannot_go_back_says_why(
        first: RunFolder, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = packed(here, first)
    said = refused(capsys, "prod:import", f"from={archive}")
    assert f"neither the store nor this site knows the release {runs.RELEASE}" in said
    known(runs.RELEASE)
    other = here / "keys/other"
    signature.ready(other, create=True, identity="other")
    files.write_text(here / "config/run_signers",
                     f"{at_work.this_host()} {signature.public_key(other)}\n")
    assert "it can't be trusted" in refused(capsys, "prod:import", f"from={archive}")
    (here / "config/run_signers").unlink()
    assert "keys is missing" in refused(capsys, "prod:import", f"from={archive}")
    assert not (here / "build/local/runs").exists() or not list(
        (here / "build/local/runs").rglob("run.json"))
    for words, part in ((["prod:import"], "from= is missing"),
                        (["prod:export", "to=x"], "run= is missing"),
                        (["prod:export", "run=latest"], "to= is missing"),
                        (["prod:export", "run=latest", f"to={here}/no/"], "no such folder"),
                        (["prod:export", "run=nope", "to=x"], "there is no run 'nope'"),
                        (["runs:show", "a", "b"], "takes no word 'b'"),
                        (["runs", "pipline=x"], "did you mean 'pipeline'?")):
        assert part in refused(capsys, *words), words


def test_without_a_list_of_hosts_keys_it_is_said_that_nobody_was_checked(
        first: RunFolder, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = here / "config/sites/local.yml"
    raw: dict[str, Any] = yaml.safe_load(site.read_text())
    del raw["offline"]["run_signers"]
    site.write_text(yaml.safe_dump(raw))
    archive = packed(here, first)
    known(runs.RELEASE)
    assert doit("prod:import", f"from={archive}") == 0
    assert "NOT CHECKED who packed it" in capsys.readouterr().out
