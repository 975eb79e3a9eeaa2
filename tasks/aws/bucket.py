"""A bucket's settings at AWS: read, and written one by one.

Every call names the account that the bucket must belong to, so AWS refuses it for any other
bucket of that name (S3 User Guide, "Verifying bucket ownership").
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tasks.core import parsing
from tasks.core.aws.faults import explained
from tasks.core.aws.session import Session
from tasks.core.errors import AwsError
from tasks.core.frozen import frozen

SMALLEST = "TransitionDefaultMinimumObjectSize"
"""Stands beside the lifecycle's rules, and is set back to its default where it isn't sent again."""
Value = Any
"""A setting as plain JSON; None where the bucket has none."""


@frozen
class Setting:
    """How one setting is read and written: boto3's calls, and IAM's names for them."""

    reads: str
    read: str
    writes: str
    write: str
    absent: tuple[str, ...] = ()
    """Error codes that say that there is none."""


SETTINGS: Mapping[str, Setting] = {
    "public access": Setting(
        reads="s3:GetBucketPublicAccessBlock", read="get_public_access_block",
        writes="s3:PutBucketPublicAccessBlock", write="put_public_access_block",
        absent=("NoSuchPublicAccessBlockConfiguration",)),
    "encryption": Setting(
        reads="s3:GetEncryptionConfiguration", read="get_bucket_encryption",
        writes="s3:PutEncryptionConfiguration", write="put_bucket_encryption",
        absent=("ServerSideEncryptionConfigurationNotFoundError",)),
    "versioning": Setting(
        reads="s3:GetBucketVersioning", read="get_bucket_versioning",
        writes="s3:PutBucketVersioning", write="put_bucket_versioning"),
    "lifecycle": Setting(
        reads="s3:GetLifecycleConfiguration", read="get_bucket_lifecycle_configuration",
        writes="s3:PutLifecycleConfiguration", write="put_bucket_lifecycle_configuration",
        absent=("NoSuchLifecycleConfiguration",)),
    "policy": Setting(
        reads="s3:GetBucketPolicy", read="get_bucket_policy",
        writes="s3:PutBucketPolicy", write="put_bucket_policy", absent=("NoSuchBucketPolicy",)),
}
"""In the order in which they are set: who may get in comes first, the policy last."""

TAKEN: Mapping[str, Callable[[Mapping[str, Any]], Value]] = {
    "public access": lambda answer: dict(answer["PublicAccessBlockConfiguration"]),
    "encryption": lambda answer: dict(answer["ServerSideEncryptionConfiguration"]),
    "versioning": lambda answer: answer.get("Status"),
    "lifecycle": lambda answer: _plain({key: answer[key] for key in ("Rules", SMALLEST)
                                        if key in answer}),
    "policy": lambda answer: parsing.from_json(answer["Policy"].encode()),
}
"""A setting's value in what AWS answers."""

SENT: Mapping[str, Callable[[Value], dict[str, Any]]] = {
    "public access": lambda value: {"PublicAccessBlockConfiguration": value},
    "encryption": lambda value: {"ServerSideEncryptionConfiguration": value},
    "versioning": lambda value: {"VersioningConfiguration": {"Status": value}},
    "lifecycle": lambda value: {"LifecycleConfiguration": {"Rules": value["Rules"]},
                                **{key: value[key] for key in (SMALLEST,) if key in value}},
    "policy": lambda value: {"Policy": json.dumps(value)},
}
"""What the call takes that sets a value."""


class Bucket:
    """One bucket of one account."""

    def __init__(self, session: Session, name: str, *, owner: str, region: str) -> None:
        self.name = name
        self.session = session
        self._client = session.client("s3")
        self._owner, self._region = owner, region

    def exists(self) -> bool:
        """Whether it is there; AwsError where it is somebody else's, or in another region."""
        from botocore.exceptions import ClientError
        with explained(f"s3:ListBucket {self.name}"):
            try:
                answer = self._client.head_bucket(Bucket=self.name,
                                                  ExpectedBucketOwner=self._owner)
            except ClientError as error:
                # HEAD's answer has no body, so its status is the code.
                code = error.response.get("Error", {}).get("Code", "")
                if code in ("404", "NoSuchBucket"):
                    return False
                if code in ("403", "AccessDenied"):
                    raise self._not_ours() from error
                if code in ("301", "PermanentRedirect"):
                    raise self._elsewhere(_region(error.response)) from error
                raise
        region = _region(answer)
        if region not in ("", self._region):
            raise self._elsewhere(region)
        return True

    def make(self) -> None:
        """Make it in its region, without access lists; fine where it is ours already."""
        from botocore.exceptions import ClientError
        where = {} if self._region == "us-east-1" else {
            "CreateBucketConfiguration": {"LocationConstraint": self._region}}
        with explained(f"s3:CreateBucket {self.name}"):
            try:
                self._client.create_bucket(Bucket=self.name,
                                           ObjectOwnership="BucketOwnerEnforced", **where)
            except ClientError as error:
                code = error.response.get("Error", {}).get("Code", "")
                if code == "BucketAlreadyExists":
                    raise self._not_ours() from error
                if code != "BucketAlreadyOwnedByYou":  # of an earlier try that was cut off
                    raise

    def read(self, name: str) -> Value:
        """Return a setting as it is, or None."""
        from botocore.exceptions import ClientError
        setting = SETTINGS[name]
        with explained(f"{setting.reads} {self.name}"):
            try:
                answer = getattr(self._client, setting.read)(
                    Bucket=self.name, ExpectedBucketOwner=self._owner)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in setting.absent:
                    return None
                raise
        return TAKEN[name](answer)

    def write(self, name: str, value: Value) -> None:
        """Set a setting."""
        setting = SETTINGS[name]
        with explained(f"{setting.writes} {self.name}"):
            getattr(self._client, setting.write)(
                Bucket=self.name, ExpectedBucketOwner=self._owner, **SENT[name](value))

    def _not_ours(self) -> AwsError:
        return AwsError(
            "the bucket belongs to another account, or these credentials may not look at it",
            where=f"s3://{self.name}, expected in account {self._owner}",
            todo="name a bucket of your own in store.url, or have s3:ListBucket allowed; nothing "
                 "was changed")

    def _elsewhere(self, region: str) -> AwsError:
        return AwsError(
            f"the bucket lies in another region, {region or 'which AWS does not name'}, and can't "
            "be moved", where=f"s3://{self.name}, expected in {self._region}",
            todo="set store.region to the bucket's region, or name another bucket in store.url")


def _plain(value: Any) -> Any:
    """Return an answer as JSON has it: the date of somebody's rule as the text that AWS takes."""
    return json.loads(json.dumps(value, default=lambda date: date.isoformat()))


def _region(answer: Mapping[str, Any]) -> str:
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return str(answer.get("BucketRegion") or headers.get("x-amz-bucket-region") or "")
