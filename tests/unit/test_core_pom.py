"""What is taken of a pom from outside, and that none does harm."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core import pom
from tasks.core.licence_names import LONGEST, MOST
from tasks.core.pom import Pom
from tests.kit.jars import licences, parent

NAMESPACE = 'xmlns="http://maven.apache.org/POM/4.0.0"'
BOMB = """<!DOCTYPE p [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>
<project><licenses><license><name>&b;</name></license></licenses></project>"""


@pytest.mark.parametrize("attributes", ["", f" {NAMESPACE}"], ids=["bare", "with a namespace"])
def test_licences_and_parent(attributes: str) -> None:
    said = pom.read(f"<project{attributes}>{parent('org.a-b.c_d', 'x.y', '1.0+2')}"
                    f"{licences('MIT', ' Two  words ', 'MIT')}</project>".encode())
    assert said.licences == ("MIT", "Two words")
    assert str(said.parent) == "org.a-b.c_d:x.y:1.0+2"
    assert said.parent is not None
    assert said.parent.pom == "org/a-b/c_d/x.y/1.0+2/x.y-1.0+2.pom"


def test_a_url_stands_in_for_a_name_that_says_nothing() -> None:
    inner = "".join(f"<license>{text}</license>" for text in (
        "<url>https://a.org/l</url>", "<name> </name><url>https://b.org/l</url>",
        "<name>${license.name}</name><url>https://c.org/l</url>", "<name>${none}</name>"))
    assert pom.read(f"<project><licenses>{inner}</licenses></project>".encode()).licences == (
        "https://a.org/l", "https://b.org/l", "https://c.org/l")


@pytest.mark.parametrize("text", [
    BOMB, "<!DOCTYPE project><project>" + licences("MIT") + "</project>",
    '<!DOCTYPE p [<!ENTITY x SYSTEM "file:///etc/passwd">]><project>'
    "<licenses><license><name>&x;</name></license></licenses></project>",
    "", "{}", "<project>", '<?xml version="1.0" encoding="none-such"?><project/>',
    "<project>" + licences("a", "b") + " " * pom.LARGEST + "</project>"],
    ids=["bomb", "dtd", "file", "empty", "json", "torn", "encoding", "large"])
def test_what_is_no_plain_pom_says_nothing(text: str) -> None:
    assert pom.read(text.encode()) == Pom()


def test_no_more_is_taken_than_people_read() -> None:
    many = pom.read(f"<project>{licences(*map(str, range(100)), 'x' * LONGEST)}</project>".encode())
    assert len(many.licences) == MOST
    assert pom.read(f"<project>{licences('x' * (LONGEST + 1))}</project>".encode()) == Pom()


@given(st.lists(st.text("ab./\\:+-_~$ \0é", max_size=8), min_size=3, max_size=3))
def test_a_parent_leads_to_no_place_outside_of_the_repository(names: list[str]) -> None:
    known = pom.coordinates(*names)
    if known is not None:
        assert str(known) == ":".join(names)
        assert not PurePosixPath(known.pom).is_absolute()
        assert ".." not in PurePosixPath(known.pom).parts
        assert len(PurePosixPath(known.pom).parts) == names[0].count(".") + 4


@pytest.mark.parametrize("names", [
    ("..", "a", "1"), ("a..b", "a", "1"), ("a", "..", "1"), ("a", "a/b", "1"), ("a", "a", "${v}"),
    ("", "a", "1"), ("a", "a", "[1,2)"), ("a", "a", "1\n"), ("a", "x" * 201, "1")])
def test_a_parent_by_no_name_is_none(names: tuple[str, str, str]) -> None:
    assert pom.coordinates(*names) is None
    assert pom.read(f"<project>{parent(*names)}</project>".encode()).parent is None or (
        names == ("a", "a", "1\n")), "white space around a text isn't its own"
