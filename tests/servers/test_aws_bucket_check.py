"""What aws:check says of a bucket, in order and broken by hand, against what stands in for AWS."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.aws.apply import apply
from tasks.aws.check import check_bucket
from tasks.core.aws.session import Session
from tasks.core.errors import AwsError
from tasks.core.schema import read_json
from tests.kit.aws import Fault, Front
from tests.kit.aws_bucket import AT, THEIRS, changes, prepare, s3, spec


@pytest.fixture
def front(shared_front: Front, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Front:
    return prepare(shared_front, tmp_path, monkeypatch)


def findings(front: Front, **lock: Any) -> dict[str, str]:
    """Text to status of what aws:check finds; what it prints has the same lines."""
    try:
        check_bucket(spec(front, **lock))
    except AwsError as error:
        assert "not all hold" in error.what
    return {finding["text"]: finding["status"]
            for finding in read_json(AT.check, "aws-check")["findings"]}


def test_a_check_says_line_by_line_what_holds(front: Front,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AwsError, match="1 fail"):
        check_bucket(spec(front))
    assert "isn't there → doit aws:apply" in capsys.readouterr().out
    apply(spec(front))
    front.calls.clear()
    assert "all ok" in check_bucket(spec(front))
    assert changes(front) == []
    assert {*findings(front).values()} == {"ok"}
    assert len(findings(front)) > 25


BREAKS: dict[str, tuple[Callable[[Any], object], str]] = {
    "public access": (lambda client: client.delete_public_access_block(Bucket="carried"),
                      "isn't blocked"),
    "encryption": (lambda client: client.put_bucket_encryption(
        Bucket="carried", ServerSideEncryptionConfiguration={"Rules": [
            {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]}),
        "isn't AES256"),
    "versioning": (lambda client: client.put_bucket_versioning(
        Bucket="carried", VersioningConfiguration={"Status": "Suspended"}), "no versions"),
    "lifecycle": (lambda client: client.delete_bucket_lifecycle(Bucket="carried"),
                  "airlock-work"),
    "policy": (lambda client: client.delete_bucket_policy(Bucket="carried"), "AirlockTlsOnly"),
    "a rule less": (lambda client: edit(client, lambda listed: listed.pop()), "EndpointOnly"),
    "a rule more": (lambda client: edit(client, lambda listed: listed.append(
        {**THEIRS, "Sid": "AirlockOld"})), "no longer wanted"),
    "their denial": (lambda client: edit(client, lambda listed: listed.append(
        {**THEIRS, "Resource": "arn:aws:s3:::carried/*"})), "reads back what it put: denied"),
    "their grant": (lambda client: edit(client, lambda listed: listed.append(
        {**THEIRS, "Effect": "Allow", "Resource": "arn:aws:s3:::carried/*", "Principal": {
            "AWS": "arn:aws:iam::999999999999:role/anybody"}})), "another account gets a file"),
}


def edit(client: Any, change: Callable[[list[Any]], object]) -> None:
    """Change the statements of the bucket's policy."""
    policy = json.loads(client.get_bucket_policy(Bucket="carried")["Policy"])
    change(policy["Statement"])
    client.put_bucket_policy(Bucket="carried", Policy=json.dumps(policy))


@pytest.mark.parametrize("broken", BREAKS)
def test_whatever_is_broken_by_hand_is_found_and_set_again(front: Front, broken: str) -> None:
    apply(spec(front))
    do, expected = BREAKS[broken]
    do(s3(front))
    statuses = findings(front)
    assert [text for text, status in statuses.items() if status == "fail" and expected in text]
    if broken.startswith("their"):
        return  # what isn't ours is named, and left
    front.calls.clear()
    apply(spec(front))
    assert len(changes(front)) == 1
    assert {*findings(front).values()} == {"ok"}


def test_what_a_check_may_not_see_is_not_taken_for_good(front: Front) -> None:
    apply(spec(front))
    front.faults.append(Fault(kind="denied", operation="GetBucketPolicy", times=None))
    with pytest.raises(AwsError, match="1 not known"):
        check_bucket(spec(front))


def test_statements_that_cannot_be_judged_here_are_a_warning(front: Front) -> None:
    apply(spec(front))
    edit(s3(front), lambda listed: listed.append(
        {**THEIRS, "Resource": "arn:aws:s3:::carried/*",
         "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}))
    statuses = findings(front)
    assert [text for text, status in statuses.items() if status == "warn" and "IpAddress" in text]
    assert "fail" not in statuses.values()


def test_a_key_is_looked_at(front: Front) -> None:
    kms = Session(front.aws).client("kms")
    key = kms.create_key()["KeyMetadata"]
    kms.create_alias(AliasName="alias/carried", TargetKeyId=key["KeyId"])
    with_key = {"encryption": "aws:kms", "kms_key": key["Arn"]}
    apply(spec(front, **with_key))
    rule = s3(front).get_bucket_encryption(Bucket="carried")["ServerSideEncryptionConfiguration"]
    assert rule["Rules"][0]["BucketKeyEnabled"]
    assert {*findings(front, **with_key).values()} == {"ok"}
    kms.disable_key(KeyId=key["KeyId"])
    assert "fail" in findings(front, **with_key).values()
    kms.enable_key(KeyId=key["KeyId"])
    by_alias = {**with_key, "kms_key": "alias/carried"}
    apply(spec(front, **by_alias))
    statuses = findings(front, **by_alias)
    assert [text for text, status in statuses.items() if status == "warn" and "alias" in text]
    statuses = findings(front, **{**with_key, "kms_key": key["Arn"][:-4] + "0000"})
    assert [text for text, status in statuses.items() if status == "not known" and "key" in text]
