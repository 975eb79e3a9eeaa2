"""The whole way on runtimes that the environment names: lines that Maven Central lacks.

    AIRLOCK_TEST_DIST=/a/nextflow-25.10.4-dist,/b/nextflow-26.04.6-dist pytest tests/servers/host/…

What was taken the whole way is noted in tasks/core/nextflow/shown.json, by its exact version.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.core import files, schema
from tasks.core.nextflow import java, tested_lines, versions
from tests.kit import machine
from tests.kit.failing import FAILING, cause_of
from tests.kit.project import ROOT, Project, copy, steps

NAMED: list[Path | None] = [
    Path(word) for word in os.environ.get("AIRLOCK_TEST_DIST", "").split(",") if word] or [None]
TITLE = "A title that our own config sets"
OUTPUTS = """
process GREET {
    container 'quay.io/airlock/seqstats:1.0'
    input:
    val name
    output:
    path 'greeting.txt'
    script:
    "echo $name > greeting.txt"
    stub:
    "touch greeting.txt"
}
workflow {
    main:
    greetings = GREET(channel.of('a', 'b'))
    publish:
    texts = greetings
}
output {
    texts { path 'texts' }
}
"""
STEPS = ("resolve", "images:inspect", "dev:validate", "dev:smoke", "prod:run")

@dataclasses.dataclass(frozen=True, kw_only=True)
class Crossed(Project):
    """The project in which `doit` has done its work once, with the Nextflow of this version."""

    version: str

    def receipt(self, path: str) -> Any:
        """The JSON of a file that was built."""
        return json.loads((self.root / "build/local" / path).read_text())


@pytest.fixture(scope="module", params=NAMED, ids=lambda path: path and path.name)
def crossed(request: pytest.FixtureRequest,
            tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crossed]:
    if request.param is None:
        pytest.skip("no named runtime: AIRLOCK_TEST_DIST names no -dist file of Nextflow")
    if machine.no_host():
        pytest.skip(machine.no_host())
    match = re.fullmatch(r"nextflow-(\d+\.\d+\.\d+(?:-[a-z0-9]+)?)-dist", request.param.name)
    assert match, "a file of AIRLOCK_TEST_DIST is called nextflow-VERSION-dist"
    made = copy(tmp_path_factory.mktemp("named"), number=50 + NAMED.index(request.param))
    project = Crossed(root=made.root, version=match[1])
    config = project.root / "config/pipelines/hello.yml"
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {
        "nextflow": {"version": project.version, "dist": str(request.param.absolute())},
        "params": {"title": TITLE}}))
    try:
        project.doit()
        yield project
    finally:
        project.doit("sandbox:down", check=False)


def test_the_whole_way(crossed: Crossed) -> None:
    """Results on the offline host, with a param that our config sets, then nothing left to do."""
    resolved = crossed.receipt("hello/resolved.json")
    assert resolved["config"]["params"]["title"] == TITLE
    assert "all well" in crossed.doit("dev:validate:hello").stdout
    assert "agree" in crossed.doit("images:inspect:hello").stdout
    crossing = crossed.receipt("hello/crossing.json")
    host = crossed.root / "build/local/sandbox/host/disk/hello/airlock"
    results = host / crossing["run"] / "results"
    assert TITLE in (results / "summary/summary.html").read_text()
    assert "<svg" in (crossed.root / "build/local/hello/smoke/DAG.svg").read_text()
    assert steps(crossed.doit().stdout) <= {"dev:validate:hello", "sandbox:up",
                                            "push:release:hello", "push:tool",
                                            "sandbox:packages", "release:promote:hello",
                                            "report:hello"}
    _note(crossed, host)


def test_a_pipeline_with_workflow_outputs_is_tried_and_drawn(crossed: Crossed) -> None:
    """A preview of 26.04 never ends there."""
    if versions.meets(crossed.version, "<25.10.0"):
        pytest.skip("no named runtime whose language has workflow outputs")
    files.write_text(crossed.root / "examples/outputs/main.nf", OUTPUTS)
    files.write_text(crossed.root / "examples/outputs/nextflow.config", "profiles { test {} }\n"
                     "outputDir = params.outdir\nparams.outdir = 'results'\n")
    hello = yaml.safe_load((crossed.root / "config/pipelines/hello.yml").read_text())
    (crossed.root / "config/pipelines/outputs.yml").write_text(yaml.safe_dump(
        {"source": "examples/outputs", "profile": "test", "data": {"rows": 1},
         "nextflow": hello["nextflow"]}))
    crossed.write_site({**crossed.site(), "pipelines": ["hello", "outputs"]})
    said = crossed.doit("dev:smoke:outputs").stdout
    assert ("a preview of Nextflow" in said) is versions.meets(crossed.version, ">=26.04.0")
    picture = (crossed.root / "build/local/outputs/smoke/DAG.svg").read_text()
    assert "GREET" in picture


@pytest.mark.parametrize("name", FAILING)
def test_a_failed_run_says_its_cause(crossed: Crossed, tmp_path: Path, name: str) -> None:
    archive = crossed.root / f"build/local/hello/nextflow-{crossed.version}.tar"
    said = cause_of(FAILING[name], archive, tmp_path)
    assert all(part in said for part in FAILING[name].said), said


def _note(crossed: Crossed, host: Path) -> None:
    """Put this version into the record; what it held of the version before is replaced."""
    lock = json.loads((crossed.root / "config/locks/hello/runtime.json").read_text())
    bootstrap = json.loads(next(host.rglob("bootstrap.json")).read_text())
    record = {"version": crossed.version, "jar": lock["jars"][0]["sha256"], "pipeline": "hello",
              "java": java.major_of(Path(bootstrap["launch"]["java"])), "steps": list(STEPS),
              "on": datetime.now(timezone.utc).strftime("%Y-%m-%d")}
    path = ROOT / tested_lines.RECORD.relative_to(tested_lines.RECORD.parents[3])
    others = [run for run in json.loads(path.read_text())["shown"]
              if run["version"] != crossed.version]
    runs = sorted([*others, record], key=lambda run: versions.order(run["version"]))
    files.write_json(path, schema.check({"shown": runs}, "shown-versions", where=path))
