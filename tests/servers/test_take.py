"""A carried folder is taken whole, or not at all, and never back in time."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import AirlockError, ConfigError, HostError, IntegrityError, StoreError
from tasks.core.store.store import open_store
from tasks.core.trust import checksums, signature
from tasks.offline_host import taken
from tasks.offline_host.fetch import fetch
from tasks.offline_host.take import TakeSpec, take
from tests.kit import buckets
from tests.kit.carrying import carry, host, push_tool, tree
from tests.kit.faults import flip
from tests.kit.releases import Staged, change_code, stage

STICK, FAR = Path("stick"), Path("far")
PARTS = [None, "1.1MB"]


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Staged:
    """A release and a tool in the online side's store, and a host that trusts the key."""
    monkeypatch.chdir(tmp_path)
    staged = stage()
    change_code(staged, random.Random(1).randbytes(2_000_000))
    staged.publish()
    staged.trust_key()
    push_tool(staged)
    return staged


def take_spec(ready: Staged, *, store: StoreAt | None = None, carried: Path | str = STICK,
              back: bool = False) -> TakeSpec:
    at = store or StoreAt(url=str(FAR))
    return TakeSpec(carried=str(carried), store=at, host=host(ready), back=back,
                    into=taken.source(str(carried), at, Path("together"))[1])


def fetched(ready: Staged, *, store: StoreAt | None = None, name: str | None = None) -> str:
    """What a fetch says of the store that it reads once the folder was taken."""
    at = taken.source(str(STICK), store or StoreAt(url=str(FAR)), Path("together"))[0]
    return fetch(dataclasses.replace(ready.fetch_spec(name), store=at))


def own(root: Path) -> dict[str, bytes]:
    """What a store has of releases and tools."""
    return {path: data for path, data in tree(root).items()
            if not path.endswith(".lock") and not path.startswith(".airlock/")}


@pytest.mark.parametrize("part", PARTS)
def test_the_offline_sides_store_is_filled(ready: Staged, part: str | None) -> None:
    carry(ready, STICK, part=part)
    FAR.mkdir()
    said = take(take_spec(ready))
    assert f"hello {ready.id()}" in said
    assert own(FAR) == own(Path("store"))
    assert ready.id() in fetched(ready)
    assert ", 0 of them new in" in take(take_spec(ready))
    flip(next(FAR.glob("blobs/sha256/*/code.tar")))
    assert ", 1 of them new in" in take(take_spec(ready))
    assert own(FAR) == own(Path("store"))


@pytest.mark.parametrize("part", PARTS)
def test_where_the_store_is_not_there_the_folder_itself_is_read(ready: Staged,
                                                               part: str | None) -> None:
    carry(ready, STICK, part=part)
    before = tree(STICK)
    assert "can't be written from here" in take(take_spec(ready))
    assert not FAR.exists()
    assert ready.id() in fetched(ready)
    assert tree(STICK) == before
    change_code(ready, b"workflow { newer }\n")
    ready.publish()
    carry(ready, STICK, part=part)
    take(take_spec(ready))
    assert ready.id() in fetched(ready)
    if part:
        listed = checksums.parse_sums((STICK / "whole/SHA256SUMS").read_bytes(), where="")
        assert own(Path("together")).keys() == listed.keys()


def test_a_carried_folder_can_be_the_store(ready: Staged) -> None:
    carry(ready, FAR)
    shutil.copytree(FAR, STICK)
    assert ", 0 of them new in" in take(take_spec(ready))
    spec = take_spec(ready, carried=FAR)
    assert spec.into is None
    assert ready.id() in take(spec)
    assert ready.id() in fetched(ready)


@pytest.mark.parametrize("part", PARTS)
def test_every_byte_is_held_against_the_signed_list(ready: Staged, part: str | None) -> None:
    carry(ready, STICK, part=part)
    for path in sorted(tree(STICK)):
        shutil.rmtree(FAR, ignore_errors=True)
        FAR.mkdir()
        whole = flip(STICK / path)
        with pytest.raises(AirlockError):
            take(take_spec(ready))
        (STICK / path).unlink()
        with pytest.raises(AirlockError):
            take(take_spec(ready))
        assert not list(FAR.rglob("current.json"))
        (STICK / path).write_bytes(whole)
    take(take_spec(ready))


