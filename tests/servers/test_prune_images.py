"""Images that no release names any more, in real registries that delete, and that don't."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.registry.client import Access, Registries, Registry
from tasks.core.registry.deletion import NotAllowed, delete_manifest
from tasks.release import prune
from tasks.release.prune_images import ImagesSpec
from tests.kit import registries
from tests.kit.pruning import releases, spec
from tests.kit.registries import Server
from tests.kit.releases import IMAGE, Staged, change_code, stage

NEXUS = "nexus.example.org:5443"
STORE = StoreAt(url="store")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    registries.need_programs()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with registries.registry(tmp_path / "registry") as running:
        yield running


def access(server: Server, authfile: Path | None = None) -> Access:
    return Access(registries={NEXUS: server.url}, ca=None, authfile=authfile)


def images(server: Server, **more: Any) -> ImagesSpec:
    fields = {"access": access(server), "own": (f"{NEXUS}/quay.io/a",), "site": "here",
              "built": Path("build/nowhere"), "store": STORE.url, "sites": (Path("sites"),), **more}
    return ImagesSpec(**fields)


def at(server: Server) -> Registry:
    return Registries(access(server)).at(NEXUS)


def mirrored(server: Server, name: str, *platforms: str) -> str:
    """An image in the registry, its layers shared with others; its digest, or its index's."""
    registries.add_image(server, name, [b"a base of all", name.encode()],
                         platforms=platforms or ("amd64",))
    digest = at(server).manifest_digest(*name.split(":"))
    assert digest
    return digest


def children(server: Server, path: str, digest: str) -> list[str]:
    index = json.loads(at(server).manifest(path, digest).data)
    return [str(child["digest"]) for child in index["manifests"]]


def publish(staged: Staged, path: str, digest: str, **more: Any) -> str:
    """A release that pulls this one image."""
    layout = staged.layout
    fresh = stage(layout.pipeline)  # its images' files, as they were
    for place in (layout.images_pinned, layout.lock("images"), layout.images_receipt):
        files.write_text(place, place.read_text().replace(IMAGE, digest))
    receipt = json.loads(layout.images_receipt.read_text())
    receipt["images"][0] |= {"destination": f"{NEXUS}/{path}", **more}
    files.write_json(layout.images_receipt, receipt)
    change_code(fresh, f"workflow {{ {path} {digest} {more} }}\n".encode())
    return fresh.publish()


def is_there(server: Server, path: str, reference: str) -> bool:
    return Registries(access(server)).at(NEXUS).find_manifest(path, reference) is not None


def by_hand() -> list[str]:
    return Path("build/here/prune.by-hand.txt").read_text().splitlines()


def states() -> dict[str, str]:
    report = json.loads(Path("build/here/prune.json").read_text())
    return {image["image"].partition("@")[0].rpartition("/")[2]: image["state"]
            for image in report["images"]}


