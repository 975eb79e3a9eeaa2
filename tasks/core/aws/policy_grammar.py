"""Whether a policy document is one that AWS would take, before anybody sends it there.

The form is that of IAM's grammar (schemas/iam-policy.schema.json). What the grammar can't say is
here: which elements each kind of policy has, which actions, operators and condition keys exist,
what an action can be done to, and how long a document may be.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tasks.core.aws.conditions import IF_EXISTS, OPERATORS, matches
from tasks.core.aws.policy import Document, statements, values
from tasks.core.errors import AwsError
from tasks.core.schema import check

MAX_CHARACTERS = {"bucket": 20_480, "role": 10_240, "endpoint": 20_480, "key": 32_768}
"""Of a document, by its kind, without white space ("IAM and AWS STS quotas", and those of S3, VPC
and KMS); a role's is the sum of its inline policies."""

OBJECT_ACTIONS = {
    f"s3:{name}" for name in (
        "AbortMultipartUpload", "BypassGovernanceRetention", "DeleteObject", "DeleteObjectTagging",
        "DeleteObjectVersion", "DeleteObjectVersionTagging", "GetObject", "GetObjectAcl",
        "GetObjectAttributes", "GetObjectLegalHold", "GetObjectRetention", "GetObjectTagging",
        "GetObjectVersion", "GetObjectVersionAcl", "GetObjectVersionAttributes",
        "GetObjectVersionTagging", "ListMultipartUploadParts", "PutObject", "PutObjectAcl",
        "PutObjectLegalHold", "PutObjectRetention", "PutObjectTagging", "PutObjectVersionAcl",
        "PutObjectVersionTagging", "RestoreObject")}
BUCKET_ACTIONS = {
    f"s3:{name}" for name in (
        "CreateBucket", "DeleteBucket", "DeleteBucketPolicy", "GetBucketAcl", "GetBucketLocation",
        "GetBucketLogging", "GetBucketNotification", "GetBucketObjectLockConfiguration",
        "GetBucketOwnershipControls", "GetBucketPolicy", "GetBucketPolicyStatus",
        "GetBucketPublicAccessBlock", "GetBucketTagging", "GetBucketVersioning",
        "GetEncryptionConfiguration", "GetLifecycleConfiguration", "GetReplicationConfiguration",
        "ListBucket", "ListBucketMultipartUploads", "ListBucketVersions", "PutBucketAcl",
        "PutBucketLogging", "PutBucketNotification", "PutBucketObjectLockConfiguration",
        "PutBucketOwnershipControls", "PutBucketPolicy", "PutBucketPublicAccessBlock",
        "PutBucketTagging", "PutBucketVersioning", "PutEncryptionConfiguration",
        "PutLifecycleConfiguration", "PutReplicationConfiguration")}
KEY_ACTIONS = {
    f"kms:{name}" for name in (
        "CancelKeyDeletion", "CreateAlias", "CreateGrant", "Decrypt", "DeleteAlias", "DescribeKey",
        "DisableKey", "DisableKeyRotation", "EnableKey", "EnableKeyRotation", "Encrypt",
        "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "GetKeyPolicy",
        "GetKeyRotationStatus", "ListAliases", "ListGrants", "ListKeyPolicies",
        "ListKeyRotations", "ListResourceTags", "ListRetirableGrants", "PutKeyPolicy",
        "ReEncryptFrom", "ReEncryptTo", "RetireGrant", "RevokeGrant", "RotateKeyOnDemand",
        "ScheduleKeyDeletion", "TagResource", "UntagResource", "UpdateAlias",
        "UpdateKeyDescription")}
ACTIONS = OBJECT_ACTIONS | BUCKET_ACTIONS | KEY_ACTIONS
"""Those of the Service Authorization Reference that a store's policies can be about."""

FLAGS = {"aws:securetransport", "aws:principalisawsservice", "aws:viaawsservice",
         "s3:objectcreationoperation"}
TEXTS = {"aws:sourcevpce", "aws:sourcevpc", "aws:principalaccount", "aws:resourceaccount",
         "s3:if-none-match", "s3:if-match", "s3:prefix", "s3:x-amz-server-side-encryption",
         "s3:x-amz-server-side-encryption-aws-kms-key-id", "kms:viaservice", "kms:calleraccount",
         "kms:encryptioncontext:aws:s3:arn"}
ARNS = {"aws:principalarn", "aws:sourcearn"}
KEYS = FLAGS | TEXTS | ARNS
"""Condition keys, in lower case, by what their values are."""


