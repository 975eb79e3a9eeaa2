"""What poms in Maven's repository say of jars: followed to parents, and no further than it may."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core import files, pom
from tasks.core.schema import check
from tasks.runtime.declared import MOST_PARENTS, brought, described
from tests.kit import jars
from tests.kit.jars import licences, parent

JAR = {"name": "leaf-1.jar", "sha256": "a" * 64, "size": 3}
KNOWN = brought("@/org/tree/leaf/1/leaf-1.jar")
COORDINATES = {"group": "org.tree", "artifact": "leaf", "version": "1"}


def put(repository: Path, name: str, *parts: str) -> Path:
    """A pom of `org.tree`, version 1."""
    known = pom.coordinates("org.tree", name, "1")
    assert known
    files.write_text(repository / known.pom, jars.pom(*parts))
    return repository / known.pom


def said(repository: Path) -> dict[str, object]:
    entry, = described([JAR], KNOWN, repository)
    check({"version": "1", "jars": [entry]}, "runtime-jars", where="here")
    assert (entry.pop("name"), entry.pop("sha256")) == ("leaf-1.jar", "a" * 64)
    return entry


def test_a_class_path_names_what_maven_brought() -> None:
    listed = ("@/org/tree/leaf/1/leaf-1.jar:@/a/b/2.0/b-2.0-classes.jar:/system/lib/c-1.jar:"
              "@/d/twin/1/twin-1.jar:@/e/twin/1/twin-1.jar:@/x/1/x-1.jar:@/../../s/1/s-1.jar:\n")
    assert {name: str(known) for name, known in brought(listed).items()} == {
        "leaf-1.jar": "org.tree:leaf:1", "b-2.0-classes.jar": "a:b:2.0"}
    assert brought("") == {}


def test_its_own_licence_goes_before_its_parents(tmp_path: Path) -> None:
    put(tmp_path, "leaf", parent("org.tree", "branch", "1"), licences("Own", "Second"))
    put(tmp_path, "branch", licences("Parent's"))
    assert said(tmp_path) == {**COORDINATES, "licences": ["Own", "Second"],
                              "licences_of": "org.tree:leaf:1"}


@settings(max_examples=30)
@given(length=st.integers(1, MOST_PARENTS + 3), at=st.integers(0, MOST_PARENTS + 3))
def test_parents_are_followed_up_to_a_limit(tmp_path_factory: pytest.TempPathFactory,
                                            length: int, at: int) -> None:
    repository = tmp_path_factory.mktemp("repository")
    names = ["leaf", *(f"p{number}" for number in range(1, length))]
    for place, name in enumerate(names):
        put(repository, name, *([parent("org.tree", names[place + 1], "1")]
                                if place + 1 < length else []),
            *([licences("Found")] if place == at else []))
    found = at < min(length, MOST_PARENTS)
    assert said(repository) == {**COORDINATES, "licences": ["Found"] if found else [], **(
        {"licences_of": f"org.tree:{names[at]}:1"} if found else {})}


def test_a_circle_ends(tmp_path: Path) -> None:
    put(tmp_path, "leaf", parent("org.tree", "other", "1"))
    put(tmp_path, "other", parent("org.tree", "leaf", "1"))
    assert said(tmp_path) == {**COORDINATES, "licences": []}


def test_what_isnt_there_isnt_known(tmp_path: Path) -> None:
    assert said(tmp_path) == {**COORDINATES, "licences": []}
    put(tmp_path, "leaf", parent("org.tree", "branch", "1"))
    assert said(tmp_path) == {**COORDINATES, "licences": []}
    entry, = described([JAR], {}, tmp_path)
    assert entry == {"name": "leaf-1.jar", "sha256": "a" * 64, "licences": []}


@pytest.mark.parametrize("kind", ["link", "linked folder", "pipe", "folder", "large"])
def test_only_plain_files_of_the_repository_are_read(tmp_path: Path, kind: str) -> None:
    path = put(tmp_path / "repository", "leaf", licences("Found"))
    assert said(tmp_path / "repository")["licences"] == ["Found"]
    elsewhere = tmp_path / "elsewhere"
    if kind == "linked folder":
        path.parent.rename(elsewhere)
        path.parent.symlink_to(elsewhere)
    else:
        path.rename(elsewhere)
    if kind == "link":
        path.symlink_to(elsewhere)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "large":
        path.write_bytes(elsewhere.read_bytes() + b" " * pom.LARGEST)
    assert said(tmp_path / "repository") == {**COORDINATES, "licences": []}
