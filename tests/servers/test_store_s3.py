"""The bucket store against a real S3 server that refuses wrong checksums."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from urllib3.exceptions import ProtocolError

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import IntegrityError, StoreError
from tasks.core.store.interface import Overtaken, Store, Stored
from tasks.core.store.s3 import S3Store
from tasks.core.store.s3_client import Request
from tasks.core.store.send import Upload, send
from tasks.core.store.store import open_store
from tasks.offline_host.fetch import fetch
from tests.kit import buckets, replacing
from tests.kit.bounded import limited
from tests.kit.releases import stage

pytestmark = pytest.mark.usefixtures("s3_login")

SMALL = b"a small file\n"
MOST = 2**24
MB = 10**6


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreAt]:
    with buckets.gateway(tmp_path_factory.mktemp("s3")) as running:
        (running.root / "bucket").mkdir()
        yield StoreAt(url="s3://bucket/some/prefix", endpoint=running.endpoint, region="us-east-1")


def write(path: Path, data: bytes) -> tuple[Path, str]:
    path.write_bytes(data)
    return path, files.sha256_bytes(data)


def test_what_is_sent_is_read_back_with_the_servers_checksum(at: StoreAt, tmp_path: Path) -> None:
    path, digest = write(tmp_path / "f", SMALL)
    store = open_store(at)
    sent = Upload(key=f"blobs/sha256/{digest}/f", path=path, sha256=digest, size=len(SMALL))
    assert store.head(sent.key) is None
    assert send(store, [sent]) == [Stored(key=sent.key, size=len(SMALL), sha256=digest)]
    assert store.head(sent.key) == Stored(key=sent.key, size=len(SMALL), sha256=digest)
    store.get(sent.key, tmp_path / "back", most=MOST)
    assert (tmp_path / "back").read_bytes() == SMALL
    assert store.list(f"blobs/sha256/{digest}") == [sent.key]


def test_many_files_are_known_by_a_listing_and_one_that_changed_is_sent(
        at: StoreAt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = []
    for number in range(60):
        path, digest = write(tmp_path / f"f{number}", b"%d" % number)
        uploads.append(Upload(key=f"blobs/many/{digest}/f", path=path, sha256=digest,
                              size=path.stat().st_size))
    stored = send(open_store(at), uploads)
    assert {entry.key: entry.sha256 for entry in stored} == {
        upload.key: upload.sha256 for upload in uploads}
    store = open_store(at)
    asked: list[str] = []
    head = store.head

    def watched(key: str) -> Stored | None:
        asked.append(key)
        return head(key)

    monkeypatch.setattr(store, "head", watched)
    assert (send(store, uploads, known=stored), asked) == (stored, [])
    open_store(at).put_bytes(uploads[7].key, b"7!")
    assert (send(store, uploads, known=stored), set(asked)) == (stored, {uploads[7].key})
    store.get(uploads[7].key, tmp_path / "back", most=MOST)
    assert (tmp_path / "back").read_bytes() == b"7"
    assert send(store, uploads) == stored  # another machine, without the receipt: each is asked for
    assert set(asked) == {upload.key for upload in uploads}


def test_the_server_refuses_bytes_that_lack_their_checksum(at: StoreAt, tmp_path: Path) -> None:
    path, _ = write(tmp_path / "f", SMALL)
    with pytest.raises(IntegrityError, match="refused a file"):
        open_store(at).put("blobs/wrong/f", path, files.sha256_bytes(b"other"))
    assert open_store(at).head("blobs/wrong/f") is None


def test_a_large_file_goes_in_parts_each_checked(at: StoreAt, tmp_path: Path) -> None:
    data = bytes(range(256)) * (11 * 2**12)  # 11 MiB: S3 wants parts of 5 MiB or more
    path, digest = write(tmp_path / "large", data)
    store = S3Store(at, single=2**20, part=5 * 2**20)
    upload = Upload(key=f"blobs/{digest}/large", path=path, sha256=digest, size=len(data))
    assert send(store, [upload])[0].sha256 == digest
    store.get(upload.key, tmp_path / "back", most=MOST)
    assert files.sha256(tmp_path / "back") == digest
    with pytest.raises(IntegrityError, match="has changed"):
        store.put("blobs/other/large", path, files.sha256_bytes(b"other"))
    assert store.head("blobs/other/large") is None


@pytest.mark.parametrize("single", [2**20, 2**30], ids=["in parts", "at once"])
def test_a_blob_that_another_push_brought_is_done_and_a_damaged_one_is_replaced(
        at: StoreAt, tmp_path: Path, single: int) -> None:
    path, digest = write(tmp_path / "f", b"%d" % single * 2**20)
    store = S3Store(at, single=single, part=5 * 2**20)
    key = f"blobs/sha256/{digest}/f"
    store.put(key, path, digest)
    before = store.head(key)
    store.put(key, path, digest)
    after = store.head(key)
    assert (before, before and before.tag) == (after, after and after.tag)
    open_store(at).put_bytes(key, b"damaged")
    store.put(key, path, digest)
    assert store.head(key) == Stored(key=key, size=path.stat().st_size, sha256=digest)


def test_a_large_release_is_never_replaced(at: StoreAt, tmp_path: Path) -> None:
    path, digest = write(tmp_path / "large", bytes(6 * 2**20))
    store = S3Store(at, single=2**20, part=5 * 2**20)
    key = "releases/hello/dev-0123456789ab/large"
    store.put(key, path, digest)
    with pytest.raises(StoreError, match="never changes"):
        store.put(key, path, digest)
    assert store.head(key) == Stored(key=key, size=6 * 2**20, sha256=digest)


@pytest.mark.parametrize("name", ["a b+c~d", "ü €", "x=y&z;?#", "a'(b)*!", "%2F%"])
def test_any_name_comes_back_as_it_was(at: StoreAt, tmp_path: Path, name: str) -> None:
    store = open_store(at)
    folder = f"blobs/{files.sha256_bytes(name.encode())}"
    key = f"{folder}/{name}"
    store.put_bytes(key, SMALL)
    assert store.list(f"{folder}/") == [key]
    store.get(key, tmp_path / "back", most=MOST)
    assert (tmp_path / "back").read_bytes() == SMALL


def test_many_large_files_take_little_memory(at: StoreAt, tmp_path: Path) -> None:
    """16 at a time, 32 MB each: 512 MB where each was held in memory."""
    for number in range(16):
        with (tmp_path / f"file{number}").open("wb") as stream:
            stream.truncate(32 * MB)
    peak = limited("""
