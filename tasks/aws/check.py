"""`aws:check`: which of the promises about the site's bucket hold now, one line each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tasks.aws import wanted
from tasks.aws.bucket import Bucket
from tasks.aws.documents import OWN, bucket_policy
from tasks.aws.lockdown import KMS, Lockdown
from tasks.aws.plan import BucketSpec, connect
from tasks.aws.tried_requests import tried_requests
from tasks.core import files
from tasks.core.aws.faults import explained
from tasks.core.aws.policy import Document, same, statements
from tasks.core.aws.session import Session
from tasks.core.errors import AwsError
from tasks.core.findings import FAIL, OK, UNKNOWN, WARN, Finding, in_words, report
from tasks.core.schema import check

APPLY = "doit aws:apply"
PROMISES = {
    "TlsOnly": "requests without TLS are denied",
    "EncryptedOnly": "puts that don't ask for the site's encryption are denied",
    "NoOtherEncryption": "puts that ask for another encryption are denied",
    "WrittenOnce": "releases, blobs and tools can't be overwritten",
    "NoDelete": "what was pushed can't be deleted",
    "EndpointOnly": "files are reached through the VPC endpoint alone",
    "ListByEndpointOnly": "listings come through the VPC endpoint alone",
    "Push": "the pushing role of the other account is let in",
    "PushList": "the pushing role of the other account may list",
    "Fetch": "the offline role of the other account is let in",
    "FetchList": "the offline role of the other account may list",
}
"""What each statement of our bucket policy is for, by its Sid."""


def check_bucket(spec: BucketSpec) -> str:
    """Print what holds and what doesn't, and write check.json.

    AwsError where something doesn't hold, or couldn't be looked at.
    """
    bucket, lock = connect(spec)
    findings = list(_findings(bucket, lock))
    path = spec.layout.check
    files.write_json(path, check({
        "bucket": lock.bucket, "account": lock.account, "region": lock.region,
        "findings": [{"status": finding.status, "text": finding.text, "cure": finding.cure}
                     for finding in findings]}, "aws-check", where=path))
    counts = report(findings)
    words = in_words(counts, FAIL, UNKNOWN, WARN)
    if counts[FAIL] or counts[UNKNOWN]:
        raise AwsError(f"of {len(findings)} promises about the bucket not all hold: {words}",
                       where=path, todo="do what the lines above say, then run this again")
    return f"s3://{lock.bucket}: {len(findings)} looked at{f', {words}' if words else ', all ok'}"


def _findings(bucket: Bucket, lock: Lockdown) -> Iterator[Finding]:
    if not bucket.exists():
        yield Finding(status=FAIL, text=f"s3://{lock.bucket} isn't there", cure=APPLY)
        return
    yield Finding(status=OK, text=f"s3://{lock.bucket} is in {lock.region} and belongs to account "
                                  f"{lock.account}")
    for name, judge in _JUDGES.items():
        try:
            yield from judge(bucket.read(name), lock)
        except AwsError as error:
            yield _unseen(name, error)
    if lock.encryption == KMS:
        yield _key(lock, bucket.session)


def _public_access(value: Any, _: Lockdown) -> Iterator[Finding]:
    open_ways = [name for name in wanted.PUBLIC_ACCESS if not (value or {}).get(name)]
    yield _holds(not open_ways, "public access is blocked, in all four ways",
                 f"public access isn't blocked: {', '.join(open_ways)}")


def _encryption(value: Any, lock: Lockdown) -> Iterator[Finding]:
    if lock.encryption == "none":
        yield Finding(status=WARN, text="the site asks for no encryption of its own",
                      cure="set store.encryption to AES256 or aws:kms")
        return
    yield _holds(not wanted.differs("encryption", value, wanted.wanted("encryption", value, lock)),
                 f"files are encrypted by {lock.encryption} where a put doesn't say",
                 f"the default encryption isn't {lock.encryption} with the site's key")


def _versioning(value: Any, _: Lockdown) -> Iterator[Finding]:
    yield _holds(value == "Enabled", "versions are kept", f"no versions are kept ({value})")


def _lifecycle(value: Any, lock: Lockdown) -> Iterator[Finding]:
    missing = wanted.rules_missing(value, lock)
    yield _holds(not missing, f"{lock.work_prefix} and unfinished uploads are cleaned up",
                 f"rules of the lifecycle are missing or changed: {', '.join(missing)}")


def _policy(value: Any, lock: Lockdown) -> Iterator[Finding]:
    own = {str(statement["Sid"]): statement for statement in wanted.own_statements(value)}
    ours = {statement["Sid"]: statement for statement in statements(bucket_policy(lock))}
    for sid, statement in ours.items():
        promise = PROMISES[str(sid).removeprefix(OWN)]
        yield _holds(sid in own and same(own[sid], statement), promise,
                     f"not so: {promise} (the policy's {sid})")
    for sid in own.keys() - ours.keys():
        yield Finding(status=FAIL, text=f"the policy's {sid} is no longer wanted", cure=APPLY)
    others = [statement for statement in wanted.other_statements(value)
              if statement.get("Effect") == "Allow"]
    yield from _tried(value or {}, lock)
    if others:
        sids = ", ".join(str(statement.get("Sid", "without Sid")) for statement in others)
        yield Finding(status=WARN, text=f"statements that aren't ours allow something: {sids}",
                      cure="see that somebody knows what they are for")


def _tried(policy: Document, lock: Lockdown) -> Iterator[Finding]:
    """Whether requests are let through as they must be, by all statements together."""
    if lock.roles is None:
        yield Finding(status=WARN, text="not tried who gets in: the site names no roles",
                      cure="set aws.roles.online and aws.roles.offline")
        return
    for request in tried_requests(lock):
        try:
            decision = request.decide(policy)
        except AwsError as error:
            yield Finding(status=WARN, text=f"not tried: {request.text} ({error.what})",
                          cure=error.todo)
            return
        if decision.allowed != request.allowed:
            outcome = "let through" if decision.allowed else "denied"
            yield Finding(status=FAIL, text=f"{request.text}: {outcome} ({decision.reason})",
                          cure="look at the policy's other statements, then doit aws:apply")
        else:
            yield Finding(status=OK, text=f"{request.text}: "
                                          f"{'let through' if request.allowed else 'denied'}")


def _key(lock: Lockdown, session: Session) -> Finding:
    if not lock.kms_key:
        return Finding(status=WARN, text="the key is AWS's own, whose policy can't be narrowed",
                       cure="set store.kms_key to the ARN of a key of yours")
    try:
        with explained(f"kms:DescribeKey {lock.kms_key}"):
            key = session.client("kms").describe_key(KeyId=lock.kms_key)["KeyMetadata"]
    except AwsError as error:
        return _unseen("key", error)
    if key["KeyState"] != "Enabled":
        return Finding(status=FAIL, text=f"the key {lock.kms_key} is {key['KeyState']}",
                       cure="enable it, or cancel its deletion: without it no file can be read")
    if not lock.key_arn:
        return Finding(status=WARN, text="store.kms_key is an alias, so the bucket can't hold puts "
                                         "to one key", cure=f"set it to {key['Arn']}")
    return Finding(status=OK, text=f"the key {lock.kms_key} is enabled")


def _holds(is_so: bool, text: str, otherwise: str) -> Finding:
    return (Finding(status=OK, text=text) if is_so
            else Finding(status=FAIL, text=otherwise, cure=APPLY))


def _unseen(what: str, error: AwsError) -> Finding:
    return Finding(status=UNKNOWN, text=f"{what}: {error.what} ({error.where})", cure=error.todo)


_JUDGES: dict[str, Callable[[Any, Lockdown], Iterator[Finding] | Sequence[Finding]]] = {
    "public access": _public_access, "encryption": _encryption, "versioning": _versioning,
    "lifecycle": _lifecycle, "policy": _policy,
}
