"""The project that Maven is given, and what its words about missing artifacts mean."""

from __future__ import annotations

import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.runtime import maven

WORDS = st.text("abcXYZ012._-&<", min_size=1, max_size=10)
POM = "{http://maven.apache.org/POM/4.0.0}"


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=4))
def test_each_coordinate_is_a_dependency(coordinates: list[tuple[str, str, str]]) -> None:
    root = ElementTree.fromstring(
        maven.pom(tuple(":".join(coordinate) for coordinate in coordinates)))
    found = [tuple(part.text or "" for part in node) for node in root.iter(f"{POM}dependency")]
    assert found == coordinates


LISTED = ("[ERROR] Failed to execute goal on project runtime: Could not resolve dependencies for "
          "project airlock:runtime:jar:1: The following artifacts could not be resolved: "
          "io.nextflow:nf-lang:jar:25.04.4, io.seqera:lib-trace:jar:0.1.0: ")
BOTH = ["io.nextflow:nf-lang:25.04.4", "io.seqera:lib-trace:0.1.0"]


@pytest.mark.parametrize(("said", "missing"), [
    (LISTED + "Could not find artifact io.nextflow:nf-lang:jar:25.04.4 in central (https://m)",
     BOTH),
    (LISTED + "io.nextflow:nf-lang:jar:25.04.4 was not found in https://m during a previous "
     "attempt. This failure was cached in the local repository", BOTH),
    ("[ERROR] Could not find artifact io.nextflow:nextflow:jar:25.10.4 in nexus (https://n/maven)",
     ["io.nextflow:nextflow:25.10.4"]),
    ("[ERROR] Failure to find io.nextflow:nextflow:jar:one:25.10.4 in https://n was cached",
     ["io.nextflow:nextflow:25.10.4"]),
    (LISTED + "Could not transfer artifact io.nextflow:nf-lang:jar:25.04.4 from/to central "
     "(https://m): Connect to m:443 failed", []),
    ("[ERROR] Unknown host repo.maven.apache.org", []),
], ids=["a list", "a list, cached", "one", "one, cached", "out of reach", "no name"])
def test_what_no_repository_has_is_told_from_one_out_of_reach(said: str,
                                                              missing: list[str]) -> None:
    assert maven.missing(said) == missing


def test_what_maven_fetches_is_counted_from_its_start(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/old-1.jar").write_bytes(b"x" * 5000)
    time.sleep(0.02)  # a file's time has the kernel's grain of some milliseconds
    since = time.time()
    assert maven.fetched(tmp_path, since) == ""
    time.sleep(0.02)
    (tmp_path / "a/new-1.jar").write_bytes(b"x" * 2000)
    (tmp_path / "a/new-1.jar.sha1").write_bytes(b"x" * 40)
    (tmp_path / "a/new-1.pom").write_bytes(b"x" * 900)
    (tmp_path / "a/next-1.jar.123.tmp").write_bytes(b"x" * 1000)
    assert maven.fetched(tmp_path, since) == "2 jars, 3.0 kB so far"
