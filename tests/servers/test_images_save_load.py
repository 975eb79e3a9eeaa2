"""A release that carries its images, from a source registry through the store into another one."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.engine.address import Engine
from tasks.core.errors import IntegrityError, RegistryError
from tasks.core.in_place import InPlace
from tasks.core.net.inner_addresses import EVERYWHERE
from tasks.core.net.network import Network
from tasks.core.registry.client import Access
from tasks.core.schema import read_json
from tasks.core.trust import signature
from tasks.images.destination import Destination
from tasks.images.load import LoadSpec, load_images
from tasks.images.lock import LockSpec, lock_images
from tasks.images.lock_format import distinct, read_lock
from tasks.images.oci_layout import LayoutSpec, lay_out
from tasks.offline_host.fetch import fetch
from tasks.release import release
from tests.kit import faults, tls
from tests.kit import registries as servers
from tests.kit.faults import flip
from tests.kit.registries import Server
from tests.kit.releases import Staged, stage

SHARED = random.Random(5).randbytes(2_000_000)
ONE, TWO, BOTH = "quay.io/bio/one:1.0", "quay.io/bio/two:2--0", "quay.io/bio/both:1"
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Gap:
    """The online side with its source, and the offline side's registry, TLS and password."""

    staged: Staged
    source: Server
    target: Server
    ca: Path

    def release(self, images: list[str], *, platforms: tuple[str, ...] = ()) -> str:
        """Lock, lay out, release and push; the release's id."""
        at = self.staged.layout
        access = Access(registries={"quay.io": f"{self.source.url}/quay.io"}, ca=None,
                        authfile=None)
        files.write_text(at.images, "".join(f"{image}\n" for image in sorted(images)))
        lock_images(LockSpec(pipeline="hello", images=at.images, lock=at.locks("images"),
                             merged=at.lock("images"), pinned=at.images_pinned,
                             platform="linux/amd64", access=access, relock=True,
                             platforms=platforms))
        lay_out(LayoutSpec(pipeline="hello", lock=at.lock("images"),
                           committed=at.locks("images"), index=at.oci_index,
                           marker=at.oci_marker, blobs=at.of_site.blobs, access=access,
                           destination=Destination(address=self.target.address, prefix="in"),
                           receipt=at.images_receipt))
        release.make(replace(self.staged.release_spec(), carry="store"))
        return self.staged.push()

    def load_spec(self) -> LoadSpec:
        return LoadSpec(pipeline="hello", layout=self.staged.prod,
                        trust=self.staged.trust.absolute(),
                        network=Network(inside=EVERYWHERE), place=InPlace(self.staged.prod),
                        engine=Engine(url="unix:///nowhere/docker.sock"))

    def see(self, source: str) -> dict[str, object]:
        """What skopeo says of an image at the offline registry."""
        words = ["skopeo", "inspect", "--cert-dir", str(self.ca.parent), "--authfile",
                 str(self.staged.trust / "config.json"),
                 f"docker://{self.target.address}/in/{source}"]
        seen: dict[str, object] = json.loads(subprocess.run(words, check=True,
                                                            capture_output=True).stdout)
        return seen


@pytest.fixture
def gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gap]:
    servers.need_programs()
    monkeypatch.chdir(tmp_path)
    staged = stage()
    ca, certificate, key = tls.certificates(tmp_path / "tls")
    with ExitStack() as stack:
        source = stack.enter_context(servers.registry(tmp_path / "source", schema1=True))
        target = stack.enter_context(servers.registry(
            tmp_path / "target", tls=(certificate, key), htpasswd=servers.passwords(tmp_path)))
        for name in (ONE, TWO):
            servers.add_image(source, name, [SHARED, name.encode()])
        servers.add_image(source, BOTH, [SHARED], platforms=("amd64", "arm64"))
        servers.login_files(staged.trust, [target.address])
        only_ca = tmp_path / "ca"
        only_ca.mkdir()
        for place in (staged.trust / "ca.crt", only_ca / "ca.crt"):
            files.copy(ca, place)
        signature.ready(staged.signing.key, create=True, identity="airlock")
        staged.trust_key()
        yield Gap(staged=staged, source=source, target=target, ca=only_ca / "ca.crt")


def test_a_release_carries_its_images_into_a_registry(gap: Gap) -> None:
    name = gap.release([ONE, TWO])
    fetch(gap.staged.fetch_spec())
    folder = gap.staged.prod.release(name)
    locked = read_lock(folder / "images.lock.json")
    output = subprocess.run(["skopeo", "inspect", f"oci:{folder}/oci:{ONE}"], check=True,
                            capture_output=True).stdout
    assert json.loads(output)["Digest"] == locked[0].manifest
    said = load_images(gap.load_spec())
    assert f"put there in {len(distinct(locked))} blobs" in said
    for image in locked:
        assert gap.see(str(image.source))["Digest"] == image.manifest
    receipt = read_json(gap.staged.prod.images_receipt, "images-receipt")
    assert receipt == read_json(folder / "images.receipt.json", "images-receipt")
    assert [f"{entry['destination']}@{entry['digest']}" for entry in receipt["images"]] == [
        f"{gap.target.address}/in/{image.source.repository}@{image.manifest}"
        for image in locked]
    before = servers.writes(gap.target)
    assert "put there in 0 blobs" in load_images(gap.load_spec())
    assert servers.writes(gap.target) == before