def check_policy(policy: Document, kind: str) -> Document:
    """Return the document; AirlockError that names what AWS would refuse in it.

    `kind` is that of a bucket, a role, an endpoint or a key.
    """
    check(policy, "iam-policy", where=f"the {kind} policy")
    faults = list(_faults(policy, kind))
    if faults:
        raise AwsError("AWS would refuse a policy document:\n"
                       + "\n".join(f"  {fault}" for fault in faults),
                       where=f"the {kind} policy",
                       todo="look at the account, roles and endpoints that the site names")
    return policy


def _faults(policy: Document, kind: str) -> Iterator[str]:
    size = len(json.dumps(policy, separators=(",", ":")))
    if size > MAX_CHARACTERS[kind]:
        yield f"it has {size} characters, {MAX_CHARACTERS[kind]} are allowed"
    listed = statements(policy)
    sids = [statement["Sid"] for statement in listed if "Sid" in statement]
    yield from (f"the Sid {sid} stands twice" for sid in sorted({*sids}) if sids.count(sid) > 1)
    for number, statement in enumerate(listed, start=1):
        name = statement.get("Sid", f"statement {number}")
        yield from (f"{name}: {fault}" for fault in _statement_faults(statement, kind))


def _statement_faults(statement: Mapping[str, Any], kind: str) -> Iterator[str]:
    has_principal = "Principal" in statement or "NotPrincipal" in statement
    if has_principal == (kind == "role"):
        yield ("an identity's policy names no principal" if has_principal
               else "a principal is missing")
    actions = {known for pattern in values(statement.get("Action", statement.get("NotAction")))
               for known in _known(pattern)}
    for pattern in values(statement.get("Action", statement.get("NotAction"))):
        if not _known(pattern):
            yield f"there is no action {pattern}"
    if kind == "key" and values(statement.get("Resource")) != ["*"]:
        yield "a key's policy is about that key: its resource is *"
    elif kind != "key":
        yield from _resource_faults(statement, actions)
    for operator, keys in statement.get("Condition", {}).items():
        yield from _condition_faults(operator, keys)


def _known(pattern: str) -> set[str]:
    return {action for action in ACTIONS if matches(pattern.lower(), action.lower())}


def _resource_faults(statement: Mapping[str, Any], actions: set[str]) -> Iterator[str]:
    """What no action of the statement is about, and actions without anything to be done to."""
    resources = values(statement.get("Resource", statement.get("NotResource")))
    if resources == ["*"]:
        return
    groups = {"objects": OBJECT_ACTIONS, "the bucket": BUCKET_ACTIONS, "a key": KEY_ACTIONS}
    about = {_about(resource) for resource in resources}
    for what, group in groups.items():
        if what in about and not actions & group:
            yield f"none of its actions is about {what}"
        if what not in about and (orphans := actions & group) and not _is_wide(statement):
            yield f"{', '.join(sorted(orphans))}: no resource is {what}"


def _is_wide(statement: Mapping[str, Any]) -> bool:
    """Whether its actions are a pattern of all kinds, some of which its resources don't have."""
    return any(pattern in ("*", "s3:*", "kms:*") for pattern in values(statement.get("Action", "")))


def _about(resource: str) -> str:
    service, name = resource.split(":")[2], resource.split(":", 5)[5]
    if service == "s3":
        return "objects" if "/" in name else "the bucket"
    return "a key"


def _condition_faults(operator: str, keys: Mapping[str, Any]) -> Iterator[str]:
    base = operator.removesuffix(IF_EXISTS)
    if base not in OPERATORS or operator == f"Null{IF_EXISTS}":
        yield f"there is no condition operator {operator}"
        return
    for key, wanted in keys.items():
        name = key.lower()
        if name not in KEYS:
            yield f"there is no condition key {key}"
        elif not _fits(base, name):
            yield f"{operator} doesn't fit {key}"
        if base in ("Bool", "Null") and not {*values(wanted)} <= {"true", "false"}:
            yield f"{operator} {key}: its value is true or false"
        if base.startswith("Arn") and any(value.count(":") < 5 for value in values(wanted)):
            yield f"{operator} {key}: its value is an ARN"


def _fits(base: str, key: str) -> bool:
    """Whether an operator is for values of the kind that a key has."""
    if base == "Bool":
        return key in FLAGS
    return base == "Null" or (key in ARNS if base.startswith("Arn") else key not in FLAGS)
