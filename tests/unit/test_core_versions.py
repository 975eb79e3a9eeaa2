"""Versions: their order beside a peer's, conditions, what a misfit says, and each line's Java."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from tasks.core.errors import ConfigError
from tasks.core.nextflow import java, pipeline_version, versions

NUMBERS = st.lists(st.integers(0, 30), min_size=1, max_size=4).map(
    lambda parts: ".".join(map(str, parts)))
RELEASES = st.tuples(NUMBERS, st.sampled_from(["", "-alpha.1", "-beta.2", "-beta.11", "-rc.1"])
                     ).map("".join)


def sign(one: object, other: object) -> int:
    return int(one > other) - int(one < other)  # type: ignore[operator]


@given(RELEASES, RELEASES)
def test_the_order_is_that_of_a_peer(one: str, other: str) -> None:
    assert sign(versions.order(one), versions.order(other)) == sign(Version(one), Version(other))


@given(NUMBERS, NUMBERS)
def test_conditions_agree_with_the_order(here: str, there: str) -> None:
    one, other = Version(here), Version(there)
    assert versions.meets(here, f">={there}") is (one >= other)
    assert versions.meets(here, f">= {there}, <99") is (one >= other)
    assert versions.meets(here, f"<{there}") is (one < other)
    assert versions.meets(here, there) is (one == other)
    assert versions.meets(here, f"!={there}") is (one != other)


@pytest.mark.parametrize(("condition", "met"), [
    ("", True), ("*", True), (">=24.10", True), (">=24.11.0-edge", False), ("24.10.5", True),
    ("nextflow@>=23.04.0", True), ("~1", False), (">=23.04.0 & <24", False), ("24.10.3+", True),
    ("24.10.6+", False), ("24.10.+", True), ("24.04.+", False), ("24.+", True), (">=24.+", False),
    ("24.04.0+", False), ("<>24.10.5", False)])
def test_the_forms_of_conditions(condition: str, met: bool) -> None:
    assert versions.meets("24.10.5", condition) is met


@pytest.mark.parametrize(("asked", "parts"), [
    ("!>=25.10.2", ["25.10.2 or later", "25.10 from 25.10.2 (Java 17 to 25)",
                    "26.04 (Java 17 to 26)"]),
    ("!>=23.04.0, <24.04.3", ["23.04.0 or later and before 24.04.3", "23.04 (Java 11 to 19)",
                              "24.04 (Java 11 to 21)"]),
    ("!>=99", ["99 or later", "none"])])
def test_a_pipeline_that_insists_is_refused_with_what_would_fit(asked: str,
                                                                parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        pipeline_version.misfit("24.10.5", asked)
    assert all(part in str(caught.value) for part in [*parts, asked, "24.10.5"])
    if "25.10" in asked:
        assert "24.10 (" not in str(caught.value)


def test_one_that_does_not_insist_is_warned_of() -> None:
    assert "25.04 (Java 17 to 24)" in (pipeline_version.misfit("24.10.5", ">=25.04.0") or "")
    for fine in (None, "", "!>=24.04.2", ">=23.04.0,<25", "24.10.5"):
        assert pipeline_version.misfit("24.10.5", fine) is None
    with pytest.raises(ConfigError, match="is no condition"):
        pipeline_version.misfit("24.10.5", "!latest")


@pytest.mark.parametrize(("version", "range_"), [
    ("23.04.0", (11, 19)), ("23.10.1", (11, 21)), ("24.04.1", (11, 21)), ("24.04.4", (11, 22)),
    ("24.10.5", (11, 23)), ("24.12.0-edge", (17, 23)), ("25.04.8", (17, 24)),
    ("25.09.1-edge", (17, 25)), ("25.10.2", (17, 25)), ("26.04.0", (17, 26))])
def test_each_version_has_its_javas(version: str, range_: tuple[int, int]) -> None:
    assert java.majors(version) == range_
