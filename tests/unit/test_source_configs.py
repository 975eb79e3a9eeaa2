"""A config read once for all rooms, as Nextflow 24.10 runs it; test_source_configs of
tests/servers holds the same texts against the real one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.core import files
from tasks.images import scan as images
from tasks.reach.reach import ReachSpec, reach
from tests.kit.reach import of, reached
from tests.kit.source_configs import CONTAINERS

PROCESS = "process A { script: '' }\nworkflow { A() }\n"


ENGINE: tuple[str, dict[str, str], str] = (
    "process.container = workflow.containerEngine == 'docker' ? 'no/no:1' : 'q.io/a/b:1'\n",
    {}, "q.io/a/b:1")
"""Tried, too: outside of closures a config knows no engine. Nextflow warns of it behind its answer.
"""


@pytest.mark.parametrize(("text", "others", "container"), [*CONTAINERS.values(), ENGINE],
                         ids=[*CONTAINERS, "no engine"])
def test_a_container_that_a_config_sets(tmp_path: Path, text: str, others: dict[str, str],
                                        container: str) -> None:
    for name, content in {**others, "main.nf": PROCESS, "nextflow.config": text}.items():
        files.write_text(tmp_path / name, content)
    found = images.scan(tmp_path, {}, profiles=["test"])
    assert container in found.images
    assert found.faults == []
    assert "docker.io/no/no:1" not in found.images


def test_both_ways_of_a_condition_on_a_param_are_read(tmp_path: Path) -> None:
    """The value that a run ends with needn't be the one that the condition saw."""
    found = reached(tmp_path, {"nextflow.config": (
        "params.flag = false\n"
        "if (params.flag) {\n foo.bar = 'https://a.example.org'\n} else {\n"
        " foo.bar = 'https://b.example.org'\n}\n"
        "profiles { test { params.flag = true } }\n")}, params={"flag": True})
    assert [finding.what for finding in of(found, "setting")] == ["https://a.example.org",
                                                                  "https://b.example.org"]


def test_an_address_in_a_condition_or_a_value_of_two_lines(tmp_path: Path) -> None:
    found = reached(tmp_path, {"nextflow.config": (
        "if (params.a in ['https://a.example.org']) { }\n"
        "foo.bar = params.b ?\n    'https://b.example.org' : null\n")}, params={"a": 1, "b": 1})
    assert [(finding.line, finding.todo) for finding in of(found, "setting")] == [
        (3, "set foo.bar in the configuration's offline.config")]
    assert found.counted["only shown to people"] == ["nextflow.config:1"]


def test_the_archive_is_read_as_its_folder(tmp_path: Path) -> None:
    """reach.json of code.tar, whose folder the resolved config calls by another name."""
    files.write_tar(tmp_path / "code.tar", Path(), [], extra={
        "main.nf": b"workflow { file(params.list) }\n", "bin/tool": b"wget https://x.example.org\n",
        "nextflow.config": b"params.list = \"$projectDir/assets/list.csv\"\n",
        "assets/list.csv": b"a,https://x.example.org/a\n", "assets/binary": b"\0https://no"})
    files.write_json(tmp_path / "resolved.json", {
        "pipeline": "p", "profile": "test", "isolation": "none",
        "config": {"params": {"list": "/.airlock/project/assets/list.csv"}}})
    files.write_json(tmp_path / "data.json", {
        "pipeline": "p", "profile": "test", "params": {}, "files": [], "declared": [],
        "sheets": []})
    for name in ("plugins.txt", "offline.config"):
        files.write_text(tmp_path / name, "")
    summary = reach(ReachSpec(
        pipeline="p", profile="test", code=tmp_path / "code.tar", plugins=tmp_path / "plugins.txt",
        resolved=tmp_path / "resolved.json", data_manifest=tmp_path / "data.json",
        toggles=tmp_path / "offline.config", engine_toggles=tmp_path / "offline.config",
        output=tmp_path / "reach.json"))
    assert summary == "2 findings, 1 without an answer"
