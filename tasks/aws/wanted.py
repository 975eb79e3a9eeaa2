"""What each of a bucket's settings is to be, given what it is: ours set, others' left alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.aws.documents import OWN, bucket_policy
from tasks.aws.lockdown import KMS, WORK_DAYS, Lockdown
from tasks.core.aws.policy import Document, same, statements

PUBLIC_ACCESS = dict.fromkeys(
    ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
OWN_RULE = "airlock-"
"""What the IDs of our lifecycle rules begin with; all others are left as they are."""
UNFINISHED_DAYS = 7
"""Days after which what was uploaded of an unfinished file is deleted."""


def wanted(name: str, current: Any, lock: Lockdown) -> Any:
    """Return the value that a setting is to have."""
    if name == "public access":
        return PUBLIC_ACCESS
    if name == "versioning":
        return "Enabled"
    if name == "encryption":
        return _encryption(current, lock)
    return _lifecycle(current, lock) if name == "lifecycle" else _policy(current, lock)


def differs(name: str, current: Any, value: Any) -> bool:
    """Whether a setting must be set; what AWS adds to a value of ours is no difference."""
    if name == "policy":
        return not same(current or {}, value)
    if name == "encryption":
        return _default(current) != _default(value)
    if name == "lifecycle":
        return _rules(current) != _rules(value)
    return bool(current != value)


def words(name: str, value: Any) -> str:
    """Return a setting's value in a few words, for a person."""
    if name == "public access":
        return ", ".join(flag for flag in PUBLIC_ACCESS if (value or {}).get(flag)) or "open"
    if name == "encryption":
        algorithm, key, bucket_key = _default(value)
        return f"{algorithm or 'as AWS has it'}{f' with {key}' if key else ''}" + (
            ", a bucket key" if bucket_key else "")
    if name == "lifecycle":
        return ", ".join(str(rule.get("ID", "without ID"))
                         for rule in (value or {}).get("Rules", [])) or "none"
    if name == "policy":
        return ", ".join(str(statement["Sid"]) for statement in own_statements(value)) or (
            "none of ours")
    return str(value or "never set")


def own_statements(policy: Document | None) -> list[Mapping[str, Any]]:
    """Return those of a bucket policy's statements that are ours."""
    return [statement for statement in statements(policy or {})
            if str(statement.get("Sid", "")).startswith(OWN)]


def other_statements(policy: Document | None) -> list[Mapping[str, Any]]:
    """Return those that are not."""
    return [statement for statement in statements(policy or {})
            if not str(statement.get("Sid", "")).startswith(OWN)]


def _policy(current: Document | None, lock: Lockdown) -> dict[str, Any]:
    """Our statements after others', in their document, whose version they were written for."""
    ours = bucket_policy(lock)
    return {**(current or ours), "Statement": [*other_statements(current), *ours["Statement"]]}


def _encryption(current: Any, lock: Lockdown) -> Any:
    if lock.encryption == "none":
        return current
    by_default = {"SSEAlgorithm": lock.encryption}
    if lock.encryption == KMS and lock.kms_key:
        by_default["KMSMasterKeyID"] = lock.kms_key
    return {"Rules": [{**_first_rule(current), "ApplyServerSideEncryptionByDefault": by_default,
                       "BucketKeyEnabled": lock.encryption == KMS}]}


def _first_rule(value: Any) -> dict[str, Any]:
    """A bucket's one rule of encryption, which may say more than the default."""
    return dict(next(iter((value or {}).get("Rules", [])), {}))


def _default(value: Any) -> tuple[Any, ...]:
    """Algorithm, key and bucket key of a bucket's default encryption."""
    rule = _first_rule(value)
    by_default = rule.get("ApplyServerSideEncryptionByDefault", {})
    return (by_default.get("SSEAlgorithm"), by_default.get("KMSMasterKeyID"),
            bool(rule.get("BucketKeyEnabled")))


def _lifecycle(current: Any, lock: Lockdown) -> dict[str, Any]:
    current = current or {}
    others = [rule for rule in current.get("Rules", [])
              if not str(rule.get("ID", "")).startswith(OWN_RULE)]
    return {**current, "Rules": [*others, *_own_rules(lock)]}


def _own_rules(lock: Lockdown) -> list[dict[str, Any]]:
    """Unfinished uploads, and work/: with versions on, a file that was deleted still costs."""
    work = {"Prefix": lock.work_prefix}
    return [
        {"ID": f"{OWN_RULE}unfinished-uploads", "Status": "Enabled", "Filter": {"Prefix": ""},
         "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": UNFINISHED_DAYS}},
        {"ID": f"{OWN_RULE}work", "Status": "Enabled", "Filter": work,
         "Expiration": {"Days": lock.work_days or WORK_DAYS},
         "NoncurrentVersionExpiration": {"NoncurrentDays": 1}},
        {"ID": f"{OWN_RULE}work-markers", "Status": "Enabled", "Filter": work,
         "Expiration": {"ExpiredObjectDeleteMarker": True}},
    ]


def rules_missing(lifecycle: Any, lock: Lockdown) -> list[str]:
    """Return the IDs of our rules that a lifecycle lacks, or has otherwise."""
    current = _rules(lifecycle)
    return [name for name, rule in _rules(_lifecycle(None, lock)).items()
            if current.get(name) != rule]


def _rules(lifecycle: Any) -> dict[str, Any]:
    """Our rules by ID, and nothing of others', which are sent back as they came."""
    return {str(rule["ID"]): rule for rule in (lifecycle or {}).get("Rules", [])
            if str(rule.get("ID", "")).startswith(OWN_RULE)}
