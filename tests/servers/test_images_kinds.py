"""Images of every kind, to every kind of place: old formats, several platforms and registries."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files
from tasks.core.errors import HostError, ImageError
from tasks.core.net.network import Network
from tasks.core.registry.client import Access, Registries
from tasks.images.destination import Destination
from tasks.images.left import to_mirror
from tasks.images.lock import lock_images
from tasks.images.lock_format import read_lock
from tasks.images.mirror import mirror_images, show_plan
from tasks.images.outdated import OutdatedSpec, show_outdated
from tasks.images.verify import extra, verify_images
from tests.kit import image_steps, tls
from tests.kit import registries as servers
from tests.kit.image_steps import Steps
from tests.kit.images import layer
from tests.kit.registries import Server
from tests.kit.registry_memory import Answer, Memory, Request, serve

OLD, BOTH = "quay.io/biocontainers/old:0.7", "docker.io/library/both:1"
NEW, MOVING = "quay.io/biocontainers/new:1", "quay.io/biocontainers/new:moving"
LAYERS = [layer({"bin/old": b"of 2016"}), layer({"etc/old": b"conf"})]


@dataclass(frozen=True, kw_only=True)
class World:
    """A source that holds schema 1 too, and two registries with TLS and a password."""

    source: Server
    one: Server
    two: Server
    access: Access


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    servers.need_programs()
    root = tmp_path_factory.mktemp("registries")
    ca, certificate, key = tls.certificates(root / "tls")
    htpasswd = servers.passwords(root)
    with ExitStack() as stack:
        source = stack.enter_context(servers.registry(root / "source", schema1=True))
        one, two = (stack.enter_context(servers.registry(
            root / name, tls=(certificate, key), htpasswd=htpasswd)) for name in ("one", "two"))
        servers.add_image(source, OLD, LAYERS, form="v2s1")
        servers.add_image(source, BOTH, LAYERS[:1], platforms=("amd64", "arm64"))
        servers.add_image(source, NEW, [b"first"])
        yield World(source=source, one=one, two=two, access=Access(
            registries={"quay.io": f"{source.url}/quay.io", "docker.io": f"{source.url}/docker.io",
                        "gone.example.org": "http://127.0.0.1:1"}, ca=ca,
            authfile=servers.login_files(root / "auth", [one.address, two.address]),
            network=Network().naming(*(f"https://{server.address}" for server in (one, two)))))


def steps(world: World, folder: Path, *images: str, platforms: tuple[str, ...] = (),
          repositories: dict[str, str] | None = None) -> Steps:
    destination = Destination(address=world.one.address, prefix=folder.name.replace("_", "-"),
                              repositories=repositories or {})
    return image_steps.steps(folder, sorted(images), world.access, destination, platforms=platforms,
                             licences={"*/biocontainers/old": "ours"})


def test_schema_1_is_named_converted_once_and_held_against_its_source(
        world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    at = steps(world, tmp_path, OLD, NEW)
    said = lock_images(at.lock)
    assert f"convert: {OLD} is in docker schema 1" in said
    assert f"licence: {OLD} needs one of ours" in said
    locked = {str(image.source): image for image in read_lock(at.lock.merged)}[OLD]
    assert (locked.convert, locked.config, len(locked.layers)) == ("docker schema 1", None, 3)
    assert (at.planned(OLD)["state"], at.planned(OLD)["licence"]) == ("converts", "ours")
    assert to_mirror(at.mirror)
    assert "1 converted" in mirror_images(at.mirror)
    assert to_mirror(at.mirror) == 0
    entry = at.received(OLD)
    assert entry["converted"] == {"from": locked.manifest, "reason": "docker schema 1"}
    assert entry["digest"] != locked.manifest
    seen = servers.inspect(world.one, f"{entry['destination'].partition('/')[2]}@{entry['digest']}",
                           world.access.authfile)
    assert seen["Layers"] == [blob.digest for blob in locked.layers[:2]]
    assert "is in docker schema 1" not in "".join(at.planned(OLD)["why"])
    assert not list(tmp_path.glob("converting*"))

    before, receipt = servers.writes(world.one), at.mirror.receipt.read_bytes()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "converted" not in mirror_images(at.mirror)
    assert (servers.writes(world.one), at.mirror.receipt.read_bytes()) == (before, receipt)
    assert "2 images whole" in verify_images(at.verify)
    out = capsys.readouterr().out
    assert "differs" not in out
    assert "source   " not in out


def test_a_lost_conversion_is_seen_and_made_again(world: World, tmp_path: Path,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    at = steps(world, tmp_path, OLD)
    at.lock_and_mirror()
    config = json.loads(world.one.blob(at.received(OLD)["digest"]).read_bytes())["config"]["digest"]
    kept = at.mirror.receipt.read_bytes()
    world.one.blob(config).unlink()
    assert at.planned(OLD)["state"] == "converts"
    with pytest.raises(ImageError, match="images:mirror:test"):
        verify_images(at.verify)
    assert f"blob {config} is missing" in capsys.readouterr().out
    assert not at.mirror.receipt.exists()
    mirror_images(at.mirror)
    assert at.mirror.receipt.read_bytes() == kept
    verify_images(at.verify)


def test_without_skopeo_only_an_old_image_fails(world: World, tmp_path: Path,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    at = steps(world, tmp_path, OLD)
    lock_images(at.lock)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        with pytest.raises(HostError, match="'skopeo' is not on the PATH") as caught:
            mirror_images(at.mirror)
        assert OLD in str(caught.value)
        assert not at.mirror.receipt.exists()
        at.lock.images.write_text(f"{NEW}\n")
        at.lock_and_mirror()


def test_a_conversion_with_other_layers_is_refused(world: World, tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    real = shutil.which("skopeo")
    fake = tmp_path / "bin/skopeo"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\n{real} "$@" || exit 1\nfor to; do :; done\n'
                    'sed -i "s/.layers.:\\[[^]]*\\]/\\"layers\\":[]/" "${to#dir:}/manifest.json"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    at = steps(world, tmp_path, OLD)
    with pytest.raises(ImageError, match="other layers"):
        at.lock_and_mirror()
    assert not at.mirror.receipt.exists()


def test_a_single_platform_leaves_the_index_and_all_of_them_bring_it(
        world: World, tmp_path: Path) -> None:
    at = steps(world, tmp_path, BOTH, NEW)
    at.lock_and_mirror()
    one = at.received(BOTH)
    assert "index" not in one
    assert pointed(world, one) == one["digest"] == read_lock(at.lock.merged)[0].manifest
    with pytest.raises(ImageError, match="relock=1"):
        lock_images(replace(at.lock, platforms=("all",)))
    for platforms in (("all",), ("linux/arm64",)):
        said = lock_images(replace(at.lock, platforms=platforms, relock=True))
        assert ("platform: " + NEW in said) == (platforms == ("linux/arm64",))
        assert at.planned(BOTH)["state"] == ("moves" if platforms == ("all",) else "present")
        mirror_images(at.mirror)
        both = at.received(BOTH)
        image = read_lock(at.lock.merged)[0]
        assert pointed(world, both) == both["index"] == image.index
        assert both["digest"] == one["digest"]
        assert [other["platform"] for other in both["others"]] == ["linux/arm64"]
        arm = servers.inspect(world.one, place(both) + "@" + both["others"][0]["digest"],
                              world.access.authfile)
        assert arm["Architecture"] == "arm64"
        verify_images(at.verify)


def place(entry: dict[str, Any]) -> str:
    return str(entry["destination"]).partition("/")[2]


def pointed(world: World, entry: dict[str, Any]) -> str:
    """The digest that the destination's tag means."""
    authfile = world.access.authfile
    raw = subprocess.run(
        ["skopeo", "inspect", "--raw", "--tls-verify=false", "--authfile", str(authfile),
         f"docker://{world.one.address}/{place(entry)}:{entry['source'].rpartition(':')[2]}"],
        check=True, capture_output=True).stdout
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def test_a_lost_platform_is_a_mismatch(world: World, tmp_path: Path,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    at = steps(world, tmp_path, BOTH, platforms=("all",))
    at.lock_and_mirror()
    other = read_lock(at.lock.merged)[0].others[0].manifest
    (world.one.data / "docker/registry/v2/repositories" / place(at.received(BOTH))
     / f"_manifests/revisions/sha256/{other[7:]}/link").unlink()
    with pytest.raises(ImageError):
        verify_images(at.verify)
    assert f"manifest {other} is missing" in capsys.readouterr().out
    mirror_images(at.mirror)
    verify_images(at.verify)


def test_each_source_goes_to_its_own_registry(world: World, tmp_path: Path,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    at = steps(world, tmp_path, BOTH, OLD, NEW,
               repositories={"docker.io": f"{world.two.address}/hub/{tmp_path.name[:4]}"})
    said = at.lock_and_mirror()
    assert f"at {' and '.join(sorted([world.one.address, world.two.address]))}" in said
    assert at.received(BOTH)["destination"] == (
        f"{world.two.address}/hub/{tmp_path.name[:4]}/library/both")
    assert at.received(NEW)["destination"].startswith(f"{world.one.address}/{tmp_path.name[:4]}")
    assert servers.inspect(world.two, f"{place(at.received(BOTH))}:1",
                           world.access.authfile)["Digest"] == at.received(BOTH)["digest"]
    assert "3 images whole" in verify_images(at.verify)
    layer = read_lock(at.lock.merged)[0].layers[0].digest
    world.two.blob(layer).unlink()
    with pytest.raises(ImageError):
        verify_images(at.verify)
    assert f"blob {layer} is missing" in capsys.readouterr().out
    assert "moved in 1 blobs" in mirror_images(at.mirror)
    verify_images(at.verify)


def test_two_pipelines_that_meet_in_one_place_are_refused(world: World, tmp_path: Path) -> None:
    shared = {"quay.io": f"{world.one.address}/x", "docker.io": f"{world.one.address}/x"}
    at = steps(world, tmp_path, NEW, repositories=shared)
    lock_images(at.lock)
    other = json.loads(at.lock.merged.read_bytes())
    other["images"][0]["source"] = "docker.io/biocontainers/new:2"
    (tmp_path / "other.json").write_text(json.dumps(other))
    show_plan(at.plan)
    with pytest.raises(ImageError, match="would both go to"):
        show_plan(replace(at.plan, locks=(at.lock.merged, tmp_path / "other.json")))


def test_what_is_extra_moved_gone_or_silent_is_named_and_no_fault(
        world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    servers.add_image(world.source, MOVING, [b"kept"])
    at = steps(world, tmp_path, BOTH, NEW, MOVING)
    at.lock_and_mirror()
    prefix = at.mirror.destination.prefix
    servers.add_image(world.source, MOVING, [b"next"])
    for path, tag in ((f"{prefix}/quay.io/biocontainers/new", "stray"), (f"{prefix}/stray", "1")):
        servers.add_image(world.one, f"{path}:{tag}", LAYERS[:1], authfile=world.access.authfile)
    capsys.readouterr()
    verify_images(at.verify)
    out = capsys.readouterr().out
    assert f"extra    {world.one.address}/{prefix}/quay.io/biocontainers/new:stray" in out
    assert f"extra    {world.one.address}/{prefix}/stray\n" in out
    assert "source   quay.io/biocontainers/new:moving: has moved from" in out
    assert at.mirror.receipt.exists()

    asked = OutdatedSpec(pipeline="test", lock=at.lock.merged, access=world.access)
    assert show_outdated(asked).startswith("1 moved of 3 images")
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == [
        "moved", "quay.io/biocontainers/new:moving"]
    silent = replace(world.access, registries={**world.access.registries,
                                               "docker.io": f"{world.source.url}/nothing"})
    assert "1 gone" in show_outdated(replace(asked, access=silent))


def test_what_an_older_release_needs_is_not_extra(
        world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = steps(world, tmp_path, NEW)
    at.lock_and_mirror()
    prefix = f"{at.mirror.destination.prefix}/quay.io/biocontainers"
    for name in ("new:0", "new:stray", "left:7", "left:8"):
        servers.add_image(world.one, f"{prefix}/{name}", LAYERS[:1], authfile=world.access.authfile)
    store = Path(at.verify.store.url)
    store.rmdir()
    verify_images(at.verify)
    assert "extra    can't be known: what releases in the store need" in capsys.readouterr().out
    images = [{"source": f"quay.io/biocontainers/{name}", "digest": f"sha256:{'a' * 64}",
               "destination": f"{world.one.address}/{prefix}/{name.partition(':')[0]}",
               "platform": "linux/amd64", "size": 1} for name in ("new:0", "left:7")]
    receipt = files.json_bytes({"registry": world.one.address, "images": images})
    digest = files.sha256_bytes(receipt)
    files.write_bytes(store / f"blobs/sha256/{digest}/images.receipt.json", receipt)
    files.write_text(store / "releases/other/1.0-0123456789ab/SHA256SUMS",
                     f"{digest}  images.receipt.json\n")
    verify_images(at.verify)
    out = capsys.readouterr().out
    assert f"extra    {world.one.address}/{prefix}/new:stray\n" in out
    assert f"extra    {world.one.address}/{prefix}/left:8\n" in out
    assert "new:0" not in out and "left:7" not in out and f"{prefix}/left\n" not in out


def test_a_silent_source_is_no_fault(world: World, tmp_path: Path,
                                     monkeypatch: pytest.MonkeyPatch,
                                     capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("tasks.core.net.request.backoff", lambda attempt: 0.0)
    at = steps(world, tmp_path, NEW, BOTH)
    at.lock_and_mirror()
    silent = replace(world.access, registries={**world.access.registries,
                                               "quay.io": "http://127.0.0.1:1/quay.io"})
    verify_images(replace(at.verify, access=silent))
    assert f"source   {NEW}: no answer from 127.0.0.1:1" in capsys.readouterr().out
    assert at.mirror.receipt.exists()
    assert "1 unknown of 2" in show_outdated(OutdatedSpec(
        pipeline="test", lock=at.lock.merged, access=silent))


def test_long_lists_are_read_to_their_end_and_a_forbidden_one_is_named(world: World,
                                                                       tmp_path: Path) -> None:
    at = steps(world, tmp_path, NEW)
    lock_images(at.lock)

    def spoil(request: Request) -> Answer | None:
        if request.path.endswith("/tags/list"):
            if "last" in request.query:
                return 200, {}, b'{"tags": ["third", "1"]}'
            after = f'<{request.path}?last=b>; rel="next"'
            return 200, {"Link": after}, b'{"tags": ["first", "second"]}'
        return (403, {}, b"") if request.path == "/v2/_catalog" else None

    with serve(Memory(spoil=spoil)) as memory:
        home = memory.url.removeprefix("http://")
        access = Access(registries={home: memory.url}, ca=None, authfile=tmp_path / "none.json")
        (tmp_path / "none.json").write_text("{}")
        found = extra(Registries(access), read_lock(at.lock.merged),
                      Destination(address=home, prefix="in"), {})
    assert [name.rpartition(":")[2] for name in found[:3]] == ["first", "second", "third"]
    assert found[3].startswith(f"can't be known for all of {home}: {home} refuses its list")
