"""A bucket of the site `here` in what stands in for AWS, for tests of the steps that set it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tasks.aws.lockdown import Lockdown
from tasks.aws.plan import BucketSpec
from tasks.core.aws.paths import AwsPaths
from tasks.core.aws.session import Session
from tasks.core.config.aws_settings import AwsRoles
from tests.kit import aws
from tests.kit.aws import Front

AT = AwsPaths(site="here")
LOCK = Lockdown(url="s3://carried/some/prefix", region=aws.REGION, encryption="AES256",
                vpc_endpoints=("vpce-0a1b2c3d4e5f60718",), work="s3://carried/work", work_days=14,
                roles=AwsRoles(online="airlock-online", offline="airlock-offline",
                               admin="airlock-admin"))
THEIRS = {"Sid": "Theirs", "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject",
          "Resource": "arn:aws:s3:::carried/secret/*"}
THEIR_RULE = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "logs/"},
              "Expiration": {"Days": 90}}


def prepare(front: Front, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Front:
    """AWS with nothing in it, for a client that doesn't wait between its attempts."""
    monkeypatch.chdir(folder)
    for name, value in aws.CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(folder / "none"))
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    front.reset()
    return front


def spec(front: Front, **lock: Any) -> BucketSpec:
    """The site's bucket, locked down as LOCK says but for some of it."""
    return BucketSpec(layout=AT, aws=front.aws, lock=dataclasses.replace(LOCK, **lock))


def s3(front: Front) -> Any:
    """boto3's client of S3."""
    return Session(front.aws).client("s3")


def changes(front: Front) -> list[str]:
    """What was asked that changes something."""
    return [operation for operation in front.operations()
            if operation.partition(":")[2].startswith(("Put", "Create", "Delete"))]


def make_bucket(front: Front, region: Any = aws.REGION) -> Any:
    """Make the bucket as it comes, and return a client."""
    client = Session(dataclasses.replace(front.aws, region=region)).client("s3")
    client.create_bucket(Bucket="carried", CreateBucketConfiguration={
        "LocationConstraint": region})
    front.calls.clear()
    return client
