"""Processes that no image is set for: named, and never left to the host's own programs."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.errors import ImageError
from tasks.core.nextflow import image_selectors
from tasks.core.schema import read_json
from tasks.dev import resolved
from tasks.images import scan as scanner
from tasks.images.scan import ListSpec, list_images
from tests.kit.pipelines import Pipeline, write_sources

CALLS = "\nworkflow { KEPT(); GREP() }\n"
KEPT = "process KEPT { container 'a/kept:1'; script: 'true' }\n"
BARE = "process GREP {{\n    {directive}\n    script:\n    'grep x y'\n}}\n"
RECEIPT = {"docker.io/a/kept:1": f"nexus.example.org:5443/a/kept@sha256:{'a' * 64}"}


def without(code: Path, **options: object) -> dict[str, str]:
    """Why each process that should have an image has none."""
    result = scanner.scan(code, {}, **options)  # type: ignore[arg-type]
    assert result.faults == []
    return {row.name: row.why for row in result.without if row.is_called}


@pytest.mark.parametrize(("directive", "config", "why"), [
    ("conda 'bioconda::grep=3.4'", "", "only `conda 'bioconda::grep=3.4'`"),
    ("conda (params.conda ? 'grep=3' : null)", "params.conda = true", "only `conda 'grep=3'`"),
    ("spack 'grep@3.4'", "", "only `spack 'grep@3.4'`"),
    ("module 'grep/3.4'", "", "only `module 'grep/3.4'`"),
    ("cpus 1", "", "nothing sets one"),
    ("container null", "", "`container` is set to nothing (main.nf:4)"),
    ("container ''", "", "`container` is set to nothing (main.nf:4)"),
    ("container params.image", "params.image = null",
     "params.image is empty by default (main.nf:4)"),
    ("container 'a/grep:1'", "process { withName: GREP { container = null } }",
     "`container` is set to nothing (nextflow.config:1)"),
    ("container 'a/grep:1'; label 'bare'", "process { withLabel: bare { container = '' } }",
     "`container` is set to nothing (nextflow.config:1)"),
    ("container 'a/grep:1'", "process { withName: 'K.*|GR.*' { container = false }\n"
     "withName: KEPT { container = 'a/kept:1' } }",
     "`container` is set to nothing (nextflow.config:1)"),
    ("cpus 1", "profiles { cloud { process.container = 'a/cloud:1' } }", "nothing sets one"),
    ("cpus 1", "process { withName: '.*:OTHER:GREP' { container = 'a/grep:1' } }",
     "nothing sets one"),
])
def test_it_is_named_with_what_there_is_instead(pipeline: Pipeline, directive: str, config: str,
                                                why: str) -> None:
    code = pipeline({"main.nf": KEPT + "\n" + BARE.format(directive=directive) + CALLS,
                     "nextflow.config": config})
    assert without(code) == {"GREP": why}


@pytest.mark.parametrize(("directive", "config"), [
    ("cpus 1", "process.container = 'a/general:1'"),
    ("label 'x'", "process { withLabel: x { container = 'a/label:1' } }"),
    ("cpus 1", "profiles { docker { process.container = 'a/docker:1' } }"),
    ("cpus 1", "profiles { standard { process.container = 'a/standard:1' } }"),
    ("container ''", "process { withName: '.*GREP' { container = 'a/grep:1' } }"),
])
def test_what_gives_it_an_image_counts(pipeline: Pipeline, directive: str, config: str) -> None:
    assert without(pipeline({"main.nf": KEPT + BARE.format(directive=directive) + CALLS,
                             "nextflow.config": config})) == {}


def test_what_nextflow_runs_itself_needs_no_image(pipeline: Pipeline) -> None:
    code = pipeline({"main.nf": "process SUM {\n input: val x\n exec:\n y = x + 1\n}\n"
                                "workflow { SUM(1) }\n"})
    assert scanner.scan(code, {}).without == []
    assert scanner.scan(code, {}).selectors == []


def test_a_pipeline_of_the_first_dsl_runs_each_of_its_processes(pipeline: Pipeline) -> None:
    assert without(pipeline({"main.nf": """
        process GREP { conda 'grep=3'; input: val x from Channel.of(1); script: 'grep' }
    """})) == {"GREP": "only `conda 'grep=3'`"}


ALIASES = {"main.nf": """
    include { GREP as FIRST } from './grep'
    include { GREP as LAST } from './grep'
    include { SUB } from './sub'
    workflow { FIRST(); LAST(); SUB() }
