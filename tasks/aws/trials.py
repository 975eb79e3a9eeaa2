"""Requests that a bucket's policies must let through, and such that they must not.

They are put to our own evaluator, with what AWS would say of each request as its context. A bucket
in use may have statements of others in its policy, which can undo what ours promise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tasks.aws.documents import ENCRYPTION, offline_role, online_role
from tasks.aws.lockdown import KMS, Lockdown
from tasks.core.aws.evaluate import Access, Decision, Policies, decide
from tasks.core.aws.policy import Document, Statement, account_of, document, partition
from tasks.core.frozen import frozen

ANYTHING = document([Statement(sid="Anything", effect="Allow", actions=("s3:*",),
                               resources=("*",))])
"""What an administrator's identity, or a foreign one, may allow itself."""
STRANGER = "999999999999"
"""An account that is nobody's here."""
OTHER_ENDPOINT = "vpce-00000000000000000"
RELEASE = "releases/hello/1.0-0123456789ab/SHA256SUMS"
POINTER = "releases/hello/current.json"


@frozen
class Trial:
    """A request in words, whose identity's policy it is, and whether it must be let through."""

    text: str
    access: Access
    identity: Document
    allowed: bool

    @property
    def through_endpoint(self) -> bool:
        """Whether it comes from a role that the endpoint is for, and by no other way."""
        return self.identity is not ANYTHING

    def decide(self, bucket: Document, endpoint: Document | None = None) -> Decision:
        """Return what a bucket's and an endpoint's policy say of it; AwsError where unknown."""
        return decide(self.access, Policies(identity=[self.identity], resource=bucket,
                                            endpoint=endpoint))


def trials(lock: Lockdown) -> Iterator[Trial]:
    """Yield the trials of a bucket whose roles are known."""
    online, offline = lock.role("online"), lock.role("offline")
    pushes, fetches = online_role(lock), offline_role(lock)

    def trial(text: str, who: str, identity: Document, action: str, key: str | None, *,
              allowed: bool, **context: str | None) -> Trial:
        resource = lock.arn if key is None else f"{lock.arn}/{lock.prefix}{key}"
        return Trial(text=text, identity=identity, allowed=allowed, access=Access(
            principal=who, action=action, resource=resource, owner=lock.owner,
            context=_context(lock, who, action, context)))

    prefix = f"{lock.prefix}releases/hello/"
    once = {"if_none_match": "*"}
    yield trial("the pushing role puts a release", online, pushes, "s3:PutObject", RELEASE,
                allowed=True, **once)
    yield trial("it replaces a pointer", online, pushes, "s3:PutObject", POINTER, allowed=True)
    yield trial("it reads back", online, pushes, "s3:GetObject", RELEASE, allowed=True)
    yield trial("it lists", online, pushes, "s3:ListBucket", None, allowed=True, prefix=prefix)
    yield trial("it learns that a file is missing", online, pushes, "s3:ListBucket", None,
                allowed=True)
    yield trial("it lists what isn't the store's", online, pushes, "s3:ListBucket", None,
                allowed=False, prefix="elsewhere/")
    yield trial("the offline role gets a release", offline, fetches, "s3:GetObject", RELEASE,
                allowed=True)
    yield trial("it lists", offline, fetches, "s3:ListBucket", None, allowed=True, prefix=prefix)
    yield trial("the offline role puts", offline, fetches, "s3:PutObject", RELEASE,
                allowed=False, **once)
    yield trial("the pushing role overwrites a release", online, ANYTHING, "s3:PutObject", RELEASE,
                allowed=False)
    yield trial("it deletes one", online, ANYTHING, "s3:DeleteObject", RELEASE, allowed=False)
    yield trial("it deletes a version", online, ANYTHING, "s3:DeleteObjectVersion", RELEASE,
                allowed=False)
    yield trial("anybody gets a file without TLS", offline, ANYTHING, "s3:GetObject", RELEASE,
                allowed=False, tls="false")
    stranger = f"arn:{partition(lock.region)}:iam::{STRANGER}:role/anybody"
    yield trial("another account gets a file", stranger, ANYTHING, "s3:GetObject", RELEASE,
                allowed=False)
    if lock.encryption != "none":
        yield trial("the pushing role puts without encryption", online, pushes, "s3:PutObject",
                    RELEASE, allowed=False, sse=None, **once)
    if lock.vpc_endpoints:
        yield trial("a file is got past the VPC endpoint", offline, ANYTHING, "s3:GetObject",
                    RELEASE, allowed=False, vpce=None)
        yield trial("a file is got through another endpoint", offline, ANYTHING, "s3:GetObject",
                    RELEASE, allowed=False, vpce=OTHER_ENDPOINT)
    for admin in lock.admins:
        yield trial("the administrator deletes a release", admin, ANYTHING, "s3:DeleteObject",
                    RELEASE, allowed=True)
    yield trial("the account's administrators take the policy back", f"{online}-admin", ANYTHING,
                "s3:PutBucketPolicy", None, allowed=True, vpce=None)


def _context(lock: Lockdown, who: str, action: str,
             special: Mapping[str, str | None]) -> dict[str, str]:
    """What AWS says of such a request: over TLS, through the endpoint, as the store sends it."""
    values: dict[str, Any] = {
        "aws:securetransport": special.get("tls", "true"),
        "aws:principalarn": who, "aws:principalaccount": account_of(who),
        "aws:resourceaccount": lock.owner, "aws:principalisawsservice": "false",
        "aws:sourcevpce": special.get("vpce", next(iter(lock.vpc_endpoints), None)),
        "s3:prefix": special.get("prefix")}
    if action == "s3:PutObject":
        sse = special.get("sse", None if lock.encryption == "none" else lock.encryption)
        values |= {"s3:objectcreationoperation": "true",
                   "s3:if-none-match": special.get("if_none_match"), ENCRYPTION: sse,
                   f"{ENCRYPTION}-aws-kms-key-id": lock.kms_key if sse == KMS else None}
    return {key: value for key, value in values.items() if value is not None}
