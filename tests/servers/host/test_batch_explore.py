"""The faults of staging, in real containers, with the CLI that is carried."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.batch import explore
from tasks.batch.explore import ExploreSpec
from tasks.core.engine.address import Engine
from tasks.core.errors import HostError
from tests.kit import carried_cli, engines


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[engines.Engine]:
    with engines.docker(tmp_path_factory.mktemp("engine") / "docker") as running:
        yield running


@pytest.fixture
def spec(engine: engines.Engine, tmp_path: Path) -> ExploreSpec:
    folder = carried_cli.carried()
    return ExploreSpec(bundle=folder / carried_cli.BUNDLE, manifest=folder / carried_cli.MANIFEST,
                       region="us-west-2", engine=Engine(url=engine.command[-1]),
                       output=tmp_path / "batch/explore.json")


def test_each_job_ends_as_its_fault_says(spec: ExploreSpec, engine: engines.Engine) -> None:
    lines = explore.explore(spec).splitlines()
    jobs = {job["name"]: job for job in json.loads(spec.output.read_text())["jobs"]}
    print(json.dumps(jobs, indent=1))
    assert all(job["shown"] for job in jobs.values())
    assert (jobs["no-cli"]["exit"], jobs["no-cli"]["message"]) == (
        127, "bash: line 2: aws: command not found")
    assert jobs["no-ca"]["exit"] == 1
    assert "SSL validation failed for https://127.0.0.1:" in jobs["no-ca"]["message"]
    assert jobs["no-ca"]["message"].endswith("[Errno 2] No such file or directory")
    assert (jobs["carried-cli"]["exit"], jobs["carried-cli"]["message"]) == (0, "")
    assert [line.partition("exit")[0].strip() for line in lines] == [
        case.about for case in explore.CASES]
    assert list(spec.output.parent.iterdir()) == [spec.output]
    assert engine.run("images", "--quiet").stdout == ""
    assert engine.run("ps", "--all", "--quiet").stdout == ""


def test_a_job_that_ends_otherwise_is_no_success(spec: ExploreSpec,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    untrusted = dataclasses.replace(explore.CASES[2], ca=None)  # the CLI's own knows no private CA
    monkeypatch.setattr(explore, "CASES", (*explore.CASES[:2], untrusted))
    with pytest.raises(HostError, match="otherwise than they are to show: carried-cli"):
        explore.explore(spec)
    job = json.loads(spec.output.read_text())["jobs"][2]
    assert (job["exit"], job["shown"]) == (1, False)
    assert "CERTIFICATE_VERIFY_FAILED" in job["message"]
