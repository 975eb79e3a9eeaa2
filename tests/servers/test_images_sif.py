"""Images as files: locked, made, released and fetched, with a real registry and a web server."""

from __future__ import annotations

import errno
import io
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.errors import HostError, ImageError, IntegrityError, SourceError
from tasks.core.schema import read_json
from tasks.core.sif.layers import Dropped
from tasks.core.trust import signature
from tasks.images import sif
from tasks.images.lock_format import read_lock
from tasks.images.outdated import OutdatedSpec, show_outdated
from tasks.images.sif import make_sifs
from tasks.offline_host.fetch import fetch
from tasks.release import release
from tests.kit import faults, machine, sifs
from tests.kit import registries as servers
from tests.kit.images import layer
from tests.kit.registries import Server
from tests.kit.releases import stage
from tests.kit.sifs import ARTIFACTS, DEPOT, Site
from tests.kit.web import Web

ONE, TWO = "quay.io/lab/count:1.0", "quay.io/lab/plot:2.1"
DIRECT = f"{DEPOT}singularity/map%3A0.7--0"
ARTIFACT = f"oras://{ARTIFACTS}/lab/call:3"


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Server]:
    """The public side: two images, and an artifact."""
    servers.need_programs()
    with servers.registry(tmp_path / "source") as server:
        servers.add_image(server, ONE, [layer({"bin/count": b"#!/bin/sh\nwc -l\n"}),
                                        layer({"etc/count.conf": b"lines\n"})])
        sifs.add_index(server, TWO, tmp_path / "two")
        yield server


@pytest.fixture
def site(tmp_path: Path, source: Server, web: Web, monkeypatch: pytest.MonkeyPatch) -> Site:
    (tmp_path / "clone").mkdir()
    monkeypatch.chdir(tmp_path / "clone")
    web.files["/singularity/map%3A0.7--0"] = sifs.sif(tmp_path)
    return Site(source=source, web=web)


def test_images_of_every_kind_cross_as_files(site: Site, tmp_path: Path) -> None:
    machine.need("unsquashfs")
    artifact = site.web.files["/singularity/map%3A0.7--0"]
    manifest = sifs.push_artifact(site.source, f"{ARTIFACTS}/lab/call:3", artifact + b"\0")
    said = site.make(ONE, TWO, DIRECT, ARTIFACT)
    assert "4 image files" in said
    assert "2 made now" in said
    listed = site.listed()
    assert [*listed] == sorted([ONE, TWO, DIRECT, ARTIFACT])
    assert listed[ONE]["container"] == f"quay.io/lab/count@{listed[ONE]['manifest']}"
    assert listed[ONE]["file"] == (
        f"quay.io-lab-count@{listed[ONE]['manifest'].replace(':', '-')}.img")
    assert listed[DIRECT]["container"] == DIRECT
    assert "manifest" not in listed[DIRECT]
    assert listed[ARTIFACT]["manifest"] == manifest
    assert site.file(ARTIFACT).read_bytes() == artifact + b"\0"
    tree = sifs.unpacked(site.file(ONE), tmp_path / "tree")
    assert (tree / "bin/count").read_bytes() == b"#!/bin/sh\nwc -l\n"
    assert (tree / "etc/count.conf").read_bytes() == b"lines\n"

    signature.ready(site.staged.signing.key, create=True, identity="airlock")
    site.staged.trust_key()
    name = site.release()
    about = read_json(site.staged.layout.release / "release.json", "release")
    assert "registry" not in about
    assert about["smoke"] == "none"
    assert f"container = '{listed[ONE]['container']}'" in (
        site.staged.layout.offline_config.read_text())
    fetch(site.staged.fetch_spec())
    placed = site.staged.prod.release(name)
    for entry in listed.values():
        assert files.sha256(placed / "sif" / entry["file"]) == entry["sha256"]
    assert not (placed / "images.receipt.json").exists()
    assert not (placed / "oci").exists()
    assert read_json(placed / "sif.json", "sif") == read_json(site.staged.layout.sif_index, "sif")


