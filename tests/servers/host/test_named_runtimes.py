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
from tasks.core.errors import CommandError
from tasks.core.nextflow import installed, java, launch, tested_lines, versions
from tasks.core.nextflow.environment import Inherited
from tests.kit import machine
from tests.kit.project import ROOT, Project, copy, steps

NAMED: list[Path | None] = [
    Path(word) for word in os.environ.get("AIRLOCK_TEST_DIST", "").split(",") if word] or [None]
TITLE = "A title that our own config sets"
STEPS = ("resolve", "images:inspect", "dev:validate", "dev:smoke", "prod:run")
FAILING = {
    "exit": ("process A {\n    script:\n    'echo said >&2; nosuchtool'\n}\nworkflow { A() }\n",
             ["Error executing process > 'A'", "error exit status (127)", "echo said >&2",
              "nosuchtool: command not found"]),
    "file": ("workflow { channel.fromPath('/nosuch/a.txt', checkIfExists: true).view() }\n",
             ["/nosuch/a.txt"]),
    "workflow": ("workflow { def none = null; println none.size }\n", ["'size' on null object"]),
    "syntax": ("workflow { A( }\n", ["rror"]),
}


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
    assert "(" not in crossed.doit("dev:validate:hello").stdout.partition("warning")[2]
    assert "1 agree" not in crossed.doit("images:inspect:hello").stdout
    crossing = crossed.receipt("hello/crossing.json")
    host = crossed.root / "build/local/sandbox/host/disk/hello/airlock"
    results = host / "results/hello" / crossing["release"] / "test"
    assert TITLE in (results / "summary/summary.html").read_text()
    assert "<svg" in (crossed.root / "build/local/hello/smoke/DAG.svg").read_text()
    assert steps(crossed.doit().stdout) <= {"dev:validate:hello", "sandbox:up"}
    _note(crossed, host)


@pytest.mark.parametrize("name", FAILING)
def test_a_failed_run_says_its_cause(crossed: Crossed, tmp_path: Path, name: str) -> None:
    script, expected = FAILING[name]
    files.write_text(tmp_path / "code/main.nf", script)
    for empty in ("params.json", "host.params.json"):
        files.write_json(tmp_path / empty, {})
    files.write_text(tmp_path / "own.config", "profiles { offline {} }\n")
    nextflow = installed.install(
        crossed.root / f"build/local/hello/nextflow-{crossed.version}.tar", tmp_path / "runtime",
        home=tmp_path / "home", inherited=Inherited.of(os.environ))
    ready = launch.Launch(
        nextflow=nextflow, code=tmp_path / "code", tree=tmp_path, folder=tmp_path,
        configs=(tmp_path / "own.config",), params=tmp_path / "params.json",
        host_params=tmp_path / "host.params.json")
    with pytest.raises(CommandError) as caught:
        launch.run(ready, profile="", log=tmp_path / "run.log", options=[])
    said = "\n".join(caught.value.tail)
    assert all(part in said for part in expected), said
    assert "Tip:" not in said


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
