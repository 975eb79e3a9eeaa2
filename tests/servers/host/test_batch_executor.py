"""A trial by the real executor of AWS Batch, against moto, whose jobs are real containers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.batch import explore_image, trials
from tasks.core.engine import daemon
from tasks.core.engine.address import Engine
from tasks.core.errors import CommandError
from tasks.core.nextflow.machine import this_machine
from tasks.runtime import build as runtimes
from tests.kit import engines, executor
from tests.kit.executor import Stand

pytestmark = executor.needs_plugin


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("executor")
    with engines.docker(folder / "docker") as engine, executor.standing(engine, folder) as standing:
        yield standing


@pytest.fixture
def image(stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """bash and coreutils of this machine, and ps, in a real image."""
    monkeypatch.setattr(explore_image, "PROGRAMS", (
        *explore_image.PROGRAMS, "awk", "basename", "cp", "chmod", "cut", "date", "dirname", "env",
        "find", "grep", "head", "ls", "ln", "mktemp", "mv", "nproc", "od", "ps", "rm", "sed",
        "sleep", "sort", "tail", "touch", "tr", "uname", "uniq"))
    client = daemon.connect(Engine(url=stand.engine.command[-1]))
    with explore_image.imported(client, tmp_path / "image") as reference:
        yield reference


def spec(stand: Stand, runtime: runtimes.Runtime, folder: Path, *, image: str,
         cli: str | None) -> trials.TrialSpec:
    """The first trial, on Batch, by the config that batch:config writes."""
    return trials.TrialSpec(
        pipeline="trial", trial="basic", runtime=runtime.archive,
        plugins=executor.plugins(folder), folder=folder / "trial",
        receipt=folder / "receipt.json", log=folder / "trial.log",
        machine=this_machine(os.environ), place=trials.Place(
            kind="batch", mode="carried-cli", engine=Engine(url=stand.engine.command[-1]),
            registries={}, config=executor.settings(stand, folder, cli=cli),
            work=f"s3://{executor.BUCKET}/work", images={"basic": image},
            variables=executor.variables(stand)))


def said(trial: trials.TrialSpec) -> str:
    """All that the run wrote, its job's log among it."""
    return "\n".join(path.read_text(errors="replace") for path in
                     (trial.log, trial.log.with_suffix(".nextflow.log")) if path.is_file())


def test_a_job_with_the_carried_cli_ends_well(
        stand: Stand, runtime: runtimes.Runtime, image: str, tmp_path: Path) -> None:
    trial = spec(stand, runtime, tmp_path, image=executor.led_to(stand, image, f"{image}-led"),
                 cli=executor.unpacked_cli(tmp_path))
    assert "a job starts in a container" in trials.run_trial(trial)
    receipt: dict[str, Any] = json.loads(trial.receipt.read_text())
    assert receipt["where"] == "batch"
    assert receipt["jobs"][0]["status"] == "COMPLETED"
    assert receipt["jobs"][0]["staged"] > receipt["jobs"][0]["run"]


def test_a_job_without_a_cli_ends_with_127(
        stand: Stand, runtime: runtimes.Runtime, image: str, tmp_path: Path) -> None:
    trial = spec(stand, runtime, tmp_path, image=image, cli=None)
    with pytest.raises(CommandError) as caught:
        trials.run_trial(trial)
    assert "127" in said(trial)
    assert "basic: a job starts in a container" in str(caught.value)