from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.store.send import Upload, send
from tasks.core.store.store import open_store
store = open_store(StoreAt(url=sys.argv[1], endpoint=sys.argv[2], region='us-east-1'))
paths = sorted(Path(sys.argv[3]).glob('file*'))
digest = files.sha256(paths[0])
send(store, [Upload(key=f'blobs/memory/{path.name}', path=path, sha256=digest, size=32_000_000)
             for path in paths])
# This very program's peak: ru_maxrss would give its parent's, if that is larger.
print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])
""", at.url, str(at.endpoint), tmp_path, memory=4000 * MB, seconds=60)
    assert int(peak) < 150_000  # KiB


def test_a_release_is_never_replaced(at: StoreAt, tmp_path: Path) -> None:
    store = open_store(at)
    key = "releases/hello/dev-0123456789ab/SHA256SUMS"
    store.put_bytes(key, b"first")
    path, digest = write(tmp_path / "f", b"second")
    with pytest.raises(StoreError, match="never changes"):
        send(store, [Upload(key=key, path=path, sha256=digest, size=6)])
    with pytest.raises(StoreError, match="never changes"):
        store.put_bytes(key, b"second")  # also when two look at once: the server refuses
    store.get(key, tmp_path / "back", most=MOST)
    assert (tmp_path / "back").read_bytes() == b"first"


@pytest.mark.parametrize(("name", "value"), [
    ("AWS_SECRET_ACCESS_KEY", "not-the-secret"), ("AWS_ACCESS_KEY_ID", "nobody")])
def test_wrong_credentials(at: StoreAt, monkeypatch: pytest.MonkeyPatch, name: str,
                           value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(StoreError, match="credentials are wrong") as caught:
        open_store(at).head("blobs/f")
    assert "s3://bucket/some/prefix: blobs/f" in str(caught.value)
    assert value not in str(caught.value)
    assert buckets.SECRET not in str(caught.value)


def test_no_credentials(at: StoreAt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StoreError, match="no credentials"):
        open_store(at).head("blobs/f")


def test_a_missing_bucket_is_not_a_missing_key(at: StoreAt, tmp_path: Path) -> None:
    store = open_store(StoreAt(url="s3://nowhere", endpoint=at.endpoint, region=at.region))
    path, digest = write(tmp_path / "f", SMALL)
    for act in (lambda: store.head("k"), lambda: store.put("k", path, digest),
                lambda: store.get("k", tmp_path / "b", most=MOST), lambda: store.list("")):
        with pytest.raises(StoreError, match="bucket does not exist"):
            act()


def test_a_missing_key_and_a_missing_server(at: StoreAt, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="lacks a file"):
        open_store(at).get("blobs/none", tmp_path / "b", most=MOST)
    assert not (tmp_path / "b").exists()
    with pytest.raises(StoreError, match="no connection"):
        open_store(StoreAt(url="s3://bucket", endpoint="http://127.0.0.1:9")).head("k")


def test_a_release_goes_into_a_bucket_and_comes_out_checked(
        at: StoreAt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    staged = dataclasses.replace(stage(), store=at)
    name = staged.publish()
    assert staged.publish() == name  # pushed again: all is there, nothing is refused
    staged.trust_key()
    fetch(staged.fetch_spec())
    folder = staged.prod.release(name)
    assert files.sha256(folder / "code.tar") == files.sha256(staged.layout.code)
    assert f"releases/hello/{name}/SHA256SUMS.sig" in open_store(at).list("releases/hello/")
    open_store(at).put_bytes(f"blobs/sha256/{files.sha256(staged.layout.code)}/code.tar", b"evil")
    next(staged.prod.blobs.rglob("code.tar")).unlink()
    with pytest.raises(IntegrityError, match=r"code\.tar: its bytes have changed"):
        fetch(staged.fetch_spec())


def test_only_who_has_seen_what_is_there_replaces_it(at: StoreAt, tmp_path: Path) -> None:
    """One after the other: this server looks at a condition before it writes, not while it does."""
    store = S3Store(dataclasses.replace(at, url="s3://bucket/replaced"))
    replacing.see_that_nobody_is_overtaken_unasked(store, tmp_path, writers=1)


def test_who_writes_between_the_look_and_the_write_is_not_overwritten(
        at: StoreAt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's own look at the condition, not ours, keeps what the other wrote."""
    key, store = "tool/current.json", S3Store(dataclasses.replace(at, url="s3://bucket/between"))
    for before, other in ((None, b"theirs"), (b"theirs", b"theirs again")):
        def look(key: str, before: bytes | None = before,
                 other: bytes = other) -> tuple[bytes | None, str | None]:
            held = S3Store._content(store, key)
            patch.undo()
            store.replace(key, other, before)
            return held

        with monkeypatch.context() as patch:
            patch.setattr(store, "_content", look)
            with pytest.raises(Overtaken):
                store.replace(key, b"ours", before)
        store.get(key, tmp_path / "back", most=20)
        assert (tmp_path / "back").read_bytes() == other