""", "sub.nf": """
    include { GREP } from './grep'
    workflow SUB { GREP | view }
""", "grep.nf": BARE.format(directive="cpus 1")}


@pytest.mark.parametrize(("config", "names"), [
    ("", ["FIRST", "GREP", "LAST"]),
    ("withName: FIRST { container = 'a/first:1' }", ["GREP", "LAST"]),
    ("withName: 'FIRST|LAST' { container = 'a/both:1' }", ["GREP"]),
    ("withName: 'SUB:GREP' { container = 'a/sub:1' }", ["FIRST", "LAST"]),
    ("withName: GREP { container = 'a/all:1' }\nwithName: LAST { container = null }", ["LAST"]),
    ("withName: GREP { container = 'a/all:1' }\nwithName: 'SUB:GREP' { container = null }",
     ["GREP"]),
])
def test_each_name_of_a_process_is_asked_by_itself(pipeline: Pipeline, config: str,
                                                   names: list[str]) -> None:
    code = pipeline({**ALIASES, "nextflow.config": f"process {{\n{config}\n}}\n"})
    assert sorted(without(code)) == names


def test_what_is_named_can_be_given_by_that_name(pipeline: Pipeline) -> None:
    """The advice is followed: an image for one alias, none for another, as the list names them."""
    config = "process { withName: GREP { container = 'a/all:1' }\nwithName: 'FIRST|LAST' {\n" \
             "container = null } }\n"
    code = pipeline({**ALIASES, "nextflow.config": config})
    assert sorted(without(code)) == ["FIRST", "LAST"]
    found = scanner.scan(code, {"FIRST": "a/first:1", "LAST": "none"})
    assert [(row.name, row.is_accepted) for row in found.without] == [("LAST", True)]
    assert {row.pattern: (dict(row.images), row.stops) for row in found.selectors} == {
        "(.*:)?(FIRST)": ({"a/first:1": "docker.io/a/first:1"}, None),
        "(.*:)?(GREP)": ({"a/all:1": "docker.io/a/all:1"}, None), "(.*:)?(LAST)": ({}, None)}
    assert found.images == ["docker.io/a/all:1", "docker.io/a/first:1"]
    mirrored = {image: f"nexus.example.org:5443/{image}" for image in found.images}
    assert resolved.containers(resolved.Resolved(
        config={"docker": {"enabled": True}, "process": {
            f"withName:(?:{row.pattern})": {"container": mirrored.get(image)}
            for row in found.selectors for image in [*dict(row.images).values()] or [""]}},
        scan=found.as_json(), mirrored=mirrored, findings=[], plugins=[], folders=[],
        runtime="24.10.5")) == ("2 processes and aliases, each by a mirrored digest; as its config "
                                "says, LAST by the host's own programs")


def test_a_name_that_nothing_calls_it_by_is_not_missed(pipeline: Pipeline) -> None:
    sources = {name: text for name, text in ALIASES.items() if name != "sub.nf"}
    sources["main.nf"] = sources["main.nf"].replace("include { SUB } from './sub'", "").replace(
        "SUB()", "")
    assert without(pipeline({**sources, "nextflow.config": """
        process { withName: 'FIRST|LAST' { container = 'a/both:1' } }
    """})) == {}


def test_what_no_workflow_calls_is_named_but_not_missed(pipeline: Pipeline) -> None:
    row, = scanner.scan(pipeline({
        "main.nf": KEPT + BARE.format(directive="cpus 1") + "workflow { KEPT() }\n"}), {}).without
    assert (row.name, row.is_called) == ("GREP", False)
    assert "no workflow calls it" in str(row)


def listed(tmp_path: Path, given: Mapping[str, str]) -> ListSpec:
    code = write_sources(tmp_path / "code", {
        "main.nf": KEPT + BARE.format(directive="conda 'grep=3'") + CALLS})
    return ListSpec(pipeline="p", code=code, profile="test", given=given,
                    images=tmp_path / "images.txt", scan=tmp_path / "images.json")


def rendered(spec: ListSpec) -> str:
    scan = read_json(spec.scan, "images-scan")
    return "\n".join(image_selectors.render(image_selectors.of_scan(scan), RECEIPT))


def test_the_list_names_it_and_an_offline_run_stops_there(
        tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spec = listed(tmp_path, {})
    with caplog.at_level(logging.WARNING):
        assert list_images(spec) == "1 images in 1 processes, 1 process without any"
    assert ("main.nf:2: GREP has no image: only `conda 'grep=3'`") in caplog.text
    assert "config/pipelines/p.yml" in caplog.text
    assert ("withName: '(?:(.*:)?(GREP))' { container = {\n"
            "        throw new IllegalStateException('nf-airlock: GREP has no image: only "
            "`conda \\'grep=3\\'`')") in rendered(spec)


def test_one_that_is_to_run_without_does(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spec = listed(tmp_path, {"GREP": "none"})
    with caplog.at_level(logging.WARNING):
        assert list_images(spec) == ("1 images in 1 processes, 1 run without, as the config says")
    assert caplog.text == ""
    assert "withName: '(?:(.*:)?(GREP))' { container = null }" in rendered(spec)


def judged(spec: ListSpec, **docker: object) -> str:
    """What dev:validate says of the containers, with an engine where none is given."""
    config = {"docker": docker or {"enabled": True}, "process": {
        "withName:(?:(.*:)?(KEPT))": {"container": next(iter(RECEIPT.values()))}}}
    return resolved.containers(resolved.Resolved(
        config=config, scan=read_json(spec.scan, "images-scan"), mirrored=RECEIPT, findings=[],
        plugins=[], folders=[], runtime="24.10.5"))


def test_validate_fails_until_the_config_says_that_it_runs_without(tmp_path: Path) -> None:
    spec = listed(tmp_path, {})
    list_images(spec)
    with pytest.raises(ImageError, match=r"GREP has no image: only `conda.*main\.nf:2") as caught:
        judged(spec)
    assert "`none`" in str(caught.value.todo)
    list_images(dataclasses.replace(spec, given={"GREP": "none"}))
    assert judged(spec) == ("1 processes and aliases, each by a mirrored digest; as its config "
                            "says, GREP by the host's own programs")


def test_validate_fails_where_no_engine_is_switched_on(tmp_path: Path) -> None:
    spec = listed(tmp_path, {"GREP": "none"})
    list_images(spec)
    with pytest.raises(ImageError, match="no container engine is enabled"):
        judged(spec, enabled=False)


def test_a_process_that_runs_without_must_be_one_of_the_pipeline(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="did you mean 'GREP'"):
        list_images(listed(tmp_path, {"GREB": "none"}))


def test_what_cannot_be_told_hides_no_image(tmp_path: Path) -> None:
    spec = listed(tmp_path, {})
    code = spec.code / "main.nf"
    files.write_text(code, code.read_text() + "process RUN { container which(); script: '' }\n"
                     "include { LOST } from './lost'\n")
    with pytest.raises(ImageError) as caught:
        list_images(spec)
    for words in ("docker.io/a/kept:1", "RUN: the image hangs on which", "lost"):
        assert words in str(caught.value)
