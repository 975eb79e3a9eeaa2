"""What is said and chosen before a run on this side: processes without a stub, a user's own sheet.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.nextflow.environment import NOTHING
from tasks.core.nextflow.installed import Nextflow
from tasks.core.nextflow.launch import Launch
from tasks.core.paths import PipelinePaths
from tasks.core.source import stubs
from tasks.dev import own_sheet

PROCESS = "process {name} {{\n    script:\n    'real'\n{more}}}\n"


def test_processes_without_a_stub_are_named(tmp_path: Path) -> None:
    sources = {
        "flow.nf": "include { A } from './a'\ninclude { B; C } from './b'\nworkflow { A(); B() }\n",
        "a.nf": PROCESS.format(name="A", more="    stub:\n    'touch x'\n"),
        "b.nf": PROCESS.format(name="B", more="") + PROCESS.format(name="C", more="    // stub:\n"),
        "unused.nf": PROCESS.format(name="D", more="")}
    for name, text in sources.items():
        files.write_text(tmp_path / name, text)
    assert stubs.warning(stubs.lacking(tmp_path, "flow.nf")) == (
        "2 processes have no stub, so a stub run runs the real script: B (b.nf:1), C (b.nf:5)")
    assert stubs.warning(stubs.lacking(tmp_path, "a.nf")) is None


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PipelinePaths:
    """A pipeline whose profile has no input, and a user's sheet that was staged for it."""
    monkeypatch.chdir(tmp_path)
    at = PipelinePaths(site="here", pipeline="p")
    digest = files.sha256_bytes(b"reads")
    files.write_bytes(at.of_site.blobs / digest / "a.fq", b"reads")
    for name in ("cohort", "other"):
        files.write_text(at.own / name / "inputs.csv", f"sample,fastq\na,data/{digest}/a.fq\n")
        files.write_json(at.own / name / "data.manifest.json", {
            "pipeline": "p", "profile": "", "declared": [], "sheets": [],
            "params": {"input": {"kind": "sheet", "path": "inputs.csv"}},
            "files": [{"url": "own:a.fq", "sha256": digest, "size": 5,
                       "path": f"data/{digest}/a.fq"}]})
    return at


def test_your_own_sheet_is_taken_where_the_profile_has_no_input(
        at: PipelinePaths, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="tasks")
    folder = tmp_path / "launch"
    ready = Launch(
        nextflow=Nextflow(launcher=folder, java=folder, home=folder, inherited=NOTHING),
        code=folder / "code", tree=folder, configs=(), params=folder / "params.json",
        host_params=folder / "host.params.json", folder=folder)
    files.write_json(ready.params, {"igenomes_base": "/here"})
    for resolved in ({"input": None}, {}):
        files.write_json(at.resolved, {"pipeline": "p", "profile": "docker",
                                       "isolation": "namespaces", "config": {"params": resolved}})
        taken = own_sheet.taken(at, ready, "dev:smoke:p")
        params = json.loads(taken.params.read_bytes())
        assert params["igenomes_base"] == "/here"
        sheet = Path(params["input"])
        assert sheet.is_relative_to(folder)
        assert Path(sheet.read_text().split("\n")[1].split(",")[1]).read_bytes() == b"reads"
    assert "your own sheet cohort is taken; also staged: other" in caplog.text
    files.write_json(at.resolved, {"pipeline": "p", "profile": "docker", "isolation": "namespaces",
                                   "config": {"params": {"input": "/its/own.csv"}}})
    assert own_sheet.taken(at, ready, "dev:smoke:p") is ready