@pytest.mark.parametrize("place", range(0, 1_100_000, 99_991))
def test_a_bit_anywhere_in_a_volume_is_noticed(ready: Staged, place: int) -> None:
    carry(ready, STICK, part="1.1MB")
    volume = sorted(STICK.glob("part*.tar"))[-1]
    data = bytearray(volume.read_bytes())
    data[place % len(data)] ^= 4
    volume.write_bytes(data)
    FAR.mkdir()
    with pytest.raises(IntegrityError):
        take(take_spec(ready))


def test_all_files_that_changed_are_named(ready: Staged) -> None:
    carry(ready, STICK)
    FAR.mkdir()
    for name in ("reads_1.fq", "code.tar"):
        flip(next(STICK.glob(f"blobs/sha256/*/{name}")))
    with pytest.raises(IntegrityError, match="not as they were signed") as fault:
        take(take_spec(ready))
    assert "reads_1.fq" in str(fault.value)
    assert "code.tar" in str(fault.value)


@pytest.mark.parametrize("part", PARTS)
def test_a_folder_is_refused_that_nobody_trusted_has_signed(ready: Staged,
                                                           part: str | None) -> None:
    carry(ready, STICK, part=part)
    FAR.mkdir()
    listed = STICK / "SHA256SUMS"
    for namespace in (signature.RELEASE, signature.IMAGES):
        seal = signature.sign(ready.signing.key, listed.read_bytes(), namespace=namespace)
        (STICK / "SHA256SUMS.sig").write_bytes(seal)
        with pytest.raises(IntegrityError, match="another kind of file"):
            take(take_spec(ready))
    other = Path("keys/other")
    signature.ready(other, create=True, identity="airlock")
    (STICK / "SHA256SUMS.sig").write_bytes(
        signature.sign(other, listed.read_bytes(), namespace=signature.CARRY))
    with pytest.raises(IntegrityError, match="does not name for 'airlock'"):
        take(take_spec(ready))
    (STICK / "SHA256SUMS.sig").unlink()
    with pytest.raises(HostError, match="not whole"):
        take(take_spec(ready))
    assert not list(FAR.iterdir())


@pytest.mark.parametrize("part", PARTS)
def test_an_older_folder_moves_no_pointer(ready: Staged, part: str | None) -> None:
    old = ready.id()
    carry(ready, Path("old"), part=part)
    change_code(ready, b"workflow { newer }\n")
    ready.publish()
    carry(ready, STICK, part=part)
    FAR.mkdir()
    take(take_spec(ready))
    fetched(ready)
    before = own(FAR)
    with pytest.raises(IntegrityError, match="the folder is older"):
        take(take_spec(ready, carried="old"))
    assert own(FAR)["releases/hello/current.json"] == before["releases/hello/current.json"]
    take(take_spec(ready, carried="old", back=True))
    assert own(FAR)["releases/hello/current.json"] == before["releases/hello/current.json"]
    assert f"{old} is in place" in fetched(ready, name=old)
    shutil.rmtree(FAR)
    shutil.rmtree(STICK)
    shutil.copytree("old", STICK)
    take(take_spec(ready))
    with pytest.raises(IntegrityError, match="it is older"):
        fetched(ready)


def test_two_histories_do_not_mix(ready: Staged) -> None:
    carry(ready, STICK)
    FAR.mkdir()
    take(take_spec(ready))
    shutil.rmtree("store")
    change_code(ready, b"workflow { another }\n")
    for path in Path("build/here").rglob("*promot*.json*"):
        path.unlink()  # what this side remembers
    ready.publish()
    push_tool(ready, b"another")
    carry(ready, STICK)
    with pytest.raises(IntegrityError, match="ask those who made them"):
        take(take_spec(ready))


