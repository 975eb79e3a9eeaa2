"""hello for Batch, on the local site: its config cured, and its own runs as they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.core.schema import read_json
from tests.kit.project import Project


@pytest.mark.usefixtures("part")
def test_hello_is_cured_and_runs_as_before(local_project: Project) -> None:
    built = Path("build/local/hello/batch")
    printed = local_project.doit("batch:lint:hello", check=False).stdout
    assert "error: nextflow.config: the pipeline has no profile aws" in printed
    local_project.doit("batch:config:hello", "batch:preserve:hello")
    local_project.doit("batch:lint:hello")
    config = read_json(built / "lint.json", "lint")["configs"][-1]
    assert (config["config"], config["errors"], config["warnings"]) == ("with aws.config", 0, 0)
    answer = read_json(built / "preserve.json", "preserve")
    assert answer["is_preserved"]
    assert {profile["profile"] for profile in answer["profiles"]} >= {"standard", "docker", "test"}
    run = answer["run"]
    assert (run["is_same"], run["differences"]) == (True, [])
    assert run["tasks"] > 3
    assert run["results"] > 3
