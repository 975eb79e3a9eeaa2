"""Patterns and selectors that others wrote: matched as they mean, and never for long."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import ImageError, SourceError
from tasks.core.inputs import globs
from tasks.core.source import bounded_regex


@pytest.mark.parametrize("text", ["{" * 3000, "{a,b}" * 200, "{a,b}" + "x" * 5000, "{,}" * 2000])
def test_brace_groups_of_no_end(text: str) -> None:
    with pytest.raises(SourceError):
        globs.braces(text)


@given(st.text("ab/*?", max_size=8), st.text("ab/", max_size=9))
def test_a_pattern_matches_as_the_plain_regular_expression_does(pattern: str, name: str) -> None:
    meaning = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    plain = "".join(meaning.get(part, re.escape(part))
                    for part in re.split(r"(\*\*|\*|\?)", pattern))
    assert (globs.matcher(pattern).fullmatch(name) is None) == (re.fullmatch(plain, name) is None)


@pytest.mark.parametrize("pattern", ["*a" * 40 + "*b", "**a" * 40 + "**b", "**/*a" * 40 + "b"])
def test_a_pattern_of_many_stars_takes_no_time(pattern: str) -> None:
    begun = time.monotonic()
    assert globs.matcher(pattern).fullmatch("a/" + "a" * 1000) is None
    assert time.monotonic() - begun < 2
    with pytest.raises(SourceError, match="characters"):
        globs.matcher("*" * 5000)


@pytest.mark.parametrize("pattern", ["(a+)+", "(a|a)*", "(.*a){20}", ".*.*.*.*.*.*.*.*=b"])
def test_a_selector_that_takes_for_ever_is_refused(monkeypatch: pytest.MonkeyPatch,
                                                   pattern: str) -> None:
    monkeypatch.setattr(bounded_regex, "MAX_SECONDS", 0.5)
    monkeypatch.setattr(bounded_regex, "_spent", 0.0)
    begun = time.monotonic()
    with pytest.raises(ImageError, match="too long to match"):
        bounded_regex.fullmatch(pattern, "a" * 60 + "_")
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(("pattern", "name", "fits"), [
    (".*:SUB:(STAR|BWA)", "X:SUB:STAR", True), ("(A|B)+C", "ABAC", True), ("(A|B)+C", "ABA", False),
    (".*A.*B.*C.*D.*", "xAxBxCxDx" * 9, True), ("[(*+]x", "(x", True), (r"\(\)*", "())", True)])
def test_what_may_be_costly_is_matched_all_the_same(pattern: str, name: str, fits: bool) -> None:
    assert bounded_regex.fullmatch(pattern, name) == fits
