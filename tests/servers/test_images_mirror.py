"""Images locked and mirrored between real registries, and what must be refused on the way."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tasks.core.errors import AirlockError, ImageError, IntegrityError, RegistryError
from tasks.core.net.network import Network
from tasks.core.registry.client import Access
from tasks.core.schema import read_json
from tasks.images.destination import Destination
from tasks.images.left import to_mirror
from tasks.images.lock import lock_images
from tasks.images.lock_format import read_lock
from tasks.images.mirror import mirror_images, show_plan
from tasks.images.verify import verify_images
from tests.kit import faults, image_steps, tls
from tests.kit import registries as servers
from tests.kit.faults import flip
from tests.kit.image_steps import Steps
from tests.kit.images import DOCKER, OCI, layer
from tests.kit.registries import Server

# A layer that all images have.
SHARED = random.Random(1).randbytes(300_000)
PREFIX = "mirror/bio"


@dataclass(frozen=True, kw_only=True)
class World:
    """A source by plain HTTP, and a destination with TLS and a password."""

    source: Server
    target: Server
    ca: Path
    authfile: Path

    @property
    def access(self) -> Access:
        return Access(registries={"quay.io": f"{self.source.url}/quay.io",
                                  "docker.io": f"{self.source.url}/docker.io"},
                      ca=self.ca, authfile=self.authfile,
                      network=Network().naming(f"https://{self.target.address}"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    servers.need_programs()
    root = tmp_path_factory.mktemp("registries")
    ca, certificate, key = tls.certificates(root / "tls")
    with ExitStack() as stack:
        source = stack.enter_context(servers.registry(root / "source"))
        target = stack.enter_context(servers.registry(
            root / "target", tls=(certificate, key), htpasswd=servers.passwords(root)))
        _fill(source)
        yield World(source=source, target=target, ca=ca,
                    authfile=servers.login_files(root / "auth", [target.address]))


def _fill(source: Server) -> None:
    """fastqc as OCI, multiqc as Docker v2s2, busybox as an index of two platforms."""
    def program(data: bytes) -> list[bytes]:
        return [SHARED, layer({"bin/tool": data})]

    servers.add_image(source, "quay.io/biocontainers/fastqc:0.12.1--0", program(b"one"))
    servers.add_image(source, "quay.io/biocontainers/multiqc:1.25", program(b"two"), form="v2s2")
    servers.add_image(source, "docker.io/library/busybox:1.36", program(b"sh"),
                      platforms=("amd64", "arm64"))
    servers.add_image(source, "quay.io/biocontainers/big:1",
                      program(random.Random(7).randbytes(5 << 20)))


@pytest.fixture
def three() -> list[str]:
    return ["docker.io/library/busybox:1.36", "quay.io/biocontainers/fastqc:0.12.1--0",
            "quay.io/biocontainers/multiqc:1.25"]


def steps(world: World, folder: Path, images: list[str], *, prefix: str = "",
          access: Access | None = None, address: str | None = None) -> Steps:
    """The steps over these images, each test with a prefix of its own at the destination."""
    destination = Destination(address=address or world.target.address,
                              prefix=prefix or f"t{abs(hash(str(folder))) % 10**8}")
    return image_steps.steps(folder, images, access or world.access, destination)


def test_images_of_all_kinds_arrive_whole_and_only_once(
        world: World, tmp_path: Path, three: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    at = steps(world, tmp_path, three, prefix=PREFIX)
    lock_images(at.lock)
    assert "0 of 3 images present" in show_plan(at.plan)
    assert "manifest missing; " in capsys.readouterr().out
    assert to_mirror(at.mirror) == read_json(at.plan.report, "images-plan")["bytes"]
    mirror_images(at.mirror)
    assert to_mirror(at.mirror) == 0
    receipt = read_json(at.mirror.receipt, "images-receipt")
    assert [image["source"] for image in receipt["images"]] == three
    for image in receipt["images"]:
        path = image["destination"].removeprefix(world.target.address + "/")
        assert path == f"{PREFIX}/{image['source'].rpartition(':')[0]}"
        seen = servers.inspect(world.target, f"{path}@{image['digest']}", world.authfile)
        assert seen["Architecture"] == "amd64"
        by_tag = servers.inspect(world.target, f"{path}:{image['source'].rpartition(':')[2]}",
                                 world.authfile)
        assert by_tag["Digest"] == image["digest"]
    locked = {str(image.source): image for image in read_lock(at.lock.merged)}
    assert locked[three[0]].index is not None
    assert locked[three[1]].index is None
    assert locked[three[1]].media_type == OCI
    assert locked[three[2]].media_type == DOCKER
    before = servers.writes(world.target)
    assert "0 B moved in 0 blobs" in mirror_images(at.mirror)
    assert servers.writes(world.target) == before
    assert "3 of 3 images present" in show_plan(at.plan)
    assert "3 images whole" in verify_images(at.verify)


def test_the_lock_keeps_what_it_holds_and_drops_what_is_no_longer_listed(
        world: World, tmp_path: Path, three: list[str]) -> None:
    at = steps(world, tmp_path, three[1:])
    lock_images(at.lock)
    first = json.loads(at.lock.merged.read_bytes())
    first["images"][0]["resolved"] = "2001-01-01T00:00:00Z"
    at.lock.lock.own.write_text(json.dumps(first))
    at.lock.images.write_text(f"{three[0]}\n{three[1]}\n")
    assert "2 images, 1 resolved now" in lock_images(at.lock)
    second = {image["source"]: image
              for image in read_json(at.lock.merged, "images-lock")["images"]}
    assert sorted(second) == three[:2]
    assert second[three[1]]["resolved"] == "2001-01-01T00:00:00Z"
    lock_images(replace(at.lock, relock=True))
    third = read_json(at.lock.merged, "images-lock")["images"]
    assert all(image["resolved"] != "2001-01-01T00:00:00Z" for image in third)


def test_a_moved_tag_is_taken_and_named_only_when_asked(world: World, tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        servers.add_image(world.source, "quay.io/biocontainers/moved:1", [content])
        if content == b"first":
            at = steps(world, tmp_path, ["quay.io/biocontainers/moved:1"])
            at.lock_and_mirror()
            first = read_lock(at.lock.merged)[0].manifest
    assert "moved" not in lock_images(at.lock)
    assert read_lock(at.lock.merged)[0].manifest == first
    said = lock_images(replace(at.lock, relock=True))
    second = read_lock(at.lock.merged)[0].manifest
    assert f"moved: quay.io/biocontainers/moved:1 from {first} to {second}" in said
    mirror_images(at.mirror)
    path = f"{at.mirror.destination.prefix}/quay.io/biocontainers/moved:1"
    assert servers.inspect(world.target, path, world.authfile)["Digest"] == second


def test_a_kept_lock_needs_no_network(world: World, tmp_path: Path, three: list[str]) -> None:
    at = steps(world, tmp_path, three)
    lock_images(at.lock)
    kept = at.lock.merged.read_bytes()
    nowhere = replace(world.access, registries={"quay.io": "http://127.0.0.1:1",
                                                "docker.io": "http://127.0.0.1:1"})
    lock_images(replace(at.lock, access=nowhere))
    assert at.lock.merged.read_bytes() == kept


def test_another_platform_is_refused(world: World, tmp_path: Path, three: list[str]) -> None:
    at = steps(world, tmp_path, three)
    with pytest.raises(ImageError, match="made for linux/amd64"):
        lock_images(replace(at.lock, platform="linux/arm64"))
    assert not at.lock.merged.exists()
    at.lock.images.write_text(f"{three[0]}\n")
    lock_images(replace(at.lock, platform="linux/arm64"))
    with pytest.raises(ImageError, match="relock=1"):
        lock_images(at.lock)
    with pytest.raises(ImageError, match="it has linux/amd64, linux/arm64"):
        lock_images(replace(at.lock, platform="linux/riscv64", relock=True))


def test_a_missing_image_is_named(world: World, tmp_path: Path, three: list[str]) -> None:
    at = steps(world, tmp_path, [*three, "quay.io/biocontainers/nosuch:1"])
    with pytest.raises(RegistryError, match=r"no image quay\.io/biocontainers/nosuch:1"):
        lock_images(at.lock)
    assert not at.lock.merged.exists()


def test_a_wrong_ca_says_what_to_do(world: World, tmp_path: Path, three: list[str]) -> None:
    other, _, _ = tls.certificates(tmp_path / "other")
    at = steps(world, tmp_path, three[:1], access=replace(world.access, ca=other))
    lock_images(at.lock)
    with pytest.raises(RegistryError) as caught:
        mirror_images(at.mirror)
    assert "not trusted" in str(caught.value)
    assert "registry.ca" in str(caught.value)
    assert not at.mirror.receipt.exists()


def test_a_wrong_password_says_what_to_do_and_is_not_shown(
        world: World, tmp_path: Path, three: list[str]) -> None:
    wrong = servers.login_files(tmp_path / "wrong", [world.target.address], "wr0ng-Secret")
    at = steps(world, tmp_path, three[:1], access=replace(world.access, authfile=wrong))
    lock_images(at.lock)
    with pytest.raises(RegistryError) as caught:
        mirror_images(at.mirror)
    assert "wrong user or password" in str(caught.value)
    assert str(wrong) in str(caught.value)
    assert "wr0ng" not in str(caught.value)
    assert not at.mirror.receipt.exists()


def test_no_login_says_what_to_do(world: World, tmp_path: Path, three: list[str]) -> None:
    empty = tmp_path / "empty.json"
    empty.write_text("{}")
    at = steps(world, tmp_path, three[:1], access=replace(world.access, authfile=empty))
    lock_images(at.lock)
    with pytest.raises(RegistryError, match="without a login, and none is known"):
        mirror_images(at.mirror)


def test_a_changed_byte_at_the_source_is_refused_and_named(world: World, tmp_path: Path) -> None:
    servers.add_image(world.source, "quay.io/biocontainers/spoiled:1",
                      [random.Random(str(tmp_path)).randbytes(700_000)])
    at = steps(world, tmp_path, ["quay.io/biocontainers/spoiled:1"])
    lock_images(at.lock)
    layer = read_lock(at.lock.merged)[0].layers[0].digest
    flip(world.source.blob(layer))
    with pytest.raises(IntegrityError) as caught:
        mirror_images(at.mirror)
    assert f"quay.io/biocontainers/spoiled@{layer}" in str(caught.value)
    assert not at.mirror.receipt.exists()
    assert not world.target.blob(layer).exists()


def test_verify_finds_a_lost_layer_and_the_mirror_repairs_it(
        world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    servers.add_image(world.source, "quay.io/biocontainers/lost:1",
                      [random.Random(str(tmp_path)).randbytes(70_000)])
    at = steps(world, tmp_path, ["quay.io/biocontainers/lost:1"])
    at.lock_and_mirror()
    layer = read_lock(at.lock.merged)[0].layers[0].digest
    content = world.target.blob(layer).read_bytes()
    world.target.blob(layer).unlink()
    capsys.readouterr()
    with pytest.raises(ImageError, match="images:mirror:test"):
        verify_images(at.verify)
    out = capsys.readouterr().out
    assert "quay.io/biocontainers/lost:1" in out
    assert f"blob {layer} is missing" in out
    assert not at.mirror.receipt.exists()
    mirror_images(at.mirror)
    assert world.target.blob(layer).read_bytes() == content
    verify_images(at.verify)


def test_verify_finds_drift_between_lock_and_receipt(
        world: World, tmp_path: Path, three: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    at = steps(world, tmp_path, three)
    at.lock_and_mirror()
    receipt = json.loads(at.mirror.receipt.read_bytes())
    receipt["images"][1]["digest"] = "sha256:" + "0" * 64
    at.mirror.receipt.write_text(json.dumps(receipt))
    with pytest.raises(ImageError, match="removed"):
        verify_images(at.verify)
    assert f"{three[1]}: receipt and lock differ in digest" in capsys.readouterr().out


def test_verify_keeps_the_receipt_where_the_registry_is_down(
        world: World, tmp_path: Path, three: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.core.net.request.backoff", lambda attempt: 0.0)
    at = steps(world, tmp_path, three[:1])
    at.lock_and_mirror()
    address = f"127.0.0.1:{servers.free_port()}"
    down = replace(at.verify, access=replace(
        world.access, registries={**world.access.registries,
                                  world.target.address: f"https://{address}"}))
    with pytest.raises(RegistryError, match="no answer"):
        verify_images(down)
    assert at.mirror.receipt.exists()


def test_a_shared_layer_crosses_once(world: World, tmp_path: Path, three: list[str],
                                     capsys: pytest.CaptureFixture[str]) -> None:
    with servers.registry(tmp_path / "fresh") as fresh:
        access = replace(world.access, registries={
            **world.access.registries, fresh.address: fresh.url})
        at = steps(world, tmp_path, three, access=access, address=fresh.address)
        lock_images(at.lock)
        blobs = {blob.digest: blob.size for image in read_lock(at.lock.merged)
                 for blob in image.blobs}
        assert f"in {len(blobs)} blobs to move" in show_plan(at.plan)
        said = mirror_images(at.mirror)
        assert f"moved in {len(blobs)} blobs" in said
        verify_images(at.verify)


def test_a_killed_mirror_records_nothing_and_the_next_one_completes(
        world: World, tmp_path: Path) -> None:
    images = ["quay.io/biocontainers/big:1", "quay.io/biocontainers/fastqc:0.12.1--0"]
    with servers.registry(tmp_path / "fresh") as fresh:
        access = replace(world.access, registries={
            **world.access.registries, fresh.address: fresh.url})
        at = steps(world, tmp_path, images, access=access, address=fresh.address)
        lock_images(at.lock)
        code = ("from tasks.images import mirror, transfer\n"
                "counted = transfer._counted\n"
                "def slow(chunks, progress):\n"
                "    for chunk in counted(chunks, progress):\n"
                "        yield chunk\n"
                "        time.sleep(0.2)\n"
                "transfer._counted = slow\n"
                "mirror.mirror_images(pickle.load(sys.stdin.buffer))\n")
        process = faults.start(code, at.mirror)
        uploads = fresh.data / "docker/registry/v2/repositories"
        for _ in range(500):
            if any(upload.stat().st_size for upload in uploads.rglob("_uploads/*/data")):
                break
            time.sleep(0.02)
        assert faults.kill(process)
        assert not at.mirror.receipt.exists()
        mirror_images(at.mirror)
        assert len(read_json(at.mirror.receipt, "images-receipt")["images"]) == 2
        verify_images(at.verify)


def test_no_error_holds_the_password(world: World, tmp_path: Path, three: list[str]) -> None:
    at = steps(world, tmp_path, three[:1])
    at.lock_and_mirror()
    for path in tmp_path.rglob("*.json"):
        assert servers.PASSWORD not in path.read_text()
    with pytest.raises(AirlockError) as caught:
        mirror_images(replace(at.mirror, destination=replace(at.mirror.destination,
                                                             prefix="UPPER case")))
    assert servers.PASSWORD not in str(caught.value)
