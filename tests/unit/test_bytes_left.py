"""What is left to move, by files here alone: what is there by a receipt or the cache isn't."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from tasks.core import files
from tasks.core.lock_files import LockFiles
from tasks.images import archive, left
from tasks.images.destination import Destination
from tasks.images.lock_format import Blob, Image, as_entries, as_json
from tasks.images.receipt import receipt
from tasks.images.reference import parse
from tasks.release import push, release
from tests.kit.images import OCI
from tests.kit.releases import DATA, change_code, stage

TO = Destination(address="nexus:5443", prefix="in")
PLATFORM = "linux/amd64"
NAMES = ("one", "two", "three")


def blob(name: str) -> Blob:
    return Blob(digest=f"sha256:{hashlib.sha256(name.encode()).hexdigest()}",
                size=len(name) * 100)


def image(name: str, *layers: str, convert: str | None = None) -> Image:
    return Image(source=parse(f"quay.io/a/{name}:1"), index=None, platform=PLATFORM,
                 manifest=blob(f"manifest {name}").digest, media_type="m", convert=convert,
                 config=blob(f"config {name}"), layers=tuple(blob(layer) for layer in layers),
                 resolved="2026-01-01T00:00:00Z")


ONE, TWO = image("one", "base", "x"), image("two", "base", "yy")
FILE = {"source": "https://depot.example.org/a.sif", "sha256": "f" * 64, "size": 7000}


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What the functions read of the specs of images:mirror and images:layout."""

    root: Path
    destination: Destination = TO
    lock: Path = field(init=False)
    receipt: Path = field(init=False)
    blobs: Path = field(init=False)
    index: Path = field(init=False)

    def __post_init__(self) -> None:
        for name in ("lock", "receipt", "blobs", "index"):
            object.__setattr__(self, name, self.root / name)

    @property
    def committed(self) -> LockFiles:
        return LockFiles(site="here", pipeline="tea", kind="images", root=self.root / "locks")

    def write_lock(self, *images: Image, path: Path | None = None) -> None:
        files.write_json(path or self.lock, as_json(PLATFORM, (), as_entries(images)))

    def write_receipt(self, *images: Image, to: Destination = TO) -> None:
        files.write_json(self.receipt, receipt(images, to))

    def keep(self, *blobs: Blob) -> None:
        for kept in blobs:
            name = kept.digest.removeprefix("sha256:")
            files.write_text(self.blobs / name / name, "x")


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    return Spec(root=tmp_path)


def size(*images: Image) -> int:
    return sum(one.size for one in {one for image in images for one in image.blobs})


def test_nothing_is_known_before_anything_is_locked(spec: Spec) -> None:
    assert left.to_mirror(spec) is None and left.to_fetch(spec) is None


def test_a_committed_lock_tells_before_the_site_has_one_of_its_own(spec: Spec) -> None:
    spec.write_lock(ONE, path=spec.committed.shared)
    assert left.to_mirror(spec) == left.to_fetch(spec) == ONE.size
    spec.write_lock(TWO, path=spec.committed.own)
    assert left.to_mirror(spec) == left.to_fetch(spec) == size(ONE, TWO)


def test_what_the_receipt_tells_of_is_in_the_registry_with_its_layers(spec: Spec) -> None:
    spec.write_lock(ONE, TWO)
    assert left.to_mirror(spec) == size(ONE, TWO)
    spec.write_receipt(ONE)
    assert left.to_mirror(spec) == size(ONE, TWO) - ONE.size
    spec.write_receipt(ONE, TWO)
    assert left.to_mirror(spec) == 0


@pytest.mark.parametrize("other", [
    {"to": Destination(address="nexus:5443", prefix="elsewhere")},
    {"to": Destination(address="other:5443", prefix="in")}])
def test_an_image_at_another_place_is_not_at_this_one(
        spec: Spec, other: dict[str, Destination]) -> None:
    spec.write_lock(ONE)
    spec.write_receipt(ONE, **other)
    assert left.to_mirror(spec) == ONE.size
    spec.write_receipt(replace(ONE, manifest=blob("older").digest))
    assert left.to_mirror(spec) == ONE.size


def test_two_registries_each_get_a_shared_layer(tmp_path: Path) -> None:
    docker = replace(TWO, source=parse("docker.io/a/two:1"))
    spec = Spec(root=tmp_path, destination=replace(TO, repositories={"docker.io": "other:5443"}))
    spec.write_lock(ONE, docker)
    assert left.to_mirror(spec) == ONE.size + docker.size


def test_a_converted_image_is_held_by_what_it_was_converted_from(spec: Spec) -> None:
    old = image("old", "zzz", convert="docker schema 1")
    spec.write_lock(old)
    assert left.to_mirror(spec) == left.to_fetch(spec) == old.size
    new = replace(old, manifest=blob("new").digest, converted_from=old.manifest)
    spec.write_receipt(new)
    files.write_json(spec.index, archive.index([archive.descriptor(
        new.manifest, OCI, 9, source=new.source, platform=PLATFORM,
        converted_from=old.manifest)]))
    assert left.to_mirror(spec) == left.to_fetch(spec) == 0


def test_what_the_cache_has_is_not_fetched_again(spec: Spec) -> None:
    files.write_json(spec.lock, as_json(PLATFORM, (), {
        **as_entries([ONE, TWO]), str(FILE["source"]): FILE}))
    assert left.to_fetch(spec) == size(ONE, TWO) + 7000
    spec.keep(*ONE.blobs)
    assert left.to_fetch(spec) == size(ONE, TWO) - ONE.size + 7000
    (spec.blobs / ("f" * 64)).mkdir()
    assert left.to_fetch(spec) == size(ONE, TWO) - ONE.size


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(some.lists(some.tuples(some.sampled_from(NAMES), some.sets(some.sampled_from("abcd"))),
                  unique_by=lambda pair: pair[0]), some.sets(some.sampled_from(NAMES)))
def test_more_in_the_receipt_is_never_more_to_move(
        spec: Spec, made: Sequence[tuple[str, set[str]]], held: set[str]) -> None:
    images = [image(name, *sorted(layers)) for name, layers in made]
    there = [one for one, (name, _) in zip(images, made, strict=True) if name in held]
    spec.write_lock(*images)
    spec.write_receipt(*there)
    moved = left.to_mirror(spec)
    assert moved is not None and 0 <= moved <= size(*images)
    assert moved == size(*images) - size(*there)


def test_what_a_release_s_receipts_tell_of_is_not_pushed_again(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    staged = stage()
    assert push.bytes_left(staged.push_spec("data")) is None
    release.make(staged.release_spec())
    whole = {part: push.bytes_left(staged.push_spec(part)) for part in ("data", "code", "release")}
    assert all(whole.values())
    assert whole["data"] is not None and whole["data"] >= sum(map(len, DATA.values()))
    staged.bring()
    assert {push.bytes_left(staged.push_spec(part)) for part in whole} == {0}
    change_code(staged, b"workflow { other() }\n")
    release.make(staged.release_spec())
    assert push.bytes_left(staged.push_spec("data")) == 0
    assert push.bytes_left(staged.push_spec("code"))
    elsewhere = replace(staged.push_spec("data"), store=replace(staged.store, url="other"))
    assert push.bytes_left(elsewhere) == whole["data"]
