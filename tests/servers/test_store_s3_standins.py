"""Encryption with others' servers: moto, which knows KMS, and versitygw, which doesn't."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.core import files
from tasks.core.aws.session import Session
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import IntegrityError, StoreError
from tasks.core.store.s3 import S3Store
from tasks.core.store.send import Upload, send
from tasks.core.store.store import open_store
from tests.kit import aws, buckets
from tests.kit.aws import Front
from tests.kit.aws_bucket import make_bucket, prepare


@pytest.fixture
def front(shared_front: Front, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Front:
    return prepare(shared_front, tmp_path, monkeypatch)


def upload(tmp_path: Path, data: bytes) -> Upload:
    digest = files.sha256_bytes(data)
    path = tmp_path / digest
    path.write_bytes(data)
    return Upload(key=f"blobs/sha256/{digest}/f", path=path, sha256=digest, size=len(data))


def store_at(front: Front, name: str, **keys: str) -> StoreAt:
    """The store of a site; each with a prefix of its own, so that each is probed."""
    return StoreAt(url=f"s3://carried/{name}", endpoint=front.url, region=aws.REGION, **keys)


def held(front: Front, at: StoreAt, key: str) -> Any:
    """What boto3 is answered about a file."""
    prefix = at.url.removeprefix("s3://carried/")
    return Session(front.aws).client("s3").head_object(Bucket="carried", Key=f"{prefix}/{key}")


@pytest.mark.parametrize("in_parts", [False, True])
def test_files_have_the_key_that_the_site_names(front: Front, tmp_path: Path,
                                                in_parts: bool) -> None:
    make_bucket(front)
    arn = Session(front.aws).client("kms").create_key()["KeyMetadata"]["Arn"]
    at = store_at(front, f"key-{in_parts}", encryption="aws:kms", kms_key=arn)
    file = upload(tmp_path, bytes(6 * 2**20))
    store = S3Store(at, single=2**20 if in_parts else 2**30, part=5 * 2**20)
    store.put(file.key, file.path, file.sha256)
    stored = store.head(file.key)
    assert stored is not None
    # moto gives the checksum of an upload in parts as though it were the whole file's.
    assert stored.fault is None and (in_parts or stored.sha256 == file.sha256)
    answer = held(front, at, file.key)
    assert (answer["ServerSideEncryption"], answer["SSEKMSKeyId"]) == ("aws:kms", arn)
    assert in_parts or answer["BucketKeyEnabled"] is True  # moto loses it of an upload in parts


def test_an_encryption_that_is_asked_for_wins_over_the_buckets_default(
        front: Front, tmp_path: Path) -> None:
    """And without one the bucket's own holds, which a site may then demand of its files."""
    client = make_bucket(front)
    kms = Session(front.aws).client("kms")
    ours, theirs = (kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2))
    client.put_bucket_encryption(Bucket="carried", ServerSideEncryptionConfiguration={
        "Rules": [{"ApplyServerSideEncryptionByDefault": {
            "SSEAlgorithm": "aws:kms", "KMSMasterKeyID": theirs}}]})
    file = upload(tmp_path, b"abc")
    for name, keys in (("plain", {}), ("aes", {"encryption": "AES256"}),
                       ("kms", {"encryption": "aws:kms", "kms_key": ours})):
        at = store_at(front, name, **keys)
        send(open_store(at), [file])
        answer = held(front, at, file.key)
        assert (answer["ServerSideEncryption"], answer.get("SSEKMSKeyId")) == (
            keys.get("encryption", "aws:kms"),
            {"plain": theirs, "aes": None, "kms": ours}[name])


def test_a_file_that_somebody_put_with_another_key_is_named(front: Front, tmp_path: Path) -> None:
    client = make_bucket(front)
    kms = Session(front.aws).client("kms")
    ours, theirs = (kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2))
    at = store_at(front, "other", encryption="aws:kms", kms_key=ours)
    key = "releases/hello/1-0123456789ab/SHA256SUMS"
    client.put_object(Bucket="carried", Key=f"other/{key}", Body=b"abc", ChecksumAlgorithm="SHA256",
                      ServerSideEncryption="aws:kms", SSEKMSKeyId=theirs)
    with pytest.raises((StoreError, IntegrityError), match=theirs) as caught:
        file = upload(tmp_path, b"abc")
        send(open_store(at), [Upload(key=key, path=file.path, sha256=file.sha256, size=3)])
    assert key in str(caught.value)


@pytest.mark.parametrize("encryption", ["AES256", "aws:kms"])
def test_a_server_without_encryption_is_refused_at_the_first_object(
        tmp_path: Path, encryption: str, s3_login: None) -> None:
    with buckets.gateway(tmp_path / "s3") as gateway:
        (gateway.root / "carried").mkdir()
        at = StoreAt(url="s3://carried/versity", endpoint=gateway.endpoint, region="us-east-1",
                     encryption=encryption)
        with pytest.raises(StoreError, match=r"\.airlock/probe|encrypt"):
            send(open_store(at), [upload(tmp_path, b"abc")])
        assert [path.name for path in (gateway.root / "carried/versity").iterdir()] == [".airlock"]
