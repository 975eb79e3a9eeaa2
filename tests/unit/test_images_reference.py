"""Image references: as Docker reads them, as Nextflow completes them, and where they go."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.errors import ImageError
from tasks.images.destination import Destination, refuse_collisions, refuse_shared_homes
from tasks.images.reference import Reference, complete, parse

DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64
WORDS = st.from_regex(r"[a-z0-9]{1,8}([._-][a-z0-9]{1,8}){0,2}", fullmatch=True)
REFERENCES = st.builds(
    Reference,
    host=st.sampled_from(["quay.io", "localhost:5000", "community.wave.seqera.io", "localhost"]),
    path=st.lists(WORDS, min_size=1, max_size=4).map("/".join),
    tag=st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True),
    digest=st.sampled_from([None, DIGEST]))


@pytest.mark.parametrize(("text", "shown"), [
    ("ubuntu", "docker.io/library/ubuntu:latest"),
    ("ubuntu:22.04", "docker.io/library/ubuntu:22.04"),
    ("docker.io/ubuntu:22.04", "docker.io/library/ubuntu:22.04"),
    ("index.docker.io/library/ubuntu:1", "docker.io/library/ubuntu:1"),
    ("google/deepvariant:1.6.1", "docker.io/google/deepvariant:1.6.1"),
    ("localhost/x:1", "localhost/x:1"),
    ("host:5000/a/b", "host:5000/a/b:latest"),
    ("QUAY.io/a/b:V1", "quay.io/a/b:V1"),
    (f"quay.io/a/b@{DIGEST}", f"quay.io/a/b@{DIGEST}"),
    (f"quay.io/a/b:1@{DIGEST}", f"quay.io/a/b:1@{DIGEST}"),
    (" quay.io/a/b:1 ", "quay.io/a/b:1"),
])
def test_parse(text: str, shown: str) -> None:
    assert str(parse(text)) == shown


@pytest.mark.parametrize("text", [
    "", "/", "a//b", "quay.io/UPPER/x:1", "quay.io/a:", "quay.io/a:-x", "a b", "a/b@sha256:12",
    "https://depot.galaxyproject.org/singularity/x", "quay.io/../x:1", "quay.io/a:1@", "a:b:c",
    "quay.io/a\nb:1", f"quay.io/{'x' * 300}:1"])
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(ImageError, match="not an image reference"):
        parse(text)


@pytest.mark.parametrize(("name", "registry", "shown"), [
    ("biocontainers/fastqc:0.12.1", "quay.io", "quay.io/biocontainers/fastqc:0.12.1"),
    ("ubuntu:22.04", "quay.io", "quay.io/ubuntu:22.04"),
    ("ubuntu:22.04", None, "docker.io/library/ubuntu:22.04"),
    ("ubuntu:22.04", "docker.io", "docker.io/library/ubuntu:22.04"),
    ("docker.io/google/deepvariant:1", "quay.io", "docker.io/google/deepvariant:1"),
    ("localhost/x:1", "quay.io", "quay.io/localhost/x:1"),
    ("a/b:1", "nexus.example.org/proxy/", "nexus.example.org/proxy/a/b:1"),
    ("quay.io/a/b:1 ", "quay.io", "quay.io/a/b:1"),
])
def test_complete_as_nextflow_does(name: str, registry: str | None, shown: str) -> None:
    assert str(complete(name, registry)) == shown


@settings(deadline=None)
@given(REFERENCES)
def test_what_is_shown_is_read_the_same(reference: Reference) -> None:
    assert parse(str(reference)) == reference


def test_destination() -> None:
    to = Destination(address="nexus.example.org:5443", prefix="bio/mirror")
    assert to.repository(parse("quay.io/a/b:1")) == "nexus.example.org:5443/bio/mirror/quay.io/a/b"
    assert Destination(address="n:1").path(parse("h:5000/a:1")) == "h-5000/a"
    with pytest.raises(ImageError, match="255"):
        to.path(parse(f"quay.io/{'x' * 250}:1"))


def test_collisions_are_refused_all_at_once() -> None:
    to = Destination(address="n:1")
    one, two = parse("h.x:5000/a:1"), parse("h.x-5000/a:1")
    tag, same = parse(f"quay.io/a:1@{DIGEST}"), parse(f"quay.io/a:1@{OTHER}")
    with pytest.raises(ImageError) as caught:
        refuse_collisions([(one, DIGEST), (two, DIGEST), (tag, DIGEST), (same, OTHER)], to)
    assert "h.x-5000/a:1 would both go" in str(caught.value)
    assert "would both be n:1/quay.io/a:1" in str(caught.value)
    refuse_collisions([(tag, DIGEST), (parse("quay.io/a:1"), DIGEST),
                       (parse("quay.io/a:2"), OTHER)], to)


def test_each_source_host_may_have_a_place_of_its_own() -> None:
    to = Destination(address="nexus:5443", prefix="in", repositories={
        "quay.io": "nexus:8443/quay", "docker.io": "hub.example.org:8444"})
    assert to.repository(parse("quay.io/a/b:1")) == "nexus:8443/quay/a/b"
    assert to.repository(parse("ubuntu:22.04")) == "hub.example.org:8444/library/ubuntu"
    assert to.repository(parse("ghcr.io/a/b:1")) == "nexus:5443/in/ghcr.io/a/b"


def test_one_place_for_two_hosts_is_refused_only_where_names_meet() -> None:
    to = Destination(address="n:1", repositories={"quay.io": "n:2/x", "docker.io": "n:2/x"})
    mine, theirs = parse("quay.io/a/b:1"), parse("docker.io/a/b:2")
    refuse_shared_homes([mine, parse("docker.io/a/c:1")], to)
    with pytest.raises(ImageError, match=r"would both go to n:2/x/a/b"):
        refuse_shared_homes([mine, theirs], to)


@settings(deadline=None)
@given(st.lists(REFERENCES, max_size=6, unique=True), st.dictionaries(
    st.sampled_from(["quay.io", "localhost:5000", "localhost"]),
    st.sampled_from(["n:1/p", "n:2", "n:2/x", "n:1/p/quay.io"])))
def test_collisions_are_found_where_places_are_shared(references: list[Reference],
                                                      places: dict[str, str]) -> None:
    to = Destination(address="n:1", prefix="p", repositories=places)
    homes = {to.repository(reference) for reference in references}
    repositories = {reference.repository for reference in references}
    if len(homes) < len(repositories):
        with pytest.raises(ImageError, match="collide"):
            refuse_shared_homes(references, to)
    else:
        refuse_shared_homes(references, to)


@settings(deadline=None)
@given(st.lists(REFERENCES, max_size=6, unique=True))
def test_different_repositories_never_share_a_place(references: list[Reference]) -> None:
    to = Destination(address="n:1", prefix="p")
    places = {to.path(reference): reference.repository for reference in references}
    assert len(places) == len({reference.repository for reference in references})