def test_all_platforms_come_along_with_their_index(gap: Gap) -> None:
    gap.release([BOTH], platforms=("all",))
    fetch(gap.staged.fetch_spec())
    load_images(gap.load_spec())
    source = servers.inspect(gap.source, BOTH)
    assert gap.see(BOTH)["Digest"] == source["Digest"]
    raw = subprocess.run(["skopeo", "inspect", "--raw", "--cert-dir", str(gap.ca.parent),
                          "--authfile", str(gap.staged.trust / "config.json"),
                          f"docker://{gap.target.address}/in/{BOTH}"], check=True,
                         capture_output=True).stdout
    assert len(json.loads(raw)["manifests"]) == 2


def test_a_converted_image_is_loaded_as_the_receipt_says(gap: Gap) -> None:
    servers.add_image(gap.source, "quay.io/bio/old:0.7", [SHARED, b"old"], form="v2s1")
    name = gap.release(["quay.io/bio/old:0.7", ONE])
    fetch(gap.staged.fetch_spec())
    load_images(gap.load_spec())
    receipt = read_json(gap.staged.prod.images_receipt, "images-receipt")
    assert receipt == read_json(gap.staged.prod.release(name) / "images.receipt.json",
                                "images-receipt")
    old = next(entry for entry in receipt["images"] if "converted" in entry)
    locked = {str(image.source): image.manifest
              for image in read_lock(gap.staged.layout.lock("images"))}
    assert old["converted"]["from"] == locked["quay.io/bio/old:0.7"]
    assert gap.see("quay.io/bio/old:0.7")["Digest"] == old["digest"]


def test_a_second_release_moves_only_what_is_new(gap: Gap) -> None:
    gap.release([ONE])
    fetch(gap.staged.fetch_spec())
    load_images(gap.load_spec())
    stored = {path: path.stat().st_mtime_ns for path in Path("store/blobs").rglob("*")
              if path.is_file()}
    gap.release([ONE, TWO])
    assert all(path.stat().st_mtime_ns == when for path, when in stored.items())
    fetch(gap.staged.fetch_spec())
    # The shared layer is in the registry: the new image's own layer and config are put there.
    assert "put there in 2 blobs" in load_images(gap.load_spec())
    gap.see(TWO)


def test_a_flipped_byte_in_the_store_is_refused_and_named(gap: Gap) -> None:
    gap.release([ONE])
    layer = read_lock(gap.staged.layout.lock("images"))[0].layers[1].digest
    plain = layer.removeprefix("sha256:")
    path = Path("store/blobs/sha256") / plain / plain
    whole = flip(path, alone=True)
    with pytest.raises(IntegrityError, match=f"oci/blobs/sha256/{plain}"):
        fetch(gap.staged.fetch_spec())
    path.write_bytes(whole)
    fetch(gap.staged.fetch_spec())
    load_images(gap.load_spec())


def test_a_flipped_byte_at_load_is_refused_and_named_and_the_next_run_completes(gap: Gap) -> None:
    name = gap.release([ONE, TWO])
    fetch(gap.staged.fetch_spec())
    images = read_lock(gap.staged.layout.lock("images"))
    damaged = [layer.digest.removeprefix("sha256:") for layer in
               (images[0].layers[1], images[1].layers[1])]
    for plain in damaged:
        for path in (gap.staged.prod.release(name) / "oci/blobs/sha256" / plain,
                     gap.staged.prod.blobs / plain / plain):
            flip(path, alone=True)
    with pytest.raises(IntegrityError) as caught:
        load_images(gap.load_spec())
    assert any(plain in str(caught.value) for plain in damaged)
    assert "prod:fetch:hello" in str(caught.value)
    assert not gap.staged.prod.images_receipt.exists()
    fetch(gap.staged.fetch_spec())
    load_images(gap.load_spec())
    gap.see(ONE), gap.see(TWO)


def test_a_wrong_password_at_load_says_what_to_do_and_is_not_shown(gap: Gap) -> None:
    gap.release([ONE])
    fetch(gap.staged.fetch_spec())
    servers.login_files(gap.staged.trust, [gap.target.address], "wr0ng-Secret")
    with pytest.raises(RegistryError) as caught:
        load_images(gap.load_spec())
    assert "wrong user or password" in str(caught.value)
    assert str(gap.staged.trust.absolute() / "config.json") in str(caught.value)
    assert "wr0ng" not in str(caught.value)
    assert not gap.staged.prod.images_receipt.exists()
    servers.login_files(gap.staged.trust, [gap.target.address])
    load_images(gap.load_spec())


def test_killed_at_load_records_nothing_and_the_next_run_completes(gap: Gap) -> None:
    gap.release([ONE, TWO])
    fetch(gap.staged.fetch_spec())
    code = ("from tasks.images import blobs, load\n"
            "checked = blobs.checked\n"
            "def slow(*given):\n"
            "    for chunk in checked(*given):\n"
            "        time.sleep(0.2)\n"
            "        yield chunk\n"
            "blobs.checked = slow\n"
            "load.load_images(pickle.load(sys.stdin.buffer))\n")
    for pause in (0.5, 0.9):
        process = faults.start(code, gap.load_spec())
        time.sleep(pause)
        assert faults.kill(process)
        assert not gap.staged.prod.images_receipt.exists()
    load_images(gap.load_spec())
    gap.see(ONE), gap.see(TWO)


def test_a_changed_blob_makes_no_release(gap: Gap) -> None:
    gap.release([ONE])
    digest = read_lock(gap.staged.layout.lock("images"))[0].layers[1].digest
    plain = digest.removeprefix("sha256:")
    flip(gap.staged.layout.of_site.blobs / plain / plain, alone=True)
    with pytest.raises(IntegrityError, match=plain):
        release.make(replace(gap.staged.release_spec(), carry="store"))
    (gap.staged.layout.of_site.blobs / plain / plain).unlink()
    with pytest.raises(IntegrityError, match="is missing"):
        release.make(replace(gap.staged.release_spec(), carry="store"))
    gap.release([ONE])
