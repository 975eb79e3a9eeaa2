"""Each rule for a config on Batch: a case that it is for, and one close by that it isn't for."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tasks.batch import lint, lint_processes, lint_rules
from tasks.batch.lint_processes import Process, Room
from tasks.batch.lint_rules import ERROR, WARNING, Config, Surroundings
from tasks.batch.settings import Resolved, places, profiles
from tasks.core.config.aws_settings import CARRIED_CLI, FUSION

ROOT = Path(__file__).resolve().parents[2]
DIGEST = "sha256:" + "0" * 64
IMAGE = f"nexus.inside.example.org/a/b@{DIGEST}"
GOOD: dict[str, Any] = {
    "workDir": "s3://example-data/work", "process": {
        "executor": "awsbatch", "queue": "q", "container": IMAGE},
    "aws": {"region": "us-west-2", "batch": {"cliPath": "/opt/airlock-cli/bin/aws"}}}
WAVE: dict[str, Any] = {"wave": {"enabled": True}, "fusion": {"enabled": True},
                        "aws": {"region": "us-west-2", "batch": None}}
PROCESS = Process(name="COUNT", file="main.nf", line=3)


def config(*changes: Mapping[str, Any], mode: str = CARRIED_CLI, token: bool = False,
           other: Mapping[str, Any] | None = None) -> Config:
    """GOOD with these changes; None takes a setting away."""
    settings = copy.deepcopy(GOOD)
    for change in changes:
        merge(settings, change)
    return Config(resolved=Resolved(config=settings), around=Surroundings(
        mode=mode, token=token, other=None if other is None else Resolved(config=other)))


def merge(settings: dict[str, Any], change: Mapping[str, Any]) -> None:
    for key, value in change.items():
        if isinstance(value, Mapping) and isinstance(settings.get(key), dict):
            merge(settings[key], value)
        elif value is None:
            settings.pop(key, None)
        else:
            settings[key] = copy.deepcopy(value)


def rules(judged: Config, *processes: Process, room: Room | None = None) -> list[str]:
    """What lint finds, as rule:severity."""
    findings = lint.judge("c", judged, processes or [PROCESS], room or Room()).findings
    assert all(finding.what and finding.where and finding.todo for finding in findings)
    return [f"{finding.rule}:{finding.severity}" for finding in findings]


def test_what_batch_config_makes_is_without_fault() -> None:
    assert rules(config()) == []
    assert rules(config(WAVE, mode=FUSION, token=True)) == []


REPORT = {"aws": {"region": "us-west-2", "batch": None}}
CASES: dict[str, tuple[Config, list[str], Config]] = {
    "no CLI in reach": (config(REPORT), ["no-cli:error"],
                        config({"aws": {"batch": {"platformType": "fargate"}}}, {
                            "aws": {"batch": {"cliPath": None}}})),
    "Wave alone brings no CLI": (
        config(REPORT, {"wave": {"enabled": True}}, mode=FUSION, token=True), ["no-cli:error"],
        config(WAVE, mode=FUSION, token=True)),
    "the CLI's CA of the host isn't mounted": (
        config({"aws": {"batch": {"cliPath": "/usr/bin/aws"}}}), ["cli-without-ca:error"],
        config({"aws": {"batch": {"cliPath": "/usr/bin/aws", "volumes": "/etc/pki:/etc/pki:ro"}}})),
    "AWS_CA_BUNDLE outside of all mounts": (
        config({"env": {"AWS_CA_BUNDLE": "/etc/inside/ca.pem"}}), ["cli-without-ca:error"],
        config({"env": {"AWS_CA_BUNDLE": "/etc/inside/ca.pem"}},
               {"aws": {"batch": {"volumes": ["/srv/ca:/etc/inside:ro"]}}})),
    "AWS_CA_BUNDLE of the container's options": (
        config({"process": {"containerOptions": "-e AWS_CA_BUNDLE=/srv/ca.pem"}}),
        ["cli-without-ca:error"],
        config({"process": {"containerOptions": "-e AWS_CA_BUNDLE=/opt/airlock-cli/ca.pem"}})),
    "cliPath relative": (
        config({"aws": {"batch": {"cliPath": "tools/bin/aws"}}}), ["cli-path:error"], config()),
    "cliPath of another name": (
        config({"aws": {"batch": {"cliPath": "/opt/tools/aws"}}}), ["cli-path:error"],
        config({"aws": {"batch": {"cliPath": "/opt/tools/bin/aws"}}})),
    "Fusion without Wave": (
        config(WAVE, {"wave": {"enabled": False}}, mode=FUSION, token=True),
        ["fusion-without-wave:error"],
        config(REPORT, {"fusion": {"enabled": False}}, {"aws": GOOD["aws"]}, mode=FUSION)),
    "mirror with freeze": (
        config(WAVE, {"wave": {"mirror": True, "freeze": True}}, mode=FUSION, token=True),
        ["mirror-with-freeze:error"],
        config(WAVE, {"wave": {"mirror": False, "freeze": True}}, mode=FUSION, token=True)),
    "no token for Fusion": (
        config(WAVE, mode=FUSION), ["no-token:error"],
        config(WAVE, {"tower": {"accessToken": "secret"}}, mode=FUSION)),
    "no token for Wave alone": (
        config({"wave": {"enabled": True}}, mode=FUSION), ["no-token:warning"],
        config({"wave": {"enabled": False}}, mode=FUSION)),
    "hosts that aren't reached": (
        config(WAVE, token=True), ["unreachable-hosts:error", "unreachable-hosts:error"],
        config(WAVE, mode=FUSION, token=True)),
    "no queue": (config({"process": {"queue": None}}), ["no-queue:error"],
                 config({"process": {"queue": None, "withName:COUNT": {"queue": "q"}}})),
    "no region": (config({"aws": {"region": None}}), ["no-region:error"], config()),
    "no work folder in S3": (config({"workDir": "work"}), ["no-work-folder:error"],
                             config({"workDir": "s3://other"})),
    "no process on Batch": (
        config({"process": {"executor": "local"}}), ["not-on-batch:error"],
        config({"process": {"executor": "local", "withLabel:big": {"executor": "awsbatch"}}})),
    "no image": (config({"process": {"container": None}}), ["no-container:error"],
                 config({"process": {"container": None,
                                     "withName:.*:COUNT": {"container": IMAGE}}})),
    "an image on musl": (
        config({"process": {"container": f"docker.io/library/alpine@{DIGEST}"}}), ["musl:error"],
        config(WAVE, {"process": {"container": f"docker.io/library/alpine@{DIGEST}"}},
               mode=FUSION, token=True)),
    "a tag": (config({"process": {"container": "docker.io/library/ubuntu:22.04"}}),
              ["tag:warning"], config()),
    "the executor leaks": (config(other={"process": {"executor": "awsbatch", "queue": "q"}}),
                           ["leak:error"], config(other={"process": {"executor": "local"}})),
    "the work folder leaks": (config(other={"workDir": "s3://b/w"}), ["leak:error"],
                              config(other={"workDir": "work", "aws": {"region": "eu-west-1"}})),
    "Wave leaks": (config(other={"wave": {"enabled": True}}), ["leak:error"],
                   config(other={"wave": {"enabled": False}})),
    "cliPath leaks": (config(other={"aws": {"batch": {"cliPath": "/a/bin/aws"}}}),
                      ["leak:warning"], config(other={"aws": {"client": {"anonymous": True}}})),
    "TLS is not verified by a variable": (
        config({"env": {"PYTHONHTTPSVERIFY": "0"}}), ["unverified-tls:error"],
        config({"env": {"PYTHONHTTPSVERIFY": "1"}})),
    "TLS is not verified by a command": (
        config({"process": {"beforeScript": "aws s3 cp --no-verify-ssl s3://b/k ."}}),
        ["unverified-tls:error"], config({"process": {"beforeScript": "curl -fsS https://x"}})),
    "curl -k": (config({"process": {"beforeScript": "curl -s -k https://x"}}),
                ["unverified-tls:error"], config({"params": {"text": "curl -k https://x"}})),
    "S3 without TLS": (
        config({"aws": {"client": {"endpoint": "http://s3.inside.example.org"}}}),
        ["unverified-tls:error"],
        config({"aws": {"client": {"endpoint": "https://s3.inside.example.org"}}})),
    "S3 by the protocol HTTP": (config({"aws": {"client": {"protocol": "HTTP"}}}),
                                ["unverified-tls:error"],
                                config({"aws": {"client": {"protocol": "HTTPS"}}})),
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_holds_for_its_case_and_not_for_the_near_one(name: str) -> None:
    wrong, expected, near = CASES[name]
    assert rules(wrong) == expected
    assert rules(near) == []


def test_each_rule_has_a_case() -> None:
    named = {finding.partition(":")[0] for _, expected, _ in CASES.values() for finding in expected}
    modules = [Path(f"{ROOT}/tasks/batch/{name}.py")
               for name in ("lint", "lint_rules", "lint_processes")]
    written = {rule for module in modules
               for rule in re.findall(r'rule="([a-z-]+)"', module.read_text())}
    assert written - named == {"no-profile", "too-large"}


def test_the_condition_names_each_part_with_its_value() -> None:
    parts = lint_rules.clauses(config(REPORT))
    assert [(part.setting, part.value, part.holds) for part in parts] == [
        ("process.executor", "awsbatch", True), ("workDir", "s3://example-data/work", True),
        ("aws.batch.platformType", "ec2", True), ("wave.enabled", False, True),
        ("fusion.enabled", False, True)]
    cured = lint_rules.clauses(config(WAVE))
    assert [part.setting for part in cured if not part.holds] == ["wave.enabled", "fusion.enabled"]


@pytest.mark.parametrize(("own", "settings", "room", "expected"), [
    ({"cpus": 8}, {}, Room(cpus=4), [f"too-large:{ERROR}"]),
    ({"cpus": 4}, {}, Room(cpus=4), []),
    ({"cpus": 8}, {}, Room(), []),
    ({"cpus": 8}, {"resourceLimits": {"cpus": 4}}, Room(cpus=4), []),
    ({"cpus": 8}, {"withName:COUNT": {"cpus": 2}}, Room(cpus=4), []),
    ({"cpus": 2}, {"withLabel:big": {"cpus": 16}}, Room(cpus=4), [f"too-large:{ERROR}"]),
    ({"memory": "16.GB"}, {}, Room(memory=8 << 30), [f"too-large:{ERROR}"]),
    ({"memory": "7500 MB"}, {}, Room(memory=8 << 30), []),
    ({}, {"memory": {"bytes": 16 << 30, "giga": 16}}, Room(memory=8 << 30), [f"too-large:{ERROR}"]),
    ({}, {"memory": {"bytes": 16 << 30}, "resourceLimits": {"memory": {"bytes": 1 << 30}}},
     Room(memory=8 << 30), []),
    ({}, {"memory": "{ 6.GB * task.attempt }"}, Room(memory=8 << 30), []),
    ({}, {"memory": "{ 6.GB * task.attempt }", "maxRetries": 1}, Room(memory=8 << 30),
     [f"too-large:{WARNING}"]),
    ({}, {"memory": "{ check_max( 72.GB * task.attempt, 'memory' ) }"}, Room(memory=8 << 30),
     [f"too-large:{ERROR}"]),
    ({"cpus": "?"}, {}, Room(cpus=4), []),
    ({}, {"memory": "{ params.memory }"}, Room(memory=1), []),
])
def test_what_fits_no_instance_is_named(own: dict[str, Any], settings: dict[str, Any], room: Room,
                                        expected: list[str]) -> None:
    process = Process(name="COUNT", file="main.nf", line=3, labels=("big",), own=own)
    assert rules(config({"process": settings}), process, room=room) == expected


def test_an_image_is_that_which_nextflow_would_take() -> None:
    process = Process(name="COUNT", file="main.nf", line=3, labels=("old",),
                      own={"container": "quay.io/a/b:1"})
    assert rules(config(), process) == ["tag:warning"], "the process's own beats the general one"
    by_ours = {"process": {"withLabel:old": {"container": "c:1"}, "withName:COUNT": {
        "container": "d:1"}, "withName:(?:(.*:)?(COUNT))": {"container": IMAGE}}}
    assert rules(config(by_ours), process) == []


def test_processes_and_places_are_read_from_the_code(tmp_path: Path) -> None:
    (tmp_path / "sub.nf").write_text("process SUB {\n  cpus 8\n  memory '4 GB'\n  label 'big'\n"
                                     "  container \"${params.x}\"\n  script:\n  ''\n}\n")
    (tmp_path / "main.nf").write_text("include { SUB } from './sub'\nprocess TOP {\n script: ''\n}"
                                      "\nworkflow { TOP(); SUB() }\n")
    (tmp_path / "nextflow.config").write_text(
        "process.queue = 'base'\naws { region = 'x'\n batch.cliPath = 'y' }\n"
        "profiles { aws { process.queue = 'own' } \n other { workDir = 'z' } }\n")
    sub, = (process for process in lint_processes.read(tmp_path) if process.name == "SUB")
    assert [lint_processes.amount(sub.own[key]) for key in ("cpus", "memory")] == [
        (8, False), (4 << 30, False)]
    assert sub.labels == ("big",)
    assert sub.where(config(), "memory", "") == "sub.nf:3"
    assert sub.where(config(), "time", "") == "sub.nf:1"
    assert sub.own["container"] not in (None, "")
    at = places(tmp_path, "aws")
    assert at["process.queue"] == ("nextflow.config", 4)
    assert at["aws.batch.cliPath"] == ("nextflow.config", 3)
    assert "workDir" not in at
    assert profiles(tmp_path) == ["aws", "other"]


def test_a_file_that_is_not_there_leaves_no_places(tmp_path: Path) -> None:
    assert places(tmp_path, "aws") == {}
    assert lint_processes.read(tmp_path) == []


@pytest.mark.parametrize("settings", [
    {"process": "none"}, {"process": {"withName:(": {"container": "a"}}}, {"aws": []},
    {"aws": {"batch": {"cliPath": {"a": 1}, "volumes": 7}}}, {"aws": {"batch": {"volumes": 7}}},
    {"workDir": ["s3://x"]},
    {"env": "x"}, {"wave": True}, {"aws": {"client": {"endpoint": "http://["}}},
    json.loads('{"process": {"cpus": {"a": []}, "memory": [1], "executor": ["awsbatch"]}}')])
def test_settings_of_any_kind_are_judged(settings: dict[str, Any]) -> None:
    rules(config(settings), room=Room(cpus=1, memory=1))
