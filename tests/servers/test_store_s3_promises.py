"""Stores that aren't AWS: the promise that can't be kept is named first, and given up by choice."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import IntegrityError, StoreError
from tasks.core.store.s3 import S3Store
from tasks.core.store.send import Upload, send
from tasks.core.store.store import open_store
from tasks.release import push
from tests.kit.odd_bucket import CHECKSUM, Kept, OddBucket, Ways, odd_bucket
from tests.kit.releases import stage

RELEASE = "releases/hello/1-0123456789ab/SHA256SUMS"
METADATA, NONE = {"checksums": "metadata"}, {"conditional": "none"}
ABD = base64.b64encode(hashlib.sha256(b"abd").digest()).decode()
pytestmark = pytest.mark.usefixtures("bucket_credentials")
numbers = itertools.count()


def store_at(server: OddBucket, **keys: Any) -> StoreAt:
    """The store of a site; each has another prefix, so that none is taken for one probed before."""
    return StoreAt(url=f"s3://bucket/other-{next(numbers)}", endpoint=server.url, region="here",
                   **keys)


def upload(tmp_path: Path, data: bytes = b"abc", key: str = "") -> Upload:
    digest = files.sha256_bytes(data)
    path = tmp_path / digest
    path.write_bytes(data)
    return Upload(key=key or f"blobs/sha256/{digest}/f", path=path, sha256=digest, size=len(data))


def place(at: StoreAt, key: str) -> str:
    return f"{at.url.removeprefix('s3://bucket/')}/{key}"


@pytest.mark.parametrize(("ways", "promise", "key", "cost"), [
    (Ways(checksums="dropped"), "keeps no SHA-256 checksums", "store.checksums to metadata",
     "read back in full"),
    (Ways(checksums="refused"), r"refuses SHA-256 checksums \((NotImplemented|400)",
     "store.checksums to metadata", "read back in full"),
    (Ways(conditional="ignored"), "ignores conditional writes", "store.conditional to none",
     "can still replace each other's"),
    (Ways(conditional="refused"), r"refuses \(NotImplemented\) conditional writes",
     "store.conditional to none", "can still replace each other's")])
def test_a_promise_that_is_not_kept_is_named_before_a_file_is_sent(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ways: Ways, promise: str, key: str,
        cost: str) -> None:
    monkeypatch.chdir(tmp_path)
    with odd_bucket(ways) as server:
        staged = dataclasses.replace(stage(), store=store_at(server))
        with pytest.raises(StoreError, match=promise) as caught:
            staged.publish()
        for part in (key, cost, staged.store.url):
            assert part in str(caught.value)
        assert not [name for name in server.objects if ".airlock/" not in name]


@pytest.mark.parametrize(("ways", "keys"), [
    (Ways(checksums="dropped"), METADATA), (Ways(checksums="refused"), METADATA),
    (Ways(conditional="ignored"), NONE), (Ways(conditional="refused"), NONE),
    (Ways(checksums="refused", conditional="refused"), {**METADATA, **NONE})])
def test_a_release_goes_into_a_store_in_the_mode_that_it_can_keep(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ways: Ways, keys: dict[str, str]) -> None:
    monkeypatch.chdir(tmp_path)
    with odd_bucket(ways) as server:
        at = store_at(server, **keys)
        staged = dataclasses.replace(stage(), store=at)
        name = staged.publish()
        pushed = {key for key in server.objects if ".airlock/" not in key}
        for key in pushed:
            digest = files.sha256_bytes(server.objects[key].data)
            if keys.get("checksums"):
                assert server.objects[key].headers["x-amz-meta-sha256"] == digest
                assert server.count("GET", key) >= 1
        assert place(at, f"releases/hello/{name}/SHA256SUMS") in pushed
        assert staged.publish() == name  # pushed again: all is there, nothing is refused
        assert server.count("PUT", RELEASE.rpartition("/")[2]) == 2  # with its signature


def test_in_metadata_mode_no_request_names_a_checksum(tmp_path: Path) -> None:
    with odd_bucket(Ways(checksums="refused")) as server:
        store = S3Store(store_at(server, **METADATA), single=4, part=4)
        send(store, [upload(tmp_path), upload(tmp_path, b"in three parts")])
        assert not [name for _, _, headers in server.asked for name in headers
                    if "checksum" in name]
        assert server.count("POST") == 2


@pytest.mark.parametrize("in_parts", [False, True])
def test_in_metadata_mode_bytes_that_changed_in_the_store_are_noticed(
        tmp_path: Path, in_parts: bool) -> None:
    """The metadata still says what was sent; nobody but who reads the bytes can know."""
    with odd_bucket(Ways(checksums="dropped", damages=True)) as server:
        file = upload(tmp_path, b"the bytes")
        store = S3Store(store_at(server, **METADATA), single=4 if in_parts else 100, part=5)
        with pytest.raises(IntegrityError, match="its SHA-256 there is") as caught:
            send(store, [file])
        assert file.key in str(caught.value)
        assert "Stored(" not in str(caught.value)


def test_in_metadata_mode_what_is_there_is_read_too_and_mended(tmp_path: Path) -> None:
    with odd_bucket(Ways(checksums="dropped")) as server:
        at = store_at(server, **METADATA)
        file = upload(tmp_path)
        stored = send(open_store(at), [file])
        kept = server.objects[place(at, file.key)]
        server.objects[place(at, file.key)] = Kept(data=b"abd", headers=kept.headers)
        assert send(open_store(at), [file]) == stored
        assert server.objects[place(at, file.key)].data == b"abc"


def test_in_metadata_mode_a_receipt_and_an_unchanged_tag_need_no_reading(tmp_path: Path) -> None:
    with odd_bucket(Ways(checksums="dropped")) as server:
        at = store_at(server, **METADATA)
        uploads = [upload(tmp_path, b"%d" % number) for number in range(60)]
        stored = send(open_store(at), uploads)
        server.asked.clear()
        assert send(open_store(at), uploads, known=stored) == stored
        assert [(method, key) for method, key, _ in server.asked] == [("GET", "")]


def test_a_store_that_keeps_no_metadata_has_no_mode(tmp_path: Path) -> None:
    with odd_bucket(Ways(checksums="dropped", metadata="dropped")) as server, pytest.raises(
            StoreError, match="keeps no metadata"):
        send(open_store(store_at(server, **METADATA)), [upload(tmp_path)])


@pytest.mark.parametrize("act", [
    lambda store, path, digest: store.put(RELEASE, path, digest),
    lambda store, path, digest: store.put_bytes(RELEASE, path.read_bytes())])
def test_without_conditional_writes_a_head_comes_before_what_never_changes(
        tmp_path: Path, act: Callable[[S3Store, Path, str], object]) -> None:
    with odd_bucket(Ways(conditional="refused")) as server:
        at = store_at(server, **NONE)
        store = S3Store(at)
        store.put_bytes(RELEASE, b"first")
        file = upload(tmp_path, b"second")
        with pytest.raises(StoreError, match="never changes"):
            act(store, file.path, file.sha256)
        assert server.objects[place(at, RELEASE)].data == b"first"
        assert not [headers for _, _, headers in server.asked if "if-none-match" in headers]
        store.put_bytes("releases/hello/current.json", b"1")
        before = len(server.asked)
        store.put_bytes("releases/hello/current.json", b"2")
        assert len(server.asked) == before + 1  # a pointer changes: nothing is asked before


def test_of_two_pushes_in_the_same_moment_the_one_that_is_overwritten_sees_it(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the other comes after the read-back: that race is left."""
    with odd_bucket(Ways(conditional="ignored")) as server:
        at = store_at(server, **NONE)
        store = S3Store(at)
        put = store.put

        def overtaken(key: str, path: Path, sha256: str) -> str | None:
            tag = put(key, path, sha256)
            server.objects[place(at, key)] = Kept(data=b"abd", headers={CHECKSUM: ABD})
            return tag

        monkeypatch.setattr(store, "put", overtaken)
        with pytest.raises(IntegrityError, match="does not hold what was sent") as caught:
            send(store, [upload(tmp_path, b"abc", RELEASE)])
        assert RELEASE in str(caught.value)


