"""Which manifests of an index are carried, and what a lock remembers of them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core import files
from tasks.core.errors import ConfigError, ImageError
from tasks.core.registry import jws
from tasks.images import licences, platforms
from tasks.images.lock_format import (
    Blob,
    Image,
    Variant,
    as_entries,
    as_json,
    read_lock,
    read_platforms,
)
from tasks.images.platforms import ALL, UNKNOWN
from tasks.images.reference import Reference, parse

IMAGE = parse("quay.io/a/b:1")
AMD, ARM, OTHERS = "linux/amd64", "linux/arm64", ("linux/arm/v7", "linux/s390x", "windows/amd64")


def digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def entry(name: str, number: int = 0) -> dict[str, Any]:
    os, architecture, *variant = name.split("/")
    return {"digest": digest(f"{name} {number}"), "size": 1, "mediaType": "m", "platform": {
        "os": os, "architecture": architecture, **({"variant": variant[0]} if variant else {})}}


def index(*names: str) -> dict[str, Any]:
    return {"manifests": [entry(name, number) for number, name in enumerate(names)]}


def test_one_platform_of_several_leaves_the_index_behind() -> None:
    chosen = platforms.choose(index(AMD, ARM), IMAGE, AMD, ())
    assert (chosen.first, chosen.others, chosen.whole) == (digest(f"{AMD} 0"), (), False)


def test_an_attestation_comes_along_only_with_the_whole_index() -> None:
    both = index(AMD, UNKNOWN, ARM)
    assert platforms.choose(both, IMAGE, AMD, ()).others == ()
    chosen = platforms.choose(both, IMAGE, AMD, (ARM,))
    assert chosen.whole
    assert dict(chosen.others) == {ARM: digest(f"{ARM} 2"), UNKNOWN: digest(f"{UNKNOWN} 1")}
    assert platforms.choose(index(AMD, UNKNOWN), IMAGE, AMD, ()).whole


def test_all_takes_every_entry() -> None:
    chosen = platforms.choose(index(ARM, AMD, UNKNOWN, "linux/arm/v7"), IMAGE, AMD, (ALL,))
    assert chosen.whole
    assert len(chosen.others) == 3


def test_a_name_without_variant_leaves_it_open_and_an_exact_one_wins() -> None:
    assert platforms.choose(index("linux/arm64/v8"), IMAGE, ARM, ()).first == digest(
        "linux/arm64/v8 0")
    assert platforms.choose(index("linux/amd64/v3", AMD), IMAGE, AMD, ()).first == digest(
        f"{AMD} 1")
    with pytest.raises(ImageError, match="it has linux/arm/v7"):
        platforms.choose(index("linux/arm/v7", UNKNOWN), IMAGE, "linux/arm/v6", ())


def test_an_entry_that_cannot_be_carried_keeps_the_index_behind() -> None:
    odd = {"manifests": [entry(AMD), {"digest": "sha512:00", "platform": {}}]}
    assert not platforms.choose(odd, IMAGE, AMD, (ALL,)).whole


NAMES = st.lists(st.sampled_from([AMD, ARM, *OTHERS, UNKNOWN]), max_size=6)


@settings(deadline=None)
@given(NAMES, st.lists(st.sampled_from([ALL, ARM, *OTHERS]), unique=True))
def test_what_is_chosen_is_in_the_index_and_whole_is_true(names: list[str],
                                                          further: list[str]) -> None:
    listed = index(*names)
    if AMD not in names:
        with pytest.raises(ImageError, match="no image for linux/amd64"):
            platforms.choose(listed, IMAGE, AMD, further)
        return
    chosen = platforms.choose(listed, IMAGE, AMD, further)
    offered = {manifest["digest"]: platforms.name(manifest) for manifest in listed["manifests"]}
    taken = {chosen.first: AMD, **{found: name for name, found in chosen.others}}
    assert taken.items() <= offered.items()
    assert len(taken) == 1 + len(chosen.others)
    assert chosen.whole == (taken == offered)
    for wanted in further:
        assert wanted == ALL or wanted not in names or wanted in taken.values()
    assert ALL not in further or chosen.whole


BLOBS = st.builds(Blob, digest=st.text(max_size=3).map(digest), size=st.integers(0, 10**11),
                  media_type=st.sampled_from([None, "application/x"]))
VARIANT = {"manifest": st.text(max_size=3).map(digest), "media_type": st.just("m"),
           "platform": st.sampled_from([AMD, ARM]),
           "layers": st.lists(BLOBS, max_size=2).map(tuple),
           "config": st.none() | BLOBS.map(lambda blob: Blob(digest=blob.digest, size=blob.size))}
IMAGES = st.builds(
    Image, **VARIANT, source=st.builds(Reference, host=st.just("quay.io"), path=st.just("a/b"),
                                       tag=st.from_regex(r"[a-z0-9]{1,5}", fullmatch=True)),
    index=st.none() | st.just(digest("index")), resolved=st.just("2026-01-01T00:00:00Z"),
    others=st.lists(st.builds(Variant, **VARIANT), max_size=2).map(tuple), whole=st.booleans(),
    convert=st.sampled_from([None, "docker schema 1"]),
    licence=st.sampled_from([None, "Sentieon"]))


@settings(deadline=None, max_examples=30)
@given(images=st.lists(IMAGES, max_size=3, unique_by=lambda image: str(image.source)),
       further=st.sampled_from([(), (ALL,), (ARM,)]))
def test_a_lock_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory,
                                          images: list[Image], further: tuple[str, ...]) -> None:
    path = tmp_path_factory.mktemp("lock") / "images.json"
    files.write_json(path, as_json(AMD, further, as_entries(images)))
    assert read_lock(path) == sorted(images, key=lambda image: str(image.source))
    assert read_platforms(path) == (AMD, *further)


def test_a_changed_lock_is_refused_with_every_fault(tmp_path: Path) -> None:
    path = tmp_path / "images.json"
    image = Image(source=IMAGE, index=None, manifest=digest("m"), media_type="m", platform=AMD,
                  config=None, layers=(), resolved="2026-01-01T00:00:00Z")
    value = as_json(AMD, (), as_entries([image]))
    value["images"][0] |= {"convert": "for fun", "manifest": "latest"}
    files.write_json(path, value)
    with pytest.raises(ConfigError) as caught:
        read_lock(path)
    assert "for fun" in str(caught.value)
    assert "latest" in str(caught.value)


@pytest.mark.parametrize(("name", "licence"), [
    ("nvcr.io/nvidia/clara/clara-parabricks:4.3.0-1", "NVIDIA Parabricks"),
    ("community.wave.seqera.io/library/sentieon:202308.03--x", "Sentieon"),
    ("quay.io/nf-core/sentieon:202308.01", "Sentieon"),
    ("nf-core/cellranger:8.0.0", "10x Genomics"),
    ("quay.io/biocontainers/fastqc:0.12.1--0", None),
    ("docker.io/library/parabricks-docs:1", None),
])
def test_images_that_need_a_licence_are_known(name: str, licence: str | None) -> None:
    assert licences.needed(parse(name), {"*/nf-core/cellranger*": "10x Genomics"}) == licence


def test_the_sites_own_pattern_comes_first() -> None:
    source = parse("quay.io/nf-core/sentieon:1")
    assert licences.needed(source, {"quay.io/nf-core/*": "ours"}) == "ours"


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_what_is_not_signed_is_its_own_payload(data: bytes) -> None:
    assert jws.payload(data) == data
