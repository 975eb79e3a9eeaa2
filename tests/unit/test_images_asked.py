"""Where the sources don't tell, what `nextflow inspect` answers is taken, and said."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.core.config.load import load
from tasks.core.errors import ImageError, SourceError
from tasks.core.paths import PipelinePaths
from tasks.core.schema import read_json
from tasks.images import graph, inspect
from tasks.images.inspect import AskSpec, InspectSpec, list_asked
from tasks.images.scan import ListSpec, list_images
from tests.kit.pipelines import write_sources

SOURCES = {"main.nf": """
    include { ALIGN as FIRST ; ALIGN as LAST } from './align'
    process KEPT { container 'a/kept:1'; script: 'true' }
    process ONCE { container new File('once.txt').text; script: 'true' }
    workflow SUB { FIRST() }
    workflow { KEPT(); ONCE(); SUB(); LAST() }
""", "align.nf": "process ALIGN { container new File(params.list).text; script: 'true' }\n"}
ANSWERS = {"KEPT": "a/kept:1", "ONCE": "a/once:1", "SUB:FIRST": "quay.io/a/first:1",
           "LAST": "quay.io/a/last:1"}


@pytest.fixture
def spec(tmp_path: Path) -> ListSpec:
    return ListSpec(
        pipeline="p", code=write_sources(tmp_path / "code", SOURCES), profile="test", given={},
        images=tmp_path / "images.txt", scan=tmp_path / "images.json",
        unknown=tmp_path / "images.unknown.txt")


def asking(spec: ListSpec, monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> AskSpec:
    """Let `nextflow inspect` answer this."""
    monkeypatch.setattr(inspect, "ask", lambda _: [
        {"name": name, "container": image} for name, image in answers.items()])
    at = spec.scan.parent
    return AskSpec(**vars(spec), asks=InspectSpec(
        pipeline="p", profile="test", code=spec.code, runtime=at, plugins=at, data_manifest=at,
        blobs=at, scan=spec.scan, log=at / "log"))


def test_the_first_run_names_what_is_open_and_how_it_is_asked(spec: ListSpec) -> None:
    with pytest.raises(ImageError) as caught:
        list_images(spec)
    for words in ("docker.io/a/kept:1", "ONCE: the image hangs on", "ALIGN: the image hangs on"):
        assert words in str(caught.value)
    assert "run the same command again" in str(caught.value.todo)
    assert spec.unknown
    assert len(spec.unknown.read_text().splitlines()) == 2
    assert not spec.images.exists()


def test_the_next_one_takes_the_answer_and_says_so(
        spec: ListSpec, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert list_asked(asking(spec, monkeypatch, ANSWERS)) == (
            "4 images in 4 processes, 3 by `nextflow inspect`")
    assert "LAST, ONCE, SUB:FIRST: the image is that which `nextflow inspect` names" in caplog.text
    scan = read_json(spec.scan, "images-scan")
    assert [row["name"] for row in scan["inspected"]] == ["LAST", "ONCE", "SUB:FIRST"]
    assert scan["images"] == ["docker.io/a/kept:1", "docker.io/a/once:1", "quay.io/a/first:1",
                              "quay.io/a/last:1"]
    assert {row["pattern"]: row["images"][0]["container"] for row in scan["selectors"]} == {
        "(.*:)?(KEPT)": "docker.io/a/kept:1", "(.*:)?(ONCE)": "docker.io/a/once:1",
        "(.*:)?(LAST)": "quay.io/a/last:1", "(?=(?:SUB:FIRST)$)(.*:)?(FIRST)": "quay.io/a/first:1"}


def test_what_it_does_not_answer_is_left_and_hides_nothing(
        spec: ListSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    some = {"KEPT": "a/kept:1", "ONCE": None, "LAST": "quay.io/a/last:1"}
    with pytest.raises(ImageError) as caught:
        list_asked(asking(spec, monkeypatch, some))
    assert "names no image for ONCE" in str(caught.value)
    assert "with the staged params it is not called as SUB:FIRST" in str(caught.value)
    assert "docker.io/a/kept:1" in str(caught.value)
    assert "PROCESS: host/path:tag" in str(caught.value.todo)
    by_hand = {"ONCE": "a/once:2", "ALIGN": ["a/first:1", "a/last:1"]}
    assert list_images(replace(spec, given=by_hand)) == "4 images in 3 processes"
    assert spec.unknown
    assert not spec.unknown.exists()


def test_one_that_could_not_be_asked_is_one_more_fault(
        spec: ListSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: InspectSpec) -> None:
        raise SourceError("`nextflow inspect` could not look")

    there = asking(spec, monkeypatch, {})
    monkeypatch.setattr(inspect, "ask", refuse)
    with pytest.raises(ImageError, match="could not look") as caught:
        list_asked(there)
    assert "docker.io/a/kept:1" in str(caught.value)
    assert "ONCE: the image hangs on" in str(caught.value)


def test_the_data_is_staged_for_it_only_where_it_is_asked(project: Path) -> None:
    def needs() -> set[str]:
        task, = (task for task in graph.tasks(load({"site": "local"}))
                 if task["basename"] == "images:list" and task["name"] == "hello")
        return {Path(path).name for path in task["file_dep"]}

    assert needs() == {"code.tar"}
    at = PipelinePaths(site="local", pipeline="hello")
    at.images_unknown.parent.mkdir(parents=True, exist_ok=True)
    at.images_unknown.write_text("main.nf:1: A: the image hangs on x\n")
    assert needs() == {"code.tar", "data.manifest.json", "inputs.csv", "plugins.tar",
                       "plugins.lock.json", "nextflow-24.10.5.tar"}