def test_a_write_whose_answer_was_lost_is_no_others(
        at: StoreAt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = S3Store(dataclasses.replace(at, url="s3://bucket/lost"))
    store.replace("tool/current.json", b"0", None)
    attempt, lost = store._bucket._try, list[Request]()

    def lose(request: Request) -> Any:
        response = attempt(request)
        if request.method == "PUT" and not lost:
            lost.append(request)
            response.close()
            raise ProtocolError("the answer is lost")
        return response

    monkeypatch.setattr(store._bucket, "_try", lose)
    store.replace("tool/current.json", b"1", b"0")
    assert lost
    store.get("tool/current.json", tmp_path / "back", most=10)
    assert (tmp_path / "back").read_bytes() == b"1"


@pytest.mark.parametrize("change", [lambda data: data[:-1] + bytes([data[-1] ^ 1]),
                                    lambda data: data + b"more", lambda data: data[:-2],
                                    lambda data: b""], ids=["other", "longer", "shorter", "empty"])
def test_an_object_that_changed_on_the_server_s_disk_is_named_as_changed(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[bytes], bytes]) -> None:
    monkeypatch.chdir(tmp_path)
    with buckets.gateway(tmp_path / "s3") as running:
        (running.root / "bucket").mkdir()
        staged = dataclasses.replace(stage(), store=StoreAt(
            url="s3://bucket/p", endpoint=running.endpoint, region="us-east-1"))
        staged.publish()
        staged.trust_key()
        for name in ("code.tar", "release.json"):
            damaged = next((running.root / "bucket/p/blobs").rglob(name))
            before = damaged.read_bytes()
            damaged.write_bytes(change(before))
            shutil.rmtree("build/there", ignore_errors=True)  # what was fetched before is kept
            with pytest.raises(IntegrityError, match="its bytes have changed") as caught:
                fetch(staged.fetch_spec())
            assert f"/{name}" in str(caught.value)
            assert damaged.parent.name in str(caught.value)
            damaged.write_bytes(before)
        assert "is in place" in fetch(staged.fetch_spec())


@pytest.mark.parametrize("ask", [
    lambda store, _: store.head("a/b"), lambda store, _: store.list("a/"),
    lambda store, _: store.put_bytes("a/b", SMALL),
    lambda store, path: store.get("a/b", path, most=MOST)], ids=["head", "list", "put", "get"])
def test_another_region_is_named_whatever_is_asked(
        at: StoreAt, tmp_path: Path, ask: Callable[[Store, Path], object]) -> None:
    elsewhere = open_store(dataclasses.replace(at, region="eu-central-1"))
    with pytest.raises(StoreError) as caught:
        ask(elsewhere, tmp_path / "back")
    assert "the bucket lies in us-east-1, and was asked for in eu-central-1" in str(caught.value)
    assert "set store.region (AIRLOCK_STORE_REGION) to us-east-1" in str(caught.value)
