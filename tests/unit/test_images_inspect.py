"""What inspect says, held against the scan: each outcome, and answers between other output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.core.errors import ConfigError, SourceError
from tasks.images.inspect import _processes, compare

SCAN: dict[str, Any] = {
    "processes": [
        {"name": "A", "aliases": ["A_AGAIN"], "container": "quay.io/x/a:1"},
        {"name": "B", "aliases": [], "container": "quay.io/x/b:1"},
        {"name": "C", "aliases": [], "container": "quay.io/x/c:1"}],
    "selectors": [
        {"pattern": "(.*:)?(A|A_AGAIN)",
         "images": [{"name": "x/a:1", "container": "quay.io/x/a:1"}]},
        {"pattern": "(.*:)?(B)", "images": [{"name": "x/b:1", "container": "quay.io/x/b:1"},
                                            {"name": "x/b:2", "container": "quay.io/x/b:2"}]},
        {"pattern": "(.*:)?(C)", "images": [{"name": "x/c:1", "container": "quay.io/x/c:1"}]},
        {"pattern": "(?=(?:.*SUB:C)$)(.*:)?(C)",
         "images": [{"name": "x/s:1", "container": "quay.io/x/s:1"}]}]}


@pytest.mark.parametrize(("name", "container", "outcome", "why"), [
    ("FLOW:A_AGAIN", "quay.io/x/a:1", "agrees", "quay.io/x/a:1"),
    ("B", "quay.io/x/b:2", "agrees", "one of 2"),
    ("F:SUB:C", "quay.io/x/s:1", "agrees", "quay.io/x/s:1"),
    ("F:SUB:C", "quay.io/x/c:1", "differs", "ours: quay.io/x/s:1"),
    ("A", None, "differs", "no image here, ours: quay.io/x/a:1"),
    ("A", "not an image", "differs", "not an image"),
    ("D", "busybox", "only inspect's", "docker.io/library/busybox:latest"),
    ("D", None, "agrees", "no image"),
])
def test_a_called_process(name: str, container: str | None, outcome: str, why: str) -> None:
    found = {row.process: row for row in compare(SCAN, [{"name": name, "container": container}])}
    assert found[name].outcome == outcome
    assert why in found[name].why


def test_a_process_that_should_have_an_image_does_not_agree() -> None:
    row = {"file": "main.nf", "line": 1, "why": "nothing sets one", "called": True}
    scan = {**SCAN, "without": [{**row, "name": "D", "accepted": False},
                                {**row, "name": "E", "accepted": True}]}
    found = {row.process: row.outcome for row in compare(scan, [
        {"name": "FLOW:D", "container": None}, {"name": "E", "container": None}])}
    assert (found["FLOW:D"], found["E"]) == ("no image", "agrees")


def test_what_is_not_called_is_explained() -> None:
    found = {row.process: row for row in compare(SCAN, [
        {"name": "F:A_AGAIN", "container": "quay.io/x/a:1"}])}
    assert {name: row.outcome for name, row in found.items()} == {
        "F:A_AGAIN": "agrees", "A": "only ours", "B": "only ours", "C": "only ours"}
    assert "called as A_AGAIN alone" in found["A"].why
    assert "not called with this profile" in found["B"].why


def test_the_answer_is_found_between_other_output() -> None:
    output = 'WARN: {x}\n{ not json\n{"processes": [{"name": "A", "container": null}]}\nbye\n'
    assert _processes(output, Path("log")) == [{"name": "A", "container": None}]


def test_an_answer_of_another_shape_is_refused() -> None:
    with pytest.raises(ConfigError, match="surprise"):
        _processes('{"processes": [{"name": "A", "container": null, "surprise": 1}]}', Path("log"))
    with pytest.raises(SourceError, match="JSON"):
        _processes("nothing", Path("log"))
