"""Images by hand: one for a process, several among which a task chooses, or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.core.config.load import load
from tasks.core.errors import ConfigError, ImageError
from tasks.core.nextflow import image_selectors
from tasks.dev import resolved
from tasks.images import scan as scanner
from tests.kit.pipelines import Pipeline

BY_INPUT = """
    process WORKER {
        container "${params.prefix}${module.image}:${module.version}"
        input:
        tuple val(module), path(x)
        script:
        'true'
    }
    process PLAIN { container pick(); script: 'true' }
    def pick() { ['a/one:1', 'a/two:1'][0] }
    workflow { WORKER(x); PLAIN() }
"""
BOTH = ["a/one:1", "docker.io/a/two"]


def test_a_task_chooses_among_several_by_its_own_expression(pipeline: Pipeline) -> None:
    found = scanner.scan(pipeline({"main.nf": BY_INPUT}), {"WORKER": BOTH, "PLAIN": "a/one:1"})
    assert found.faults == []
    assert found.images == ["docker.io/a/one:1", "docker.io/a/two:latest"]
    worker, = (row for row in found.selectors if "WORKER" in row.pattern)
    assert worker.choice == '("${params.prefix}${module.image}:${module.version}")'
    assert dict(worker.images) == {
        "a/one:1": "docker.io/a/one:1", "docker.io/a/one:1": "docker.io/a/one:1",
        "docker.io/a/two": "docker.io/a/two:latest", "a/two": "docker.io/a/two:latest",
        "a/two:latest": "docker.io/a/two:latest",
        "docker.io/a/two:latest": "docker.io/a/two:latest"}


def test_where_the_choice_cannot_be_made_elsewhere_the_process_keeps_its_own(
        pipeline: Pipeline) -> None:
    """The images are carried all the same, and dev:validate says what is to be chosen."""
    found = scanner.scan(pipeline({"main.nf": BY_INPUT}), {"WORKER": "a/one:1", "PLAIN": BOTH})
    assert found.images == ["docker.io/a/one:1", "docker.io/a/two:latest"]
    mirrored = {image: f"nexus.example.org:5443/{image.partition(':')[0]}@sha256:{'a' * 64}"
                for image in found.images}
    scan: dict[str, Any] = found.as_json()
    lines = image_selectors.render(image_selectors.of_scan(scan), mirrored)
    assert "PLAIN" not in "".join(lines)
    config: dict[str, Any] = {"docker": {"enabled": True}, "process": {
        "withName:(?:(.*:)?(WORKER))": {"container": mirrored["docker.io/a/one:1"]}}}
    there = resolved.Resolved(config=config, scan=scan, mirrored=mirrored, findings=[], plugins=[],
                              folders=[], runtime="24.10.5")
    with pytest.raises(ImageError, match=r"PLAIN: no selector.*withName: '\(\.\*:\)\?PLAIN'"):
        resolved.containers(there)
    config["process"]["withName:(.*:)?PLAIN"] = {"container": mirrored["docker.io/a/two:latest"]}
    assert resolved.containers(there).startswith("2 processes")


def test_several_without_a_choice_stop_a_process_that_has_no_image(pipeline: Pipeline) -> None:
    found = scanner.scan(pipeline({
        "main.nf": "process BARE { script: 'true' }\nworkflow { BARE() }\n"}), {"BARE": BOTH})
    row, = found.selectors
    assert row.images == ()
    assert "no image" in str(row.stops)
    with pytest.raises(ImageError, match="BARE: no selector"):
        resolved.containers(resolved.Resolved(
            config={"docker": {"enabled": True}, "process": {
                f"withName:(?:{row.pattern})": {"container": "{ throw … }"}}},
            scan=found.as_json(), mirrored=dict.fromkeys(found.images, "x"), findings=[],
            plugins=[], folders=[], runtime="24.10.5"))


@pytest.mark.parametrize(("value", "given"), [
    ("quay.io/a/b:1", ("quay.io/a/b:1",)), ("none", ("none",)),
    ("[a/b:1, a/c:1]", ("a/b:1", "a/c:1")), ("[]", None), ("''", None), ("[a/b:1, none]", None),
    ("[a/b:1, a/b:1]", None), ("3", None), ("null", None)])
def test_what_a_pipelines_config_takes(project: Path, value: str,
                                       given: tuple[str, ...] | None) -> None:
    path = project / "config/pipelines/hello.yml"
    path.write_text(f"{path.read_text()}images:\n  WORKER: {value}\n")
    if given is None:
        with pytest.raises(ConfigError, match="WORKER"):
            load({"pipeline": "hello"})
    else:
        pipeline, = load({"pipeline": "hello"}).pipelines
        assert pipeline.images == {"WORKER": given}
