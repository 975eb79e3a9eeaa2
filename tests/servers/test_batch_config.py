"""A pipeline's config for Batch, as the real Nextflow resolves it: the fault and its cures."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tasks.batch import config as batch_config
from tasks.batch import pipeline
from tasks.batch.config import INCLUDED, ConfigSpec
from tasks.batch.lint import LintSpec, lint
from tasks.batch.lint_processes import Room
from tasks.batch.pipeline import Staged
from tasks.batch.preserve import PreserveSpec, preserve
from tasks.core import files
from tasks.core.errors import ConfigError, ImageError, SourceError
from tasks.core.schema import read_json
from tasks.images.scan import ListSpec, list_images
from tasks.runtime import build as runtimes

DIGEST = "sha256:" + "1" * 64
IMAGE = "docker.io/h4rrye/chromapipe:with-mdtraj"
MAIN = """
process COMPUTE { container 'h4rrye/chromapipe:with-mdtraj'; cpus 2; memory '4 GB'; script: 'x' }
process COMPILE { container 'h4rrye/chromapipe:with-mdtraj'; cpus 1; script: 'x' }
workflow { COMPUTE(); COMPILE() }
"""
REPORT = """
    aws {
        %s
        process {
            container = 'h4rrye/chromapipe:with-mdtraj'
            executor  = 'awsbatch'
            queue     = 'chromapipe-queue-v4'
            cpus      = 2
            memory    = '4 GB'
        }
        workDir    = 's3://chromapipe-data/work'
        aws.region = 'us-west-2'
    }
"""
CONFIG = """// line 1
docker.registry = 'docker.io'
params.outdir = 'results'
timeline.file = "${params.outdir}/t_${new java.util.Date().format('yyyy-MM-dd_HH-mm-ss')}.html"
profiles {
    standard { process.executor = 'local'; docker.enabled = true }
    test { process.cpus = 1 }
    %s
}
"""
FAULT, CURE = REPORT % "", REPORT % "wave.enabled = true; fusion.enabled = true"


@pytest.fixture
def carried(tmp_path: Path, runtime: runtimes.Runtime) -> ConfigSpec:
    """The report's pipeline, staged, with its image mirrored and locked."""
    stage(tmp_path, CONFIG % "")
    list_images(ListSpec(pipeline="p", code=tmp_path / "code.tar", profile="test", given={},
                         images=tmp_path / "images.txt", scan=tmp_path / "images.json"))
    files.write_json(tmp_path / "receipt.json", {"registry": "nexus.example.org:5443", "images": [{
        "source": IMAGE, "destination": "nexus.example.org:5443/docker.io/h4rrye/chromapipe",
        "digest": DIGEST, "platform": "linux/amd64", "size": 1}]})
    files.write_json(tmp_path / "lock.json", {"platform": "linux/amd64", "images": [{
        "source": IMAGE, "index": None, "manifest": DIGEST, "media_type": "m", "size": 1,
        "platform": "linux/amd64", "layers": [], "resolved": "2026-01-01T00:00:00Z",
        "config": {"digest": DIGEST, "size": 1}}]})
    return ConfigSpec(
        pipeline="p", profile="aws", mode="carried-cli", queue="example-queue",
        work="s3://example-data/work", region="us-west-2", code=tmp_path / "code.tar",
        scan=tmp_path / "images.json", config=tmp_path / "batch/aws.config",
        patch=tmp_path / "batch/aws.patch", receipt=tmp_path / "receipt.json", cpus=4,
        memory=16 * 10**9)


def stage(folder: Path, config: str) -> None:
    shutil.rmtree(folder / "code", ignore_errors=True)
    files.write_text(folder / "code/main.nf", MAIN)
    files.write_bytes(folder / "code/nextflow.config", config.encode())
    pack(folder)


def pack(folder: Path) -> None:
    files.write_tar(folder / "code.tar", folder / "code", files.tree(folder / "code"))


def fusion(spec: ConfigSpec) -> ConfigSpec:
    return dataclasses.replace(spec, mode="fusion", receipt=None,
                               lock=spec.code.with_name("lock.json"))


def staged(spec: ConfigSpec, runtime: runtimes.Runtime) -> Staged:
    return Staged(code=spec.code, runtime=runtime.archive, log=spec.code.with_name("log"))