def test_what_was_made_is_made_no_more_by_any_pipeline(site: Site) -> None:
    assert "2 made now" in site.make(ONE, TWO)
    before = {site.file(image): site.file(image).stat().st_mtime_ns for image in (ONE, TWO)}
    assert "0 made now" in make_sifs(site.sif_spec)
    other = replace(site, staged=stage("other"))
    servers.add_image(site.source, "quay.io/lab/again:7", [layer({"bin/again": b"7"})])
    assert "1 made now" in other.make(TWO, "quay.io/lab/again:7")
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_an_artifact_that_has_moved_is_outdated_and_what_can_t_be_asked_is_counted(
        site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    file = site.web.files["/singularity/map%3A0.7--0"]
    sifs.push_artifact(site.source, f"{ARTIFACTS}/lab/call:3", file + b"\0")
    site.lock(ONE, DIRECT, ARTIFACT)
    asked = OutdatedSpec(pipeline="hello", lock=site.staged.layout.lock("images"),
                         access=site.access)
    capsys.readouterr()
    assert show_outdated(asked) == (
        "none moved of 2 images; 1 image files at https:// are not asked: `doit relock=1 "
        "images:lock` alone fetches and compares them")
    assert capsys.readouterr().out == ""
    now = sifs.push_artifact(site.source, f"{ARTIFACTS}/lab/call:3", file + b"\1")
    assert show_outdated(asked).startswith("1 moved of 2 images; to take")
    _, line = capsys.readouterr().out.splitlines()
    assert line.split()[:2] == ["moved", f"{ARTIFACTS}/lab/call:3"] and line.endswith(now)


def test_two_clones_make_the_same_bytes(site: Site, tmp_path: Path,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    site.make(ONE, TWO, DIRECT)
    first = site.staged.layout.sif_index.read_bytes()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    replace(site, staged=stage()).make(ONE, TWO, DIRECT)
    assert site.staged.layout.sif_index.read_bytes() == first


def test_a_changed_byte_is_noticed_and_mended(site: Site) -> None:
    site.make(ONE, DIRECT)
    site.staged.layout.offline_config.write_text("profiles { offline {} }\n")
    for image in (ONE, DIRECT):
        whole = faults.flip(site.file(image))
        with pytest.raises(IntegrityError, match=r"sif\.json says"):
            release.make(site.release_spec)
        if image == ONE:
            assert "1 made now" in make_sifs(site.sif_spec)
        else:
            with pytest.raises(IntegrityError, match="missing or has changed"):
                make_sifs(site.sif_spec)
            site.lay_out()
            make_sifs(site.sif_spec)
        assert site.file(image).read_bytes() == whole
    blobs = site.staged.layout.of_site.blobs
    for blob in read_lock(site.staged.layout.lock("images"))[0].blobs:
        digest = blob.digest.removeprefix("sha256:")
        whole = faults.flip(blobs / digest / digest)
        site.file(ONE).unlink()
        with pytest.raises(IntegrityError, match=r"changed|digest"):
            make_sifs(site.sif_spec)
        assert not site.file(ONE).exists()
        site.lay_out()
        assert (blobs / digest / digest).read_bytes() == whole
        assert "1 made now" in make_sifs(site.sif_spec)


def test_an_image_file_that_changes_at_its_source_says_so(site: Site, tmp_path: Path) -> None:
    assert "1 image files, 1 fetched now" in site.lock(DIRECT)
    committed = site.staged.layout.locks("images")
    entry, = read_json(committed.own, "images-lock")["files"]
    assert entry["reached_at"] == f"{site.web.url}/singularity/map%3A0.7--0"
    assert not committed.shared.exists()
    assert "0 fetched now" in site.lock(DIRECT)
    assert site.web.asked("/singularity/map%3A0.7--0") == 1
    before = site.web.files["/singularity/map%3A0.7--0"]
    site.web.files["/singularity/map%3A0.7--0"] = before + b"later"
    site.lay_out()
    blob = site.staged.layout.of_site.blobs / entry["sha256"]
    next(blob.iterdir()).unlink()
    with pytest.raises(IntegrityError, match="another file than when it was locked") as caught:
        site.lay_out()
    assert committed.renewing in str(caught.value)
    assert not [*blob.iterdir()]
    assert f"moved: {DIRECT} from sha256:{entry['sha256']}" in site.lock(DIRECT, relock=True)
    site.lay_out()
    assert "1 image files" in make_sifs(site.sif_spec)


def test_the_lock_of_sites_whose_engine_pulls_stays(site: Site) -> None:
    """Their images are others: what this site asks for beside them is its own."""
    committed = site.staged.layout.locks("images")
    replaced = Site(source=site.source, web=site.web, staged=site.staged)
    site.lock(ONE, TWO)
    lock = read_json(committed.own, "images-lock")
    for image in lock["images"]:
        image.pop("reached_at")
    files.write_json(committed.shared, lock)
    committed.own.unlink()
    before = committed.shared.read_bytes()
    assert "1 images, 0 resolved now" in replaced.lock(ONE, DIRECT)
    assert committed.shared.read_bytes() == before
    own = read_json(committed.own, "images-lock")
    assert (own["images"], [file["source"] for file in own["files"]]) == ([], [DIRECT])
    replaced.lock(ONE, DIRECT, relock=True)
    assert committed.shared.read_bytes() == before
    site.lock(ONE)
    assert not committed.own.exists()


@pytest.mark.parametrize(("image", "why"), [
    ("library://lab/tools/map:1", "can be locked by what they hold"),
    ("shub://lab/map", "can be locked by what they hold"),
    ("file:///images/map.sif", "can be locked by what they hold"),
    ("/images/map.sif", "can be locked by what they hold"),
    ("https://me:secret@depot.example.org/map.sif", "no login"),
    ("https://depot.example.org/map.sif?token=x", "no query"),
    ("oras://map:1", "names its registry")])
def test_what_cannot_be_carried_is_refused_with_what_to_do(
        site: Site, image: str, why: str) -> None:
    with pytest.raises(ImageError, match=why) as caught:
        site.lock(ONE, image)
    assert "under `images:`" in str(caught.value)
    assert not site.staged.layout.locks("images").own.exists()


def test_what_is_no_image_for_the_site_is_refused(site: Site, tmp_path: Path) -> None:
    blobs = site.staged.layout.of_site.blobs
    held = {*blobs.iterdir()}
    site.web.files["/singularity/map%3A0.7--0"] = b"not an image, but some bytes" * 100
    with pytest.raises(ImageError, match="no image file"):
        site.lock(DIRECT)
    site.web.files["/singularity/map%3A0.7--0"] = sifs.sif(tmp_path, architecture="arm64")
    with pytest.raises(ImageError, match="is for arm64, and the site's platform is linux/amd64"):
        site.lock(DIRECT)
    site.web.files["/singularity/map%3A0.7--0"] = b"<!DOCTYPE html><html></html>"
    with pytest.raises(SourceError, match="web page"):
        site.lock(DIRECT)
    sifs.push_artifact(site.source, f"{ARTIFACTS}/lab/call:3", b"one", b"two")
    with pytest.raises(ImageError, match="no artifact that holds one image file"):
        site.lock(ARTIFACT)
    sifs.push_artifact(site.source, f"{ARTIFACTS}/lab/call:3", b"one")
    with pytest.raises(ImageError, match="no image file"):
        site.lock(ARTIFACT)
    assert {*blobs.iterdir()} == held


def test_an_image_of_before_sif_is_carried(site: Site) -> None:
    """Singularity wrote squashfs behind a line of a script, as the depot's oldest images are."""
    old = b"#!/usr/bin/env run-singularity\nhsqs" + bytes(5000)
    site.web.files["/singularity/map%3A0.7--0"] = old
    site.make(DIRECT)
    assert site.file(DIRECT).read_bytes() == old


def test_names_that_clash_are_refused(site: Site, tmp_path: Path) -> None:
    site.web.files["/lab/map:1"] = sifs.sif(tmp_path)
    site.web.files["/lab-map-1"] = sifs.sif(tmp_path) + b"other"
    with pytest.raises(ImageError, match=r"depot\.example\.org-lab-map-1\.img") as caught:
        site.make(f"{DEPOT}lab/map:1", f"{DEPOT}lab-map-1")
    assert f"{DEPOT}lab-map-1 and {DEPOT}lab/map:1" in str(caught.value)
    long = f"{DEPOT}{'a' * 250}"
    site.web.files[f"/{'a' * 250}"] = sifs.sif(tmp_path)
    with pytest.raises(ImageError, match="longer than 255 bytes"):
        site.make(long)
    assert not site.staged.layout.sif_index.exists()


def test_an_image_whose_config_is_for_another_platform_is_refused(site: Site) -> None:
    """Its index says that it fits; the config is what runs."""
    site.lock(TWO)
    site.lay_out()
    with pytest.raises(ImageError, match=r"made for linux/amd64, the site's platform is"):
        make_sifs(replace(site.sif_spec, platform="linux/arm64"))
    assert not site.staged.layout.sif_index.exists()


def test_what_a_file_cannot_hold_is_told_each_time(site: Site) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        device = tarfile.TarInfo("dev/null")
        device.type, device.devmajor, device.devminor = tarfile.CHRTYPE, 1, 3
        archive.addfile(device)
        ping = tarfile.TarInfo("bin/ping")
        ping.pax_headers = {"SCHILY.xattr.security.capability": "x"}
        archive.addfile(ping)
    servers.add_image(site.source, "quay.io/lab/net:1", [buffer.getvalue()])
    for made in (1, 0):
        said = site.make("quay.io/lab/net:1")
        assert f"{made} made now" in said
        assert "dropped: quay.io/lab/net:1: devices of dev/null" in said
        assert "dropped: quay.io/lab/net:1: extended attributes of bin/ping" in said


def test_a_full_disk_is_told_and_leaves_nothing_half(
        site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.lock(ONE)
    site.lay_out()
    blobs = site.staged.layout.of_site.blobs
    held = {*blobs.iterdir()}

    def full(*layers: object, output: Path, **rest: object) -> Dropped:
        output.write_bytes(b"the begin of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(sif, "make", full)
        with pytest.raises(HostError, match="No space left on device"):
            make_sifs(site.sif_spec)
    assert {*blobs.iterdir()} == held
    assert not site.staged.layout.sif_index.exists()
    assert "1 made now" in make_sifs(site.sif_spec)


def test_a_killed_run_leaves_nothing_half(site: Site) -> None:
    site.lock(ONE)
    site.lay_out()
    blobs, index = site.staged.layout.of_site.blobs, site.staged.layout.sif_index
    held = {*blobs.iterdir()}
    process = faults.start(f"""
from tasks.images import sif
def slow(*words, output, **rest):
    output.write_bytes(b"the begin of it")
    print("begun", flush=True)
    time.sleep(60)
sif.make = slow
sif.make_sifs({faults.SPEC})
""", site.sif_spec)
    for _ in range(600):
        if [*blobs.glob(".sif.*.part/image")]:
            break
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert {path for path in blobs.iterdir() if not path.name.startswith(".")} == held
    assert not index.exists()
    assert "1 made now" in make_sifs(site.sif_spec)
