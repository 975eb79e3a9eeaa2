"""What has to move, from what is there: no byte twice, and nothing that is present."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.schema import check
from tasks.images import plan
from tasks.images.destination import Destination
from tasks.images.lock_format import Blob, Image, Variant
from tasks.images.plan import Present
from tasks.images.reference import parse

TO = Destination(address="nexus:5443", prefix="in")
EMPTY = Present(tags={}, blobs={})


def blob(name: str) -> Blob:
    return Blob(digest="sha256:" + hashlib.sha256(name.encode()).hexdigest(),
                size=len(name) * 100)


def image(name: str, *layers: str) -> Image:
    return Image(source=parse(f"quay.io/a/{name}:1"), index=None, platform="linux/amd64",
                 manifest=blob(f"manifest {name}").digest, media_type="m",
                 config=blob(f"config {name}"), layers=tuple(blob(layer) for layer in layers),
                 resolved="2026-01-01T00:00:00Z")


def present(*images: Image, to: Destination = TO) -> Present:
    """What the destination holds once these are there."""
    return Present(
        manifests=frozenset((to.repository(img.source), digest) for img in images
                            for digest in img.manifests),
        tags={(to.repository(img.source), "1"): img.tagged for img in images},
        blobs={(to.repository(img.source), one.digest): one.size for img in images
               for one in img.all_blobs})


ONE, TWO = image("one", "base", "x"), image("two", "base", "yy", "yy")


def test_an_empty_destination_gets_each_blob_once() -> None:
    made = plan.make([ONE, TWO], EMPTY, TO)
    assert made.size == sum(descriptor.size for descriptor in {*ONE.blobs, *TWO.blobs})
    shared = next(move for move in made.blobs if move.digest == blob("base").digest)
    assert shared.repositories == ("in/quay.io/a/one", "in/quay.io/a/two")
    assert [move.put for move in made.images] == [
        ((ONE.manifest, (ONE.manifest, "1")),), ((TWO.manifest, (TWO.manifest, "1")),)]
    assert made.images[0].why == ("manifest missing", "3 blobs missing")
    shown = plan.table(made, TO)
    assert "0 of 2 images present at nexus:5443" in plan.summary(made, TO)
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
                    tags={("nexus:5443/in/quay.io/a/one", "1"): TWO.manifest})
    move = plan.make([ONE], moved, TO).images[0]
    assert move.put == ((ONE.manifest, ("1",)),)
    assert move.why == (f"tag points to {TWO.manifest}",)
    assert plan.make([ONE], Present(manifests=there.manifests, blobs=there.blobs, tags={}),
                     TO).images[0].why == ("tag missing",)


def test_a_blob_of_another_size_is_not_taken_for_present() -> None:
    there = present(ONE)
    key = ("nexus:5443/in/quay.io/a/one", blob("x").digest)
    made = plan.make([ONE], Present(manifests=there.manifests, tags=there.tags,
                                    blobs={**there.blobs, key: 1}), TO)
    assert [move.digest for move in made.blobs] == [blob("x").digest]
    assert not made.images[0].is_present


IMAGES = st.lists(st.tuples(st.sampled_from("abcdef"), st.lists(st.sampled_from("uvwxyz"))),
                  unique_by=lambda drawn: drawn[0], max_size=6).map(
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
        after |= {(f"{move.address}/{path}", move.digest): move.size
                  for path in move.repositories}
    assert after == present(*images, *known).blobs
    assert plan.make(images, present(*images), TO).size == 0
    assert all(move.is_present for move in plan.make(images, present(*images), TO).images)


def variant(name: str, *layers: str) -> Variant:
    return Variant(manifest=blob(f"manifest {name}").digest, media_type="m", platform=name,
                   config=blob(f"config {name}"), layers=tuple(blob(layer) for layer in layers))


def test_an_index_that_is_whole_is_put_last_and_is_what_the_tag_means() -> None:
    arm, index = variant("linux/arm64", "base", "arm"), blob("index").digest
    both = replace(ONE, others=(arm,), index=index)
    move = plan.make([both], EMPTY, TO).images[0]
    assert move.put == ((ONE.manifest, (ONE.manifest, "1")), (arm.manifest, (arm.manifest,)))
    whole = replace(both, whole=True)
    move = plan.make([whole], EMPTY, TO).images[0]
    assert move.put == ((ONE.manifest, (ONE.manifest,)), (arm.manifest, (arm.manifest,)),
                        (index, (index, "1")))
    assert move.why == ("3 manifests missing", "5 blobs missing")
    assert plan.make([whole], present(whole), TO).images[0].is_present
    assert plan.make([whole], present(both), TO).images[0].put == ((index, (index, "1")),)


OLD = Image(source=parse("quay.io/a/old:1"), index=None, platform="linux/amd64", media_type="m",
            manifest=blob("old").digest, config=None, layers=(blob("o1"), blob("o2")),
            resolved="2026-01-01T00:00:00Z", convert="docker schema 1")


def test_an_image_to_convert_moves_by_itself_and_only_once() -> None:
    made = plan.make([OLD], EMPTY, TO)
    assert (made.images[0].state, made.blobs, made.size) == ("converts", (), OLD.size)
    assert "1 to convert" in plan.summary(made, TO)
    held = replace(OLD, manifest=blob("new").digest, config=blob("config new"),
                   converted_from=OLD.manifest)
    assert plan.make([held], present(held), TO).images[0].state == "present"
    there = present(held)
    lost = Present(manifests=there.manifests, tags=there.tags, blobs={})
    assert plan.make([held], lost, TO).images[0].is_to_convert
    retagged = Present(manifests=there.manifests, tags={}, blobs=there.blobs)
    assert plan.make([held], retagged, TO).images[0].put == ((held.manifest, ("1",)),)


def test_two_registries_get_a_shared_layer_each() -> None:
    two = replace(TWO, source=parse("docker.io/a/two:1"))
    to = replace(TO, repositories={"docker.io": "hub:1"})
    made = plan.make([ONE, two], EMPTY, to)
    shared = [move for move in made.blobs if move.digest == blob("base").digest]
    assert {(move.address, move.repositories, move.held_by) for move in shared} == {
        ("nexus:5443", ("in/quay.io/a/one",), None), ("hub:1", ("a/two",), None)}
    assert plan.make([ONE, two], present(ONE, to=to), to).size == two.size
    assert "hub:1 and nexus:5443" in plan.summary(made, to)


def test_the_plan_for_programs_says_the_same() -> None:
    paid = replace(ONE, licence="Sentieon")
    made = plan.make([paid, TWO, OLD], present(TWO), TO)
    document = check(plan.as_json(made, TO), "images-plan", where="plan")
    assert [(entry["state"], bool(entry["why"])) for entry in document["images"]] == [
        ("moves", True), ("present", False), ("converts", True)]
    assert sum(entry["bytes"] for entry in document["images"]) == document["bytes"] == made.size
    assert document["images"][0]["licence"] == "Sentieon"
    assert "needs a licence: Sentieon" in plan.table(made, TO)
