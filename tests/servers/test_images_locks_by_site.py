"""Two sites that ask different places for the same images: what each locks, and what both share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from tasks.core.errors import ImageError
from tasks.core.lock_files import LockFiles
from tasks.core.net.network import Network
from tasks.core.registry.client import Access
from tasks.core.schema import read_json
from tasks.images.destination import Destination
from tasks.images.lock import lock_images
from tasks.images.lock_format import read_lock
from tasks.images.mirror import mirror_images
from tasks.images.oci_layout import lay_out
from tests.kit import image_steps
from tests.kit import registries as servers
from tests.kit.image_steps import Steps
from tests.kit.images import layer
from tests.kit.registries import Server


@dataclass(frozen=True, kw_only=True)
class Places:
    """The registry that images are named by, a proxy of it, and a destination."""

    public: Server
    proxy: Server
    target: Server
    folder: Path

    def site(self, name: str, images: list[str], *, asks_proxy: bool, **locking: object) -> Steps:
        """The steps of a site in its own folder; the committed locks are those of all."""
        host = self.public.address
        access = Access(ca=None, authfile=None, network=Network().naming(
            self.public.url, self.target.url), registries={
                self.target.address: self.target.url,
                **({f"{host}/org": f"{self.proxy.url}/mirrored/org"} if asks_proxy else {})})
        committed = LockFiles(site=name, pipeline="p", kind="images", root=self.folder / "locks")
        at = image_steps.steps(self.folder / name, images, access,
                               Destination(address=self.target.address, prefix=name), **locking)
        return replace(at, lock=replace(at.lock, lock=committed),
                       mirror=replace(at.mirror, committed=committed),
                       layout=replace(at.layout, committed=committed))

    def add(self, server: Server, path: str, content: bytes, **form: object) -> str:
        """Put an image; its digest there."""
        servers.add_image(server, path, [layer({"bin/tool": content})],
                          **form)  # type: ignore[arg-type]
        digest: str = servers.inspect(server, path)["Digest"]
        return digest


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    """`tool` and `other`: the proxy has rebuilt the first, and lacks nothing."""
    servers.need_programs()
    with ExitStack() as stack:
        public, proxy, target = (stack.enter_context(servers.registry(tmp_path / name))
                                 for name in ("public", "proxy", "target"))
        # Without a map a registry is asked over TLS, which the stand-in for a public one lacks.
        monkeypatch.setattr("tasks.core.registry.client.endpoint", _plain(public))
        at = Places(public=public, proxy=proxy, target=target, folder=tmp_path)
        at.add(public, "org/tool:1", b"published")
        at.add(proxy, "mirrored/org/tool:1", b"rebuilt")
        at.add(public, "far/other:1", b"the same to all")
        yield at


def _plain(public: Server) -> object:
    from tasks.core.registry import client
    real = client.endpoint

    def endpoint(name: str, registries: dict[str, str]) -> str:
        return real(name, registries).replace(f"https://{public.address}", public.url)
    return endpoint


def names(places: Places) -> list[str]:
    return [f"{places.public.address}/{path}" for path in ("far/other:1", "org/tool:1")]


def sources(path: Path) -> list[str]:
    return [entry["source"] for entry in read_json(path, "images-lock")["images"]]


def test_each_site_mirrors_what_its_own_place_has_and_shares_the_rest(places: Places) -> None:
    other, tool = names(places)
    open_site = places.site("open", [other, tool], asks_proxy=False)
    behind = places.site("behind", [other, tool], asks_proxy=True)
    assert "2 resolved now" in lock_images(behind.lock)
    shared, own = behind.lock.lock.paths
    assert (sources(shared), sources(own)) == ([other], [tool])
    entry, = read_json(own, "images-lock")["images"]
    assert entry["reached_at"] == f"{places.proxy.url}/mirrored/org/tool"
    assert "1 resolved now" in lock_images(open_site.lock)
    assert sources(shared) == [other, tool]
    assert not open_site.lock.lock.own.exists()
    locked = {name: {str(image.source): image.manifest for image in read_lock(at.lock.merged)}
              for name, at in (("open", open_site), ("behind", behind))}
    assert locked["open"][other] == locked["behind"][other]
    assert locked["open"][tool] != locked["behind"][tool]
    assert "reached_at" not in behind.lock.merged.read_text()  # it is carried, and says no address
    for at in (open_site, behind):
        assert "2 images at" in mirror_images(at.mirror)
    before = [path.read_bytes() for path in (shared, own)]
    for at in (open_site, behind):
        lock_images(at.lock)
    assert [path.read_bytes() for path in (shared, own)] == before


def test_what_another_site_locked_is_told_with_the_command_that_renews_it(places: Places) -> None:
    other, tool = names(places)
    open_site = places.site("open", [other, tool], asks_proxy=False)
    lock_images(open_site.lock)
    shared = open_site.lock.lock.shared
    behind = places.site("behind", [other, tool], asks_proxy=True)
    assert "0 resolved now" in lock_images(behind.lock)
    published = {str(image.source): image.manifest
                 for image in read_lock(behind.lock.merged)}[tool]
    for step in (partial(mirror_images, behind.mirror), partial(lay_out, behind.layout)):
        with pytest.raises(ImageError) as caught:
            step()
        said = str(caught.value)
        assert published in said
        assert f"{places.proxy.address} answers 404" in said
        assert f"in {shared}, which all sites share" in said
        assert "./doit site=behind relock=1 images:lock:p" in said
        assert f"{places.proxy.url}/v2/mirrored/org/tool/" in said
    assert f"whole at {places.target.address} stays" in str(_fault(behind))
    lock_images(replace(behind.lock, relock=True))
    assert sources(behind.lock.lock.own) == [tool]
    assert {entry["source"]: entry["manifest"] for entry in read_json(
        shared, "images-lock")["images"]}[tool] == published
    mirror_images(behind.mirror)


def _fault(at: Steps) -> ImageError:
    with pytest.raises(ImageError) as caught:
        mirror_images(at.mirror)
    return caught.value


def test_an_own_entry_goes_once_its_place_has_what_all_share(places: Places) -> None:
    _, tool = names(places)
    behind = places.site("behind", [tool], asks_proxy=True)
    lock_images(behind.lock)
    lock_images(places.site("open", [tool], asks_proxy=False).lock)
    shared, own = behind.lock.lock.paths
    assert own.exists()
    places.add(places.proxy, "mirrored/org/tool:1", b"published")
    before = shared.read_bytes()
    lock_images(behind.lock)
    assert own.exists()  # a lock is kept until it is renewed
    lock_images(replace(behind.lock, relock=True))
    assert not own.exists()
    assert shared.read_bytes() == before


def test_another_platform_is_the_site_s_own_and_leaves_what_all_share(places: Places) -> None:
    host = places.public.address
    places.add(places.public, "far/both:1", b"two", platforms=("amd64", "arm64"))
    image = f"{host}/far/both:1"
    lock_images(places.site("open", [image], asks_proxy=False).lock)
    arm = places.site("arm", [image], asks_proxy=False, platform="linux/arm64")
    shared, own = arm.lock.lock.paths
    before = shared.read_bytes()
    with pytest.raises(ImageError, match=r"\./doit site=arm relock=1 images:lock:p"):
        lock_images(arm.lock)
    lock_images(replace(arm.lock, relock=True))
    assert read_lock(arm.lock.merged)[0].platform == "linux/arm64"
    assert "0 resolved now" in lock_images(arm.lock)
    assert (shared.read_bytes(), sources(own)) == (before, [image])


def test_a_digest_gone_at_its_source_is_used_where_the_registry_holds_it(places: Places) -> None:
    other, tool = names(places)
    at = places.site("open", [other, tool], asks_proxy=False)
    at.lock_and_mirror()
    shutil.rmtree(places.public.data / "docker/registry/v2/repositories/far")
    assert "0 B moved" in mirror_images(at.mirror)  # it isn't asked there for what is whole here
    with pytest.raises(ImageError, match="relock=1") as caught:
        lay_out(at.layout)
    assert "is gone, or was never here" in str(caught.value)
    assert f"what lies in {at.layout.blobs} is used" in str(caught.value)
    with pytest.raises(ImageError, match="without relock=1") as caught:
        lock_images(replace(at.lock, relock=True))
    assert other in str(caught.value)
    assert "0 resolved now" in lock_images(at.lock)


def test_no_new_lock_helps_where_the_pipeline_names_the_digest(places: Places) -> None:
    digest = places.add(places.public, "org/pinned:1", b"pinned")
    image = f"{places.public.address}/org/pinned@{digest}"
    lock_images(places.site("open", [image], asks_proxy=False).lock)
    behind = places.site("behind", [image], asks_proxy=True)
    lock_images(behind.lock)
    with pytest.raises(ImageError, match="no new lock helps") as caught:
        mirror_images(behind.mirror)
    assert "relock=1" not in str(caught.value)
