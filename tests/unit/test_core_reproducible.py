"""What two resolutions have in common, part by part."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.core.nextflow.reproducible import CHANGING, same_in_both


@pytest.mark.parametrize(("first", "second", "common"), [
    ({"a": 1, "b": None}, {"a": 1, "b": None}, {"a": 1, "b": None}),
    ({"a": 1, "gone": 2}, {"a": 1, "new": 2}, {"a": 1}),
    ({"a": {"b": 1}}, {"a": {"b": 2}}, {"a": {"b": CHANGING}}),
    ([1, 2, 3], [1, 9], [1, CHANGING]),
    (1, "1", CHANGING),
    ("x", None, CHANGING),
    ("out/report_2024-01-01_00-00-09.html", "out/report_2024-01-02_00-00-10.html",
     f"out/{CHANGING}"),
    ("https://a.example.org/1/x y", "https://a.example.org/2/x y",
     f"https://a.example.org/{CHANGING}/x y"),
    ("{ \"${1}\" }", "{ \"${2}\" }", f"{{ \"{CHANGING}\" }}"),
    ("a/b", "a/b/c", CHANGING),
    ("", "a", CHANGING),
])
def test_what_differs_is_marked_and_the_rest_stays(first: Any, second: Any, common: Any) -> None:
    assert same_in_both(first, second) == common
