"""What a bucket is asked to encrypt by is what comes out, or the file is named."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import ConfigError, IntegrityError, StoreError
from tasks.core.store.s3 import S3Store
from tasks.core.store.send import Upload, send
from tasks.core.store.store import open_store
from tasks.release import push
from tests.kit.odd_bucket import (
    KEY_ARN,
    OTHER_ARN,
    SSE,
    SSE_KEY,
    Kept,
    OddBucket,
    Ways,
    odd_bucket,
)

ALIAS = "alias/airlock"
RELEASE = "releases/hello/1-0123456789ab/SHA256SUMS"
pytestmark = pytest.mark.usefixtures("bucket_credentials")
numbers = itertools.count()


def store_at(server: OddBucket, **keys: Any) -> StoreAt:
    """The store of a site; each has another prefix, so that none is taken for one probed before."""
    return StoreAt(url=f"s3://bucket/{next(numbers)}", endpoint=server.url, region="here", **keys)


def upload(tmp_path: Path, data: bytes = b"abc", key: str = "") -> Upload:
    digest = files.sha256_bytes(data)
    path = tmp_path / digest
    path.write_bytes(data)
    return Upload(key=key or f"blobs/sha256/{digest}/f", path=path, sha256=digest, size=len(data))


@pytest.fixture
def server() -> Iterator[OddBucket]:
    with odd_bucket(Ways()) as running:
        yield running


@pytest.mark.parametrize(("keys", "headers"), [
    ({}, {}), ({"encryption": "none"}, {}),
    ({"encryption": "AES256"}, {SSE: "AES256"}),
    ({"encryption": "aws:kms"}, {SSE: "aws:kms", f"{SSE}-bucket-key-enabled": "true"}),
    *(({"encryption": "aws:kms", "kms_key": key},
       {SSE: "aws:kms", f"{SSE}-bucket-key-enabled": "true", SSE_KEY: key})
      for key in (KEY_ARN, ALIAS, "arn:aws:kms:us-west-2:111122223333:alias/airlock"))])
@pytest.mark.parametrize("in_parts", [False, True])
def test_the_encryption_goes_with_every_put_and_costs_no_request(
        server: OddBucket, tmp_path: Path, keys: dict[str, str], headers: dict[str, str],
        in_parts: bool) -> None:
    sent = [upload(tmp_path, b"%d bytes" % number) for number in range(60)]
    store = S3Store(store_at(server, **keys), single=3 if in_parts else 100, part=4)
    assert [held.sha256 for held in send(store, sent)] == [
        file.sha256 for file in sorted(sent, key=lambda file: file.key)]
    begins = "POST" if in_parts else "PUT"
    puts = [sent_headers for method, key, sent_headers in server.asked
            if method == begins and "/blobs/" in key
            and (begins == "PUT" or "x-amz-checksum-algorithm" in sent_headers)]
    assert len(puts) == 60
    for sent_headers in puts:
        assert {name: value for name, value in sent_headers.items()
                if name.startswith(SSE)} == headers
    if not in_parts:
        assert [server.count("PUT"), server.count("HEAD"), server.count("GET")] == [62, 1, 2]


@pytest.mark.parametrize(("asked", "ways", "said"), [
    ({"encryption": "AES256"}, Ways(encryption="dropped"), "names no encryption of it, and "
                                                           "store.encryption is AES256"),
    ({"encryption": "aws:kms"}, Ways(encryption="AES256"), "encrypted by AES256, and "
                                                           "store.encryption is aws:kms"),
    ({"encryption": "aws:kms", "kms_key": KEY_ARN}, Ways(key=OTHER_ARN), f"the key {OTHER_ARN}, "),
    ({"encryption": "aws:kms", "kms_key": KEY_ARN}, Ways(key=None), "names no key of it"),
    ({"encryption": "aws:kms", "kms_key": f"{KEY_ARN.partition('key/')[0]}alias/a"},
     Ways(key=OTHER_ARN.replace("111122223333", "444455556666")), "444455556666"),
    ({"encryption": "aws:kms", "kms_key": ALIAS}, Ways(key=OTHER_ARN), f"the probe got {KEY_ARN}"),
    ({"encryption": "aws:kms"}, Ways(key=OTHER_ARN), f"the probe got {KEY_ARN}")])
@pytest.mark.parametrize("in_parts", [False, True])
def test_a_file_that_came_out_otherwise_is_named(
        tmp_path: Path, asked: dict[str, str], ways: Ways, said: str, in_parts: bool) -> None:
    """The probe comes out right, so only reading each file's own answer shows it."""
    with odd_bucket(ways, probed=Ways()) as server:
        file = upload(tmp_path)
        store = S3Store(store_at(server, **asked), single=1 if in_parts else 100, part=2)
        with pytest.raises((StoreError, IntegrityError), match=said) as caught:
            send(store, [file])
        assert file.key in str(caught.value)


@pytest.mark.parametrize("ways", [Ways(encryption="dropped"), Ways(encryption="AES256"),
                                  Ways(key=OTHER_ARN)])
