"""Two real runs without and with the profile for Batch: equal, and what is named where not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.batch.pipeline import Staged
from tasks.batch.preserve import PreserveSpec, preserve
from tasks.batch.preserve_run import RunSpec, compare
from tasks.core import files
from tasks.core.nextflow.environment import Inherited
from tasks.core.nextflow.machine import this_machine
from tasks.core.schema import read_json
from tasks.runtime import build as runtimes
from tests.kit import machine

MAIN = """
params.word = 'none'
process SAY {
    cpus 1
    memory '50 MB'
    publishDir params.outdir
    output: path 'said.txt'
    script: "echo ${params.word} > said.txt"
}
workflow { SAY() }
"""
CONFIG = """
params.outdir = 'results'
params.word   = 'hello'
profiles {
    test { report { enabled = true; file = "${params.outdir}/r_${System.nanoTime()}.html" } }
}
"""
AWS_CONFIG = "process.executor = 'awsbatch'\nprocess.cpus = 1\nparams.word = 'bye'\n"


@pytest.fixture
def spec(tmp_path: Path, runtime: runtimes.Runtime) -> PreserveSpec:
    machine.need_namespaces()
    files.write_tar(tmp_path / "code.tar", Path(), [], extra={
        "main.nf": MAIN.encode(), "nextflow.config": CONFIG.encode()})
    files.write_tar(tmp_path / "plugins.tar", Path(), [])
    files.write_text(tmp_path / "offline.config", "profiles { offline {} }\n")
    files.write_json(tmp_path / "data.manifest.json", {
        "pipeline": "p", "profile": "test", "declared": [], "files": [], "params": {},
        "sheets": []})
    files.write_text(tmp_path / "batch/aws.config", AWS_CONFIG)
    run = RunSpec(
        profile="test", runtime=runtime.archive, plugins=tmp_path / "plugins.tar",
        config=tmp_path / "offline.config", data_manifest=tmp_path / "data.manifest.json",
        blobs=tmp_path / "blobs", receipt=tmp_path / "none", log=tmp_path / "run.log",
        machine=this_machine(os.environ))
    return PreserveSpec(
        pipeline="p", profile="aws", config=tmp_path / "batch/aws.config", run=run,
        output=tmp_path / "batch/preserve.json", staged=Staged(
            code=tmp_path / "code.tar", runtime=runtime.archive, log=tmp_path / "log",
            inherited=Inherited.of(os.environ)))


def test_two_runs_without_the_profile_are_equal(spec: PreserveSpec) -> None:
    assert preserve(spec) == "2 other profiles resolve as before; two runs were equal"
    run = read_json(spec.output, "preserve")["run"]
    assert (run["is_same"], run["tasks"], run["results"], run["differences"]) == (True, 1, 1, [])


def test_a_run_that_differs_is_named(spec: PreserveSpec, tmp_path: Path) -> None:
    assert spec.run is not None
    after = MAIN.replace("memory '50 MB'", "memory '60 MB'").replace("> said", "world > said")
    files.write_tar(tmp_path / "after.tar", Path(), [], extra={
        "main.nf": after.encode(), "nextflow.config": CONFIG.encode()})
    run = compare(spec.run, spec.staged.code, tmp_path / "after.tar", tmp_path)
    command, memory, result = run["differences"]
    assert command.startswith("task SAY: command was ")
    assert memory == "task SAY: memory was 52428800, is 62914560"
    assert result == "result said.txt: its content"
