"""What has to move, from what is there: no byte twice, and nothing that is present."""

from __future__ import annotations

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.images import plan
from tasks.images.lock import Blob, Image
from tasks.images.plan import Present
from tasks.images.reference import Destination, parse

TO = Destination(address="nexus:5443", prefix="in")
EMPTY = Present(tags={}, blobs={})


def blob(name: str) -> Blob:
    return Blob(digest="sha256:" + hashlib.sha256(name.encode()).hexdigest(),
                size=len(name) * 100)


def image(name: str, *layers: str) -> Image:
    return Image(source=parse(f"quay.io/a/{name}:1"), index=None, platform="linux/amd64",
                 manifest=blob(f"manifest {name}").digest, media_type="m",
                 config=blob(f"config {name}"), layers=tuple(blob(each) for each in layers),
                 resolved="2026-01-01T00:00:00Z")


def present(*images: Image) -> Present:
    """What the destination holds once these are there."""
    return Present(
        manifests=frozenset((TO.path(each.source), each.manifest) for each in images),
        tags={(TO.path(each.source), "1"): each.manifest for each in images},
        blobs={(TO.path(each.source), one.digest): one.size for each in images
               for one in each.blobs})


ONE, TWO = image("one", "base", "x"), image("two", "base", "yy", "yy")


def test_an_empty_destination_gets_each_blob_once() -> None:
    made = plan.make([ONE, TWO], EMPTY, TO)
    assert made.size == sum(each.size for each in {*ONE.blobs, *TWO.blobs})
    shared = next(move for move in made.blobs if move.digest == blob("base").digest)
    assert shared.repositories == ("in/quay.io/a/one", "in/quay.io/a/two")
    assert [move.put for move in made.images] == [(ONE.manifest, "1"), (TWO.manifest, "1")]
    shown = plan.table(made, TO)
    assert "0 of 2 images present at nexus:5443" in shown
    assert "quay.io/a/two:1" in shown


def test_what_is_in_another_repository_is_mounted_not_moved() -> None:
    made = plan.make([ONE, TWO], present(ONE), TO)
    shared = next(move for move in made.blobs if move.digest == blob("base").digest)
    assert shared.held_by == "in/quay.io/a/one"
    assert shared.moved == 0
    assert made.size == blob("config two").size + blob("yy").size
    assert [move.is_present for move in made.images] == [True, False]


def test_a_tag_that_means_something_else_is_put_anew() -> None:
    there = present(ONE)
    moved = Present(manifests=there.manifests, blobs=there.blobs,
                    tags={("in/quay.io/a/one", "1"): TWO.manifest})
    assert plan.make([ONE], moved, TO).images[0].put == ("1",)


def test_a_blob_of_another_size_is_not_taken_for_present() -> None:
    there = present(ONE)
    key = ("in/quay.io/a/one", blob("x").digest)
    made = plan.make([ONE], Present(manifests=there.manifests, tags=there.tags,
                                    blobs={**there.blobs, key: 1}), TO)
    assert [move.digest for move in made.blobs] == [blob("x").digest]
    assert not made.images[0].is_present


IMAGES = st.lists(st.tuples(st.sampled_from("abcdef"), st.lists(st.sampled_from("uvwxyz"))),
                  unique_by=lambda each: each[0], max_size=6).map(
    lambda found: [image(name, *layers) for name, layers in found])


@settings(deadline=None)
@given(IMAGES, st.data())
def test_after_the_plan_all_is_there_and_nothing_moved_twice(
        images: list[Image], data: st.DataObject) -> None:
    known = data.draw(st.lists(st.sampled_from(images), unique_by=id)) if images else []
    there = present(*known)
    made = plan.make(images, there, TO)
    after = {**there.blobs}
    digests = [move.digest for move in made.blobs]
    assert len(digests) == len(set(digests))
    for move in made.blobs:
        holds = any(key[1] == move.digest for key in there.blobs)
        assert (move.moved == 0) == holds
        after |= {(repository, move.digest): move.size for repository in move.repositories}
    assert after == present(*images, *known).blobs
    assert plan.make(images, present(*images), TO).size == 0
    assert all(move.is_present for move in plan.make(images, present(*images), TO).images)