def test_the_probe_is_put_once_for_a_store_and_not_where_nothing_is_sent(tmp_path: Path) -> None:
    with odd_bucket(Ways()) as server:
        at = store_at(server)
        file = upload(tmp_path)
        for _ in range(3):
            send(open_store(at), [file, upload(tmp_path, b"a release", RELEASE)])
        open_store(at).put_bytes("releases/hello/current.json", b"1")
        assert [(method, key.rpartition("/")[2]) for method, key, _ in server.asked
                if ".airlock/" in key] == [("PUT", "probe"), ("PUT", "probe"), ("HEAD", "probe")]
        full = store_at(server)
        for key in (file.key, RELEASE):
            server.objects[place(full, key)] = server.objects[place(at, key)]
        server.asked.clear()
        send(open_store(full), [file, upload(tmp_path, b"a release", RELEASE)])
        assert {method for method, _, _ in server.asked} == {"HEAD"}


def test_a_file_without_a_checksum_that_never_changes_is_not_called_other_bytes(
        tmp_path: Path) -> None:
    with odd_bucket(Ways()) as server:
        at = store_at(server)
        server.objects[place(at, RELEASE)] = Kept(data=b"abc", headers={})
        with pytest.raises(StoreError, match="without a SHA-256") as caught:
            send(open_store(at), [upload(tmp_path, b"abc", RELEASE)])
        assert "store.checksums to metadata" in str(caught.value)
        at = dataclasses.replace(at, checksums="metadata")
        assert send(open_store(at), [upload(tmp_path, b"abc", RELEASE)])
        pointer = upload(tmp_path, b"abc", "releases/hello/current.json")
        assert push.known(tmp_path / "none", at) == []
        assert send(open_store(at), [pointer])


def test_a_server_that_fails_for_now_is_not_called_one_that_refuses(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: 0)

    def busy(self: Any, *_: Any, **__: Any) -> tuple[int, str]:
        return 503, "SlowDown"

    monkeypatch.setattr("tests.kit.odd_bucket.Handler._refusal", busy)
    with odd_bucket(Ways()) as server:
        with pytest.raises(StoreError, match="refused: SlowDown"):
            send(open_store(store_at(server)), [upload(tmp_path)])
        assert server.count("PUT") == 4  # the attempts of one request