def test_an_image_goes_with_the_last_release_that_names_it(
        server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    staged = stage()
    old, new = mirrored(server, "quay.io/a/tool:1"), mirrored(server, "quay.io/a/tool:2")
    other = mirrored(server, "quay.io/a/other:1")
    publish(staged, "quay.io/a/tool", old)
    publish(stage("twin"), "quay.io/a/other", other)
    publish(staged, "quay.io/a/other", other)
    publish(staged, "quay.io/a/tool", new)
    prune.show_plan(spec(STORE, images=images(server)))
    assert f"image {NEXUS}/quay.io/a/tool@{old} goes from " in capsys.readouterr().out
    prune.apply(spec(STORE, images=images(server)))
    assert is_there(server, "quay.io/a/tool", old), "its grace has just begun"
    assert "1 image deleted" in prune.apply(spec(STORE, images=images(server)))
    assert "until it collects them" in capsys.readouterr().out
    assert not is_there(server, "quay.io/a/tool", old)
    assert at(server).tags("quay.io/a/tool") == ["2"], "its tag went with it"
    for path, digest in (("quay.io/a/tool", new), ("quay.io/a/other", other)):
        assert registries.inspect(server, f"{path}@{digest}")["Digest"] == digest
    assert "0 images deleted" in prune.apply(spec(STORE, images=images(server)))
    assert states() == {}


def test_what_a_kept_index_leads_to_stays_and_a_whole_index_goes(server: Server) -> None:
    staged = stage()
    index = mirrored(server, "quay.io/a/both:1", "amd64", "arm64")
    gone = mirrored(server, "quay.io/a/gone:1", "amd64", "arm64")
    amd, arm = children(server, "quay.io/a/both", index)
    below = children(server, "quay.io/a/gone", gone)
    publish(staged, "quay.io/a/both", arm)
    publish(staged, "quay.io/a/gone", below[0], index=gone)
    publish(staged, "quay.io/a/both", amd, index=index)
    for _ in range(2):
        prune.apply(spec(STORE, images=images(server)))
    assert all(is_there(server, "quay.io/a/both", digest) for digest in (index, amd, arm))
    assert not any(is_there(server, "quay.io/a/gone", digest) for digest in (gone, *below))


def test_a_registry_that_deletes_nothing_leaves_a_list(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with registries.registry(tmp_path / "fixed", deletes=False) as server:
        staged = stage()
        digests = [mirrored(server, f"quay.io/a/tool:{number}") for number in range(3)]
        for digest in digests:
            publish(staged, "quay.io/a/tool", digest)
        for _ in range(3):
            prune.apply(spec(STORE, images=images(server)))
        assert "answered 405" in capsys.readouterr().out
        assert all(is_there(server, "quay.io/a/tool", digest) for digest in digests)
        assert by_hand() == sorted(f"{NEXUS}/quay.io/a/tool@{one}" for one in digests[:2])
        assert states() == {"tool": "left"}
        with pytest.raises(NotAllowed):
            delete_manifest(at(server), "quay.io/a/tool", digests[0])


def test_who_may_not_delete_gets_the_list_too(tmp_path: Path) -> None:
    passwords = registries.passwords(tmp_path)
    with registries.registry(tmp_path / "closed", htpasswd=passwords) as server:
        right = registries.login_files(tmp_path / "right", [NEXUS, server.address])
        wrong = registries.login_files(tmp_path / "wrong", [NEXUS, server.address], "other")
        registries.add_image(server, "quay.io/a/tool:1", [b"a"], authfile=right)
        registry = Registries(access(server, right)).at(NEXUS)
        digest = registry.manifest_digest("quay.io/a/tool", "1")
        assert digest
        with pytest.raises(NotAllowed, match="doesn't let this login delete"):
            delete_manifest(Registries(access(server, wrong)).at(NEXUS), "quay.io/a/tool", digest)
        assert delete_manifest(registry, "quay.io/a/tool", digest)
        assert not delete_manifest(registry, "quay.io/a/tool", digest), "it has gone"


def test_what_this_checkout_has_mirrored_or_another_site_may_need_stays(server: Server) -> None:
    staged = stage()
    digests = [mirrored(server, f"quay.io/a/tool:{number}") for number in range(4)]
    ids = [publish(staged, "quay.io/a/tool", digest) for digest in digests]
    receipt = json.loads(staged.layout.images_receipt.read_text())
    receipt["images"][0]["digest"] = digests[0]
    files.write_json(Path("build/mine/next/images.receipt.json"), receipt)
    own = images(server, built=Path("build/mine"))
    for _ in range(2):
        prune.apply(spec(STORE, images=own))
    assert releases(STORE) == {ids[3]}
    assert [is_there(server, "quay.io/a/tool", digest) for digest in digests] == [
        True, False, False, True]
    files.write_text(Path("sites/theirs.yml"), json.dumps({
        "registry": {"host": "nexus.example.org", "port": 5443}, "store": {"url": "/theirs"}}))
    files.write_text(Path("sites/broken.yml"), "[")
    prune.apply(spec(STORE, images=own))
    assert states() == {"tool": "stays"}
    prune.apply(spec(STORE, images=images(server)))
    assert is_there(server, "quay.io/a/tool", digests[0])
    assert states() == {"tool": "stays"}
    files.write_text(Path("sites/theirs.yml"), json.dumps({
        "registry": {"host": "nexus.example.org", "port": 5443, "prefix": "theirs"},
        "store": {"url": "/theirs"}}))
    prune.apply(spec(STORE, images=images(server)))
    assert not is_there(server, "quay.io/a/tool", digests[0])


def test_what_lies_outside_of_the_sites_own_place_is_never_deleted(server: Server) -> None:
    """Who can write into the store can have it name any image."""
    staged = stage()
    for path in ("quay.io/another/team", "quay.io/ab/tool"):
        digest = mirrored(server, f"{path}:1")
        publish(staged, path, digest)
    publish(staged, "quay.io/a/tool", mirrored(server, "quay.io/a/tool:1"))
    for _ in range(2):
        prune.apply(spec(STORE, images=images(server)))
    assert is_there(server, "quay.io/another/team", "1")
    assert is_there(server, "quay.io/ab/tool", "1")
    assert states() == {"team": "stays", "tool": "stays"}


def test_a_release_that_does_not_tell_its_images_keeps_all(server: Server) -> None:
    staged = stage()
    digests = [mirrored(server, f"quay.io/a/tool:{number}") for number in range(2)]
    for digest in digests:
        publish(staged, "quay.io/a/tool", digest)
    lost = next(path for path in Path("store/blobs").rglob("images.receipt.json")
                if digests[1] in path.read_text())
    lost.unlink()
    with pytest.raises(Exception, match="list of images is missing"):
        prune.apply(spec(STORE, images=images(server)))
    assert len(releases(STORE)) == 2