def test_what_is_no_carried_folder_is_said(ready: Staged) -> None:
    FAR.mkdir()
    for carried, kind, message in ((None, ConfigError, "which folder was carried"),
                                   ("nowhere", HostError, "there is no such folder"),
                                   ("store", HostError, "this is no carried folder")):
        with pytest.raises(kind, match=message):
            take(dataclasses.replace(take_spec(ready, carried=carried or ""), carried=carried))


def test_missing_volumes_are_named(ready: Staged) -> None:
    carry(ready, STICK, part="1.1MB")
    FAR.mkdir()
    (STICK / "part0002.tar").unlink()
    with pytest.raises(HostError, match=r"volumes are missing: part0002\.tar"):
        take(take_spec(ready))


def test_links_and_odd_files_are_not_followed(ready: Staged) -> None:
    carry(ready, STICK)
    FAR.mkdir()
    blob = next(STICK.glob("blobs/sha256/*/code.tar"))
    shutil.move(blob, "outside")
    blob.symlink_to(Path("outside").absolute())
    with pytest.raises(IntegrityError, match="a link stands where"):
        take(take_spec(ready))
    blob.unlink()
    os.mkfifo(blob)
    with pytest.raises(IntegrityError, match="no regular file"):
        take(take_spec(ready))


@pytest.mark.parametrize("member", ["../../outside", "/tmp/outside", "blobs/x"])  # noqa: S108
def test_a_name_in_a_volume_leads_nowhere(ready: Staged, member: str) -> None:
    """Even if who signs was made to sign it: only what the list names is taken."""
    import tarfile
    carry(ready, STICK, part="1.1MB")
    extra = STICK / "part0009.tar"
    with tarfile.open(extra, "w", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo(member))
    listed = checksums.parse_sums((STICK / "SHA256SUMS").read_bytes(), where="")
    data = checksums.format_sums({**listed, extra.name: files.sha256(extra)})
    (STICK / "SHA256SUMS").write_bytes(data)
    (STICK / "SHA256SUMS.sig").write_bytes(
        signature.sign(ready.signing.key, data, namespace=signature.CARRY))
    FAR.mkdir()
    with pytest.raises(IntegrityError, match="which the list doesn't name"):
        take(take_spec(ready))


def test_a_full_store_is_said(ready: Staged) -> None:
    carry(ready, STICK)
    FAR.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", FAR],
                                      check=False).returncode:
        pytest.skip("a small file system needs root, and the right to mount")
    try:
        with pytest.raises(HostError, match="the disk has"):
            take(take_spec(ready))
    finally:
        subprocess.run(["umount", FAR], check=True)


@pytest.mark.parametrize("part", PARTS)
def test_a_bucket_is_filled_where_this_host_may_write(
        ready: Staged, tmp_path: Path, part: str | None,
        caplog: pytest.LogCaptureFixture, s3_login: None) -> None:
    carry(ready, STICK, part=part)
    with buckets.gateway(tmp_path / "s3") as running:
        (running.root / "bucket").mkdir()
        bucket = StoreAt(url="s3://bucket/x", endpoint=running.endpoint, region="us-east-1")
        assert "what s3://bucket/x lacked is there now" in take(take_spec(ready, store=bucket))
        assert {key for key in open_store(bucket).list("") if not key.startswith(".airlock/")} == (
            own(Path("store")).keys())
        assert ready.id() in fetched(ready, store=bucket)
        assert ready.id() in fetch(dataclasses.replace(ready.fetch_spec(), store=bucket))
    assert ready.id() in take(take_spec(ready, store=dataclasses.replace(
        bucket, url="s3://another/x")))
    assert "was not filled" in caplog.text


def test_another_promotion_under_a_number_is_refused(ready: Staged) -> None:
    carry(ready, STICK)
    FAR.mkdir()
    take(take_spec(ready))
    path = FAR / "releases/hello/promotions/00000001.json"
    path.write_bytes(json.dumps({"kind": "promotion"}).encode())
    with pytest.raises(StoreError, match="it never changes"):
        take(take_spec(ready))
