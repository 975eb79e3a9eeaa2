"""What images say of themselves is kept where they are mirrored or laid out."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from tasks.core.schema import read_json
from tasks.images.left import to_fetch
from tasks.images.lock import lock_images
from tasks.images.mirror import mirror_images
from tasks.images.oci_layout import lay_out
from tests.kit import registries as servers
from tests.servers.test_images_mirror import SHARED, World, steps, three, world

__all__ = ["three", "world"]


def test_what_images_say_of_themselves_is_kept_and_not_asked_for_again(
        world: World, tmp_path: Path, three: list[str]) -> None:
    said = {"org.opencontainers.image.licenses": "MIT", "maintainer": "nobody"}
    servers.add_image(world.source, "quay.io/biocontainers/says:1", [SHARED], labels=said)
    at = steps(world, tmp_path, ["quay.io/biocontainers/says:1", *three])
    at.lock_and_mirror()
    listed = read_json(at.mirror.labels, "images-labels")["images"]
    assert {image["source"]: image["labels"] for image in listed} == {
        **{name: {} for name in three},
        "quay.io/biocontainers/says:1": {"org.opencontainers.image.licenses": "MIT"}}
    assert {image["digest"] for image in listed} == {
        image["digest"] for image in read_json(at.mirror.receipt, "images-receipt")["images"]}
    log = world.target.data.parent / "log"
    before = log.read_text()
    assert re.search(r"GET /v2/\S+/blobs/", before)
    mirror_images(at.mirror)
    again = log.read_text().removeprefix(before)
    assert "HEAD /v2/" in again
    assert not re.search(r"GET /v2/\S+/blobs/", again)
    assert read_json(at.mirror.labels, "images-labels")["images"] == listed


def test_a_layout_keeps_what_images_say_where_a_release_carries_them(
        world: World, tmp_path: Path) -> None:
    servers.add_image(world.source, "quay.io/biocontainers/says:1", [SHARED],
                      labels={"org.opencontainers.image.base.name": "debian:12"})
    at = steps(world, tmp_path, ["quay.io/biocontainers/says:1"])
    lock_images(at.lock)
    assert to_fetch(at.layout)
    lay_out(at.layout)
    assert to_fetch(at.layout) == 0
    assert not at.mirror.labels.exists()
    lay_out(replace(at.layout, labels=at.mirror.labels))
    image, = read_json(at.mirror.labels, "images-labels")["images"]
    assert image["labels"] == {"org.opencontainers.image.base.name": "debian:12"}
