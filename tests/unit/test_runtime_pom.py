"""The project that Maven is given."""

from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from tasks.runtime import maven

WORDS = st.text("abcXYZ012._-&<", min_size=1, max_size=10)
POM = "{http://maven.apache.org/POM/4.0.0}"


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=4))
def test_each_coordinate_is_a_dependency(coordinates: list[tuple[str, str, str]]) -> None:
    root = ElementTree.fromstring(  # noqa: S314 - our own text
        maven.pom(tuple(":".join(coordinate) for coordinate in coordinates)))
    found = [tuple(part.text or "" for part in node) for node in root.iter(f"{POM}dependency")]
    assert found == coordinates
