"""The policy documents of a locked down bucket: each a list of statements, with no right unused.

What a push and a fetch need was recorded from real ones (tests/servers/test_aws_policies.py).
The bucket's policy denies, and allows nobody but roles of other accounts: in its own account a
role's policy allows. Its rules are for objects and listings; the bucket's settings stay in reach
of the account's administrators, so that no rule can lock them out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasks.aws.lockdown import FOLDERS, READ_FOLDERS, WRITTEN_ONCE, Lockdown
from tasks.core.aws.policy import Statement, account_of, document, s3_host
from tasks.core.errors import ConfigError

OWN = "Airlock"
"""What the Sids of our statements begin with; all others are left as they are."""
ENCRYPTION = "s3:x-amz-server-side-encryption"
PUSH_ACTIONS = ("s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject")
"""GetObject is for reading back what was sent."""
KEY_ADMINISTRATION = (
    "kms:CancelKeyDeletion", "kms:CreateAlias", "kms:DeleteAlias", "kms:DescribeKey",
    "kms:DisableKey", "kms:DisableKeyRotation", "kms:EnableKey", "kms:EnableKeyRotation",
    "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListKeyPolicies", "kms:ListResourceTags",
    "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:TagResource", "kms:UntagResource",
    "kms:UpdateAlias", "kms:UpdateKeyDescription")
"""What the account's administrators do with a key; none of it opens a file."""


def bucket_policy(lock: Lockdown) -> dict[str, Any]:
    """Return what the bucket itself denies, and which other accounts' roles it lets in."""
    return document([*_transport(lock), *_encryption(lock), *_unchanging(lock), *_network(lock),
                     *_other_accounts(lock)])


def online_role(lock: Lockdown) -> dict[str, Any]:
    """Return what the pushing role may do: put and read back, never delete."""
    return document([
        Statement(sid=f"{OWN}Push", effect="Allow", actions=PUSH_ACTIONS,
                  resources=lock.objects(f"{folder}/*" for folder in FOLDERS)),
        _listing(lock, FOLDERS), *_foreign_key(lock, "online", ("kms:Decrypt",
                                                                "kms:GenerateDataKey"))])


def offline_role(lock: Lockdown) -> dict[str, Any]:
    """Return what the offline hosts' role may do: get."""
    return document([
        Statement(sid=f"{OWN}Fetch", effect="Allow", actions=("s3:GetObject",),
                  resources=lock.objects(f"{folder}/*" for folder in READ_FOLDERS)),
        _listing(lock, READ_FOLDERS), *_foreign_key(lock, "offline", ("kms:Decrypt",))])


def endpoint_policy(lock: Lockdown) -> dict[str, Any]:
    """Return what the VPC endpoint lets through: these two roles, to this bucket of this account.

    An endpoint's policy for S3 names roles by a condition: its principal is always `*`.
    """
    def through(sid: str, actions: tuple[str, ...], resources: tuple[str, ...],
                *roles: str) -> Statement:
        return Statement(sid=f"{OWN}{sid}", effect="Allow", principals=("*",), actions=actions,
                         resources=resources, conditions={
                             "ArnEquals": {"aws:PrincipalArn": [lock.role(role) for role in roles]},
                             "StringEquals": {"aws:ResourceAccount": lock.owner}})

    return document([
        through("Push", PUSH_ACTIONS, lock.objects(f"{folder}/*" for folder in FOLDERS), "online"),
        through("Fetch", ("s3:GetObject",),
                lock.objects(f"{folder}/*" for folder in READ_FOLDERS), "offline"),
        through("List", ("s3:ListBucket",), (lock.arn,), "online", "offline")])


def key_policy(lock: Lockdown) -> dict[str, Any]:
    """Return the key's policy: the account administers it, the roles use it, through S3 alone.

    A bucket key's data keys carry the bucket's ARN as their context, so the key opens nothing that
    lies in another bucket than the store's, and for jobs that of their work folder.
    """
    root = f"{lock.arn.partition(':s3:')[0]}:iam::{lock.owner}:root"

    def use(sid: str, roles: tuple[str, ...], actions: tuple[str, ...],
            *buckets: str) -> Statement:
        return Statement(sid=f"{OWN}{sid}", effect="Allow", principals=roles, actions=actions,
                         resources=("*",), conditions={"StringEquals": {
                             "kms:ViaService": s3_host(lock.region),
                             "kms:EncryptionContext:aws:s3:arn": list(buckets)}})

    both = ("kms:Decrypt", "kms:GenerateDataKey")
    return document([
        Statement(sid=f"{OWN}Administer", effect="Allow", principals=(root,),
                  actions=KEY_ADMINISTRATION, resources=("*",)),
        use("Push", (lock.role("online"),), both, lock.arn),
        use("Fetch", (lock.role("offline"),), ("kms:Decrypt",), lock.arn),
        *([use("Jobs", lock.jobs, both, *lock.job_buckets)] if lock.jobs else [])])