def test_a_store_that_never_encrypts_so_is_refused_before_a_file_is_sent(
        tmp_path: Path, ways: Ways) -> None:
    with odd_bucket(ways) as server:
        with pytest.raises(StoreError, match="did not encrypt a file as it was asked to") as caught:
            send(open_store(store_at(server, encryption="aws:kms", kms_key=KEY_ARN)),
                 [upload(tmp_path)])
        assert ".airlock/probe" in str(caught.value)
        assert server.count("PUT", "blobs/") == 0


def test_a_put_whose_answer_names_another_encryption_ends_there(tmp_path: Path) -> None:
    with odd_bucket(Ways(encryption="AES256"), probed=Ways()) as server:
        store = open_store(store_at(server, encryption="aws:kms"))
        with pytest.raises(StoreError, match="did not encrypt a file as it was asked to"):
            store.put_bytes("releases/hello/current.json", b"1")
        assert server.count("HEAD", "current.json") == 0


def test_a_put_whose_answer_is_silent_is_asked_for(tmp_path: Path) -> None:
    with odd_bucket(Ways(encryption="silent")) as server:
        send(open_store(store_at(server, encryption="AES256")), [upload(tmp_path)])
        assert server.count("HEAD", "blobs/") == 2  # is it there, and is it as it should be


def test_what_lay_there_otherwise_is_sent_again_where_it_may_be_replaced(
        server: OddBucket, tmp_path: Path) -> None:
    plain = store_at(server)
    blob, sums = upload(tmp_path), upload(tmp_path, b"sums", RELEASE)
    send(open_store(plain), [blob, sums])
    at = StoreAt(url=plain.url, endpoint=plain.endpoint, region="here", encryption="AES256")
    send(open_store(at), [blob])
    assert server.objects[f"{plain.url.removeprefix('s3://bucket/')}/{blob.key}"].headers[
        SSE] == "AES256"
    with pytest.raises(StoreError, match=r"otherwise than the site wants: .*AES256") as caught:
        send(open_store(at), [sums])
    assert RELEASE in str(caught.value)


def test_an_alias_that_was_moved_leaves_older_files_as_they_are(
        server: OddBucket, tmp_path: Path) -> None:
    at = store_at(server, encryption="aws:kms", kms_key=ALIAS)
    older = upload(tmp_path, b"older", RELEASE)
    send(open_store(at), [older])
    place = f"{at.url.removeprefix('s3://bucket/')}/{RELEASE}"
    kept = server.objects[place]
    server.objects[place] = Kept(data=kept.data, headers={**kept.headers, SSE_KEY: OTHER_ARN})
    assert send(open_store(at), [older, upload(tmp_path)])
    with pytest.raises(StoreError, match="otherwise than the site wants"):
        send(open_store(StoreAt(url=at.url, endpoint=at.endpoint, region="here",
                                encryption="aws:kms", kms_key=KEY_ARN)), [older])


@pytest.mark.parametrize("demanded", ["AES256", "aws:kms"])
def test_a_bucket_that_demands_an_encryption_says_which(tmp_path: Path, demanded: str) -> None:
    with odd_bucket(Ways(demands=demanded)) as server:
        with pytest.raises(StoreError, match="denied to a put that asks for no") as caught:
            send(open_store(store_at(server)), [upload(tmp_path)])
        assert f"set store.encryption to {demanded}" in str(caught.value)
        send(open_store(store_at(server, encryption=demanded)), [upload(tmp_path)])


@pytest.mark.parametrize(("ways", "encryption", "said"), [
    (Ways(demands="aws:kms:dsse"), None, "or for what is put encryption"),
    (Ways(demands="aws:kms:dsse"), "AES256", "another encryption than AES256"),
    (Ways(encryption="refused"), "AES256", "refuses the encryption that store.encryption")])
def test_another_refusal_names_the_keys_of_the_site(
        tmp_path: Path, ways: Ways, encryption: str | None, said: str) -> None:
    with odd_bucket(ways) as server, pytest.raises(
            StoreError, match=r"store\.encryption") as caught:
        send(open_store(store_at(server, encryption=encryption)), [upload(tmp_path)])
    assert said in str(caught.value)


def test_a_store_without_bucket_keys_is_taken_with_a_warning(
        tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with odd_bucket(Ways(bucket_key=False)) as server, caplog.at_level(logging.WARNING):
        send(open_store(store_at(server, encryption="aws:kms")), [upload(tmp_path)])
    assert "uses no bucket key" in caplog.text


def test_a_receipt_of_another_encryption_is_not_believed(
        server: OddBucket, tmp_path: Path) -> None:
    plain = store_at(server)
    at = StoreAt(url=plain.url, endpoint=plain.endpoint, encryption="aws:kms", kms_key=KEY_ARN)
    stored = send(open_store(plain), [upload(tmp_path)])
    receipt = tmp_path / "receipt.json"
    push.write_receipt(receipt, "code", plain, stored)
    assert (push.known(receipt, plain), push.known(receipt, at)) == (stored, [])
    push.write_receipt(receipt, "code", at, stored)
    assert json.loads(receipt.read_text())["kms_key"] == KEY_ARN
    assert push.known(receipt, at) == push.known(receipt, plain) == stored


def test_a_folder_is_not_taken_for_encrypted(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a folder is not encrypted"):
        open_store(StoreAt(url=str(tmp_path), encryption="AES256"))