def linted(spec: ConfigSpec, runtime: runtimes.Runtime, **more: Any) -> list[dict[str, Any]]:
    """What lint says of each config of lint.json."""
    with_defaults = {"has_token": False, "mode": spec.mode, "room": Room(), **more}
    lint_spec = LintSpec(pipeline="p", staged=staged(spec, runtime), profile="aws",
                         aws_config=spec.config, output=spec.code.with_name("lint.json"),
                         index=spec.code.with_name("index.json"), blobs=spec.code.parent,
                         cli=spec.code.with_name("cli.json"),
                         **with_defaults)
    try:
        lint(lint_spec)
    except ConfigError as error:
        assert "would not run on Batch" in str(error)
    configs: list[dict[str, Any]] = read_json(lint_spec.output, "lint")["configs"]
    return configs


def rules(config: dict[str, Any]) -> set[str]:
    return {finding["rule"] for finding in config["findings"]}


def test_the_report_s_fault_and_its_cure(carried: ConfigSpec, runtime: runtimes.Runtime) -> None:
    stage(carried.code.parent, CONFIG % FAULT)
    config, = linted(carried, runtime, mode="fusion")
    assert config["stages_by_cli"]["holds"]
    assert {clause["setting"]: (clause["value"], clause["where"])
            for clause in config["stages_by_cli"]["clauses"]} == {
        "process.executor": ("awsbatch", "nextflow.config:13"),
        "workDir": ("s3://chromapipe-data/work", "nextflow.config:18"),
        "aws.batch.platformType": ("ec2", "nextflow.config"),
        "wave.enabled": (False, "nextflow.config"), "fusion.enabled": (False, "nextflow.config")}
    assert rules(config) == {"no-cli", "tag"}
    stage(carried.code.parent, CONFIG % CURE)
    cured, = linted(carried, runtime, mode="fusion", has_token=True)
    assert not cured["stages_by_cli"]["holds"]
    assert rules(cured) == {"tag"}
    assert "no-token" in rules(linted(carried, runtime, mode="fusion")[0])
    offline, = linted(carried, runtime, mode="carried-cli", has_token=True)
    assert rules(offline) == {"unreachable-hosts", "tag"}


def test_settings_that_leak_and_jobs_that_fit_nowhere(carried: ConfigSpec,
                                                      runtime: runtimes.Runtime) -> None:
    stage(carried.code.parent, f"workDir = 's3://b/w'\n{CONFIG % CURE}")
    config, = linted(carried, runtime, mode="fusion", has_token=True, room=Room(cpus=1))
    assert {(finding["rule"], finding["where"]) for finding in config["findings"]
            if finding["severity"] == "error"} == {
        ("leak", "nextflow.config:1"), ("too-large", "main.nf:2")}


@pytest.mark.parametrize("mode", ["carried-cli", "fusion"])
def test_what_is_made_cures_every_error(carried: ConfigSpec, runtime: runtimes.Runtime,
                                        mode: str) -> None:
    spec = carried if mode == "carried-cli" else fusion(carried)
    batch_config.make(spec)
    first = (spec.config.read_bytes(), spec.patch.read_bytes())
    own, with_config = linted(spec, runtime, has_token=True, room=Room(cpus=4, memory=15 << 30))
    assert rules(own) == {"no-profile"}
    assert with_config["findings"] == []
    assert with_config["stages_by_cli"]["holds"] == (mode == "carried-cli")
    executor = with_config["stages_by_cli"]["clauses"][0]
    assert executor["where"].startswith("aws.config:")
    batch_config.make(spec)
    assert (spec.config.read_bytes(), spec.patch.read_bytes()) == first


@pytest.mark.parametrize("mode", ["carried-cli", "fusion"])
def test_what_a_run_on_batch_resolves_to(carried: ConfigSpec, runtime: runtimes.Runtime,
                                         mode: str) -> None:
    spec = carried if mode == "carried-cli" else fusion(carried)
    batch_config.make(spec)
    apply(spec, "patch")
    pack(spec.code.parent)
    with pipeline.opened(staged(spec, runtime), spec.code.parent) as opened:
        config = opened.config("test,aws")
    process = config["process"]
    assert (process["executor"], process["queue"]) == ("awsbatch", "example-queue")
    limits = process["resourceLimits"]
    assert (limits["cpus"], limits["memory"]["mega"]) == (4, 15258)
    host = "docker.io" if mode == "fusion" else "nexus.example.org:5443/docker.io"
    for name in ("COMPUTE", "COMPILE"):
        assert process[f"withName:(?:(.*:)?({name}))"]["container"] == (
            f"{host}/h4rrye/chromapipe@{DIGEST}")
    assert config["workDir"] == "s3://example-data/work"
    assert config["aws"]["region"] == "us-west-2"
    assert config["wave"]["enabled"] is config["fusion"]["enabled"] is (mode == "fusion")
    assert config["aws"].get("batch") == (
        None if mode == "fusion" else {"cliPath": "/opt/airlock-cli/bin/aws"})