def _transport(lock: Lockdown) -> Iterator[Statement]:
    yield Statement(sid=f"{OWN}TlsOnly", effect="Deny", principals=("*",), actions=("s3:*",),
                    resources=(lock.arn, f"{lock.arn}/*"),
                    conditions={"Bool": {"aws:SecureTransport": "false"}})


def _encryption(lock: Lockdown) -> Iterator[Statement]:
    """A put that doesn't ask for the encryption, or for another one; of work/ only the latter.

    Jobs on Batch put their files as their tools do, and the bucket's default encrypts those. A put
    that names aws:kms and no key would get AWS's own key, so the key is what is asked for.
    """
    if lock.encryption == "none":
        return
    asked = ({f"{ENCRYPTION}-aws-kms-key-id": lock.key_arn} if lock.key_arn
             else {ENCRYPTION: lock.encryption})
    yield Statement(
        sid=f"{OWN}EncryptedOnly", effect="Deny", principals=("*",), actions=("s3:PutObject",),
        resources=lock.objects(f"{folder}/*" for folder in FOLDERS),
        conditions={"StringNotEquals": asked})
    yield Statement(
        sid=f"{OWN}NoOtherEncryption", effect="Deny", principals=("*",), actions=("s3:PutObject",),
        resources=(f"{lock.arn}/*",),
        conditions={"StringNotEquals": {ENCRYPTION: lock.encryption},
                    "Null": {ENCRYPTION: "false"}})


def _unchanging(lock: Lockdown) -> Iterator[Statement]:
    """S3 User Guide, "Enforce conditional writes": a part of an upload creates no object yet.

    ConfigError where the store is set not to ask for that: its own pushes would be denied.
    """
    if not lock.conditional:
        raise ConfigError("a locked down bucket takes no release that isn't written conditionally",
                          where="store.conditional: none",
                          todo="remove store.conditional: AWS can write where nothing is alone")
    yield Statement(
        sid=f"{OWN}WrittenOnce", effect="Deny", principals=("*",), actions=("s3:PutObject",),
        resources=lock.objects(WRITTEN_ONCE),
        conditions={"Null": {"s3:if-none-match": "true"},
                    "Bool": {"s3:ObjectCreationOperation": "true"}, **_but_admins(lock)})
    yield Statement(
        sid=f"{OWN}NoDelete", effect="Deny", principals=("*",),
        actions=("s3:DeleteObject", "s3:DeleteObjectVersion"),
        resources=lock.objects(f"{folder}/*" for folder in FOLDERS),
        conditions=_but_admins(lock) or None)


def _network(lock: Lockdown) -> Iterator[Statement]:
    if lock.vpc_endpoints:
        yield Statement(
            sid=f"{OWN}EndpointOnly", effect="Deny", principals=("*",),
            actions=("s3:*",), resources=(f"{lock.arn}/*",),
            conditions={"StringNotEquals": {"aws:SourceVpce": list(lock.vpc_endpoints)},
                        **_but_admins(lock)})
        yield Statement(
            sid=f"{OWN}ListByEndpointOnly", effect="Deny", principals=("*",),
            actions=("s3:ListBucket", "s3:ListBucketVersions"), resources=(lock.arn,),
            conditions={"StringNotEquals": {"aws:SourceVpce": list(lock.vpc_endpoints)},
                        **_but_admins(lock)})


def _but_admins(lock: Lockdown) -> dict[str, dict[str, list[str]]]:
    return {"ArnNotEquals": {"aws:PrincipalArn": list(lock.admins)}} if lock.admins else {}


def _other_accounts(lock: Lockdown) -> Iterator[Statement]:
    """A role of another account needs the bucket's word as well as its own policy's."""
    for name, title, actions, folders in (
            ("online", "Push", PUSH_ACTIONS, FOLDERS),
            ("offline", "Fetch", ("s3:GetObject",), READ_FOLDERS)):
        if lock.roles and account_of(role := lock.role(name)) != lock.owner:
            yield Statement(sid=f"{OWN}{title}", effect="Allow", principals=(role,),
                            actions=actions,
                            resources=lock.objects(f"{folder}/*" for folder in folders))
            yield Statement(sid=f"{OWN}{title}List", effect="Allow", principals=(role,),
                            actions=("s3:ListBucket",), resources=(lock.arn,))


def _listing(lock: Lockdown, folders: tuple[str, ...]) -> Statement:
    """Without it S3 answers 403 for a key that isn't there, so that no push could know.

    For that answer S3 asks whether listing is allowed without any prefix, hence IfExists.
    """
    return Statement(sid=f"{OWN}List", effect="Allow", actions=("s3:ListBucket",),
                     resources=(lock.arn,), conditions={"StringLikeIfExists": {
                         "s3:prefix": [f"{lock.prefix}{folder}/*" for folder in folders]}})


def _foreign_key(lock: Lockdown, role: str, actions: tuple[str, ...]) -> Iterator[Statement]:
    """A key of another account than the role's needs the role's word as well as its own."""
    if lock.key_arn and account_of(lock.key_arn) != account_of(lock.role(role)):
        yield Statement(sid=f"{OWN}Key", effect="Allow", actions=actions,
                        resources=(lock.key_arn,))
