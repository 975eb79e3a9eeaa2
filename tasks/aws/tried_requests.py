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
class TriedRequest:
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


def tried_requests(lock: Lockdown) -> Iterator[TriedRequest]:
    """Yield the requests that are tried of a bucket whose roles are known."""
    yield from _pushing(lock)
    yield from _fetching(lock)
    yield from _guarding(lock)


def _pushing(lock: Lockdown) -> Iterator[TriedRequest]:
    """What the pushing role's own policy and the bucket's must let it do, or not."""
    put, listing = ("s3:PutObject", RELEASE), ("s3:ListBucket", None)
    asker = _Asker(lock, "the pushing role", lock.role("online"), online_role(lock))
    yield asker("puts a release", *put, allowed=True, once="*")
    yield asker("replaces a pointer", "s3:PutObject", POINTER, allowed=True)
    yield asker("reads back what it put", "s3:GetObject", RELEASE, allowed=True)
    yield asker("lists releases", *listing, allowed=True, prefix=f"{lock.prefix}releases/hello/")
    yield asker("learns that a file is missing", *listing, allowed=True)
    yield asker("lists what isn't the store's", *listing, allowed=False, prefix="elsewhere/")
    if lock.encryption != "none":
        yield asker("puts without encryption", *put, allowed=False, once="*", sse=None)


def _fetching(lock: Lockdown) -> Iterator[TriedRequest]:
    asker = _Asker(lock, "the offline role", lock.role("offline"), offline_role(lock))
    yield asker("gets a release", "s3:GetObject", RELEASE, allowed=True)
    yield asker("lists releases", "s3:ListBucket", None, allowed=True,
                prefix=f"{lock.prefix}releases/hello/")
    yield asker("puts a release", "s3:PutObject", RELEASE, allowed=False, once="*")


def _guarding(lock: Lockdown) -> Iterator[TriedRequest]:
    """What the bucket denies whatever a role's own policy allows, and what it must not deny."""
    asker = _Asker(lock, "the pushing role, were it allowed all,", lock.role("online"), ANYTHING)
    yield asker("overwrites a release", "s3:PutObject", RELEASE, allowed=False)
    yield asker("deletes a release", "s3:DeleteObject", RELEASE, allowed=False)
    yield asker("deletes a version of one", "s3:DeleteObjectVersion", RELEASE, allowed=False)
    asker = _Asker(lock, "the offline role, were it allowed all,", lock.role("offline"), ANYTHING)
    yield asker("gets a file without TLS", "s3:GetObject", RELEASE, allowed=False, tls="false")
    if lock.vpc_endpoints:
        yield asker("gets a file past the VPC endpoint", "s3:GetObject", RELEASE, allowed=False,
                    vpce=None)
        yield asker("gets a file through another endpoint", "s3:GetObject", RELEASE,
                    allowed=False, vpce=OTHER_ENDPOINT)
    account = f"arn:{partition(lock.region)}:iam::"
    asker = _Asker(lock, "another account", f"{account}{STRANGER}:role/anybody", ANYTHING)
    yield asker("gets a file", "s3:GetObject", RELEASE, allowed=False)
    for admin in lock.admins:
        asker = _Asker(lock, "the administrator", admin, ANYTHING)
        yield asker("deletes a release", "s3:DeleteObject", RELEASE, allowed=True)
    asker = _Asker(lock, "an administrator of the account, from anywhere,",
                   f"{account}{lock.owner}:role/anybody", ANYTHING)
    yield asker("takes the policy back", "s3:PutBucketPolicy", None, allowed=True, vpce=None)


class _Asker:
    """Makes the trials of one role."""

    def __init__(self, lock: Lockdown, name: str, role: str, identity: Document) -> None:
        self._lock, self._name, self._role, self._identity = lock, name, role, identity

    def __call__(self, deed: str, action: str, key: str | None, *, allowed: bool,
                 **special: str | None) -> TriedRequest:
        """Return the asker of one action on a key, or on the bucket."""
        lock = self._lock
        resource = lock.arn if key is None else f"{lock.arn}/{lock.prefix}{key}"
        return TriedRequest(text=f"{self._name} {deed}", identity=self._identity, allowed=allowed,
                     access=Access(principal=self._role, action=action, resource=resource,
                                   owner=lock.owner,
                                   context=_context(lock, self._role, action, special)))


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
                   "s3:if-none-match": special.get("once"), ENCRYPTION: sse,
                   f"{ENCRYPTION}-aws-kms-key-id": lock.kms_key if sse == KMS else None}
    return {key: value for key, value in values.items() if value is not None}