def apply(spec: ConfigSpec, program: str, *more: str) -> None:
    words = {"patch": ["patch", "-p1", "-s", "-i"], "git": ["git", "apply"]}[program]
    subprocess.run([*words, *more, spec.patch.absolute()], check=True,
                   cwd=spec.code.parent / "code")


@pytest.mark.parametrize("program", ["patch", "git"])
@pytest.mark.parametrize("text", [
    CONFIG % "", CONFIG % FAULT, (CONFIG % "").rstrip(), (CONFIG % "").replace("\n", "\r\n"), "",
    "params.city = 'Z\xfcrich'\n"],
    ids=["plain", "with aws", "no line end", "CRLF", "empty", "name"])
def test_the_patch_is_taken_once_and_changes_nothing_else(
        carried: ConfigSpec, program: str, text: str) -> None:
    folder = carried.code.parent
    stage(folder, text)
    assert "git apply" in batch_config.make(carried)
    apply(carried, program)
    assert (folder / "code" / INCLUDED).read_bytes() == carried.config.read_bytes()
    assert (folder / "code/nextflow.config").read_bytes().startswith(text.encode())
    pack(folder)
    assert "includes it already" in batch_config.make(carried)
    assert carried.patch.read_bytes() == b""


def test_a_changed_site_changes_the_file_that_is_included_alone(carried: ConfigSpec) -> None:
    batch_config.make(carried)
    apply(carried, "git")
    pack(carried.code.parent)
    batch_config.make(dataclasses.replace(carried, queue="another-queue"))
    apply(carried, "patch")
    assert "queue = 'another-queue'" in (carried.code.parent / "code" / INCLUDED).read_text()
    assert (carried.code.parent / "code/nextflow.config").read_text().count("includeConfig") == 1


def test_an_image_that_is_not_mirrored_is_an_error(carried: ConfigSpec) -> None:
    files.write_json(carried.code.with_name("receipt.json"), {"registry": "n:1", "images": []})
    with pytest.raises(ImageError, match="COMPUTE"):
        batch_config.make(carried)
    assert not carried.config.exists()


def preserved(spec: ConfigSpec, runtime: runtimes.Runtime) -> dict[str, Any]:
    output = spec.code.with_name("preserve.json")
    preserve(PreserveSpec(pipeline="p", staged=staged(spec, runtime), profile="aws",
                          config=spec.config, output=output))
    answer: dict[str, Any] = read_json(output, "preserve")
    return answer


@pytest.mark.parametrize("aws", ["", FAULT, CURE], ids=["none", "fault", "cure"])
def test_all_other_profiles_resolve_as_before(carried: ConfigSpec, runtime: runtimes.Runtime,
                                              aws: str) -> None:
    stage(carried.code.parent, CONFIG % (aws + "\n    broken { includeConfig 'nosuch.config' }"))
    batch_config.make(carried)
    answer = preserved(carried, runtime)
    assert answer["is_preserved"]
    assert {profile["profile"]: (profile["is_same"], profile["resolves"])
            for profile in answer["profiles"]} == {
        "standard": (True, True), "test": (True, True), "broken": (True, False)}


def test_a_profile_that_changes_is_named(carried: ConfigSpec, runtime: runtimes.Runtime,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    batch_config.make(carried)
    monkeypatch.setattr("tasks.batch.preserve.with_profile",
                        lambda text, *_: f"{text}\nincludeConfig '{INCLUDED}'\n")
    with pytest.raises(SourceError, match="runs without the profile change"):
        preserved(carried, runtime)
    answer = read_json(carried.code.with_name("preserve.json"), "preserve")
    standard = next(profile for profile in answer["profiles"] if profile["profile"] == "standard")
    assert {"setting": "config.workDir", "before": "work", "after": "s3://example-data/work"} in (
        standard["settings"])
