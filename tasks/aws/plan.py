"""`aws:plan`: what the site's bucket has, what differs, and what `aws:apply` would set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from tasks.aws import wanted
from tasks.aws.bucket import SETTINGS, Bucket
from tasks.aws.documents import bucket_policy
from tasks.aws.lockdown import Lockdown
from tasks.core import files
from tasks.core.aws.paths import AwsPaths
from tasks.core.aws.policy_grammar import check_policy
from tasks.core.aws.session import Session
from tasks.core.config.aws_settings import Aws
from tasks.core.errors import AwsError, ConfigError
from tasks.core.frozen import frozen
from tasks.core.schema import check


@frozen
class BucketSpec:
    """The site's bucket, and AWS as this machine reaches it.

    `store_endpoint` is the S3 server that the site names for its store: AWS, where it names none.
    """

    layout: AwsPaths
    aws: Aws
    lock: Lockdown
    store_endpoint: str | None = None


@frozen
class Change:
    """A setting as it is and as it is to be."""

    name: str
    current: Any
    wanted: Any

    @property
    def differs(self) -> bool:
        return wanted.differs(self.name, self.current, self.wanted)


@frozen
class Plan:
    """What stands between a bucket and what the site wants of it."""

    lock: Lockdown
    exists: bool
    changes: Sequence[Change]

    @property
    def to_set(self) -> Sequence[Change]:
        return [change for change in self.changes if change.differs]

    def json(self) -> dict[str, Any]:
        """Return it as plan.json has it."""
        current = next(change.current for change in self.changes if change.name == "policy")
        return {
            "bucket": self.lock.bucket, "prefix": self.lock.prefix, "region": self.lock.region,
            "account": self.lock.account, "exists": self.exists,
            "settings": [{"name": change.name, "differs": change.differs,
                          "current": change.current, "wanted": change.wanted}
                         for change in self.changes],
            "others": [str(statement.get("Sid", "")) for statement in
                       wanted.other_statements(current)]}


def show_plan(spec: BucketSpec) -> str:
    """Print what would be set, and write plan.json; AWS is only read."""
    bucket, lock = connect(spec)
    plan = make_plan(bucket, lock)
    write(spec.layout.plan, plan)
    for line in _lines(plan):
        print(line)
    if not plan.to_set and plan.exists:
        return f"s3://{lock.bucket}: all is set; `doit aws:apply` would change nothing"
    return (f"s3://{lock.bucket}: {len(plan.to_set)} settings would be set by `doit aws:apply`; "
            f"{spec.layout.plan}")


def connect(spec: BucketSpec) -> tuple[Bucket, Lockdown]:
    """Return the bucket as AWS's clients reach it, and what is wanted of it, with its account.

    AirlockError where the site has no bucket at AWS, or the credentials are another account's.
    """
    name = spec.lock.bucket
    endpoint = spec.store_endpoint
    if endpoint and endpoint != spec.aws.endpoint and not _is_aws(endpoint):
        raise ConfigError("the store's bucket isn't at AWS, so its settings are not AWS's",
                          where=f"store.endpoint: {endpoint}",
                          todo="lock it down by the means of that server; aws:* is for AWS")
    session = Session(replace(spec.aws, region=spec.lock.region))
    account = session.account()
    if spec.aws.account and account != spec.aws.account:
        raise AwsError(f"these credentials are those of account {account}, and the bucket belongs "
                       f"to {spec.aws.account}", where="aws.account",
                       todo="set AWS_PROFILE to a role of that account, or correct aws.account")
    lock = replace(spec.lock, account=account)
    return Bucket(session, name, owner=account, region=lock.region), lock


def make_plan(bucket: Bucket, lock: Lockdown) -> Plan:
    """Return how the bucket's settings differ from those wanted; AirlockError where AWS refuses.

    What AWS would refuse of our policy is an error here, before anything is changed.
    """
    check_policy(bucket_policy(lock), "bucket")
    exists = bucket.exists()
    changes = []
    for name in SETTINGS:
        current = bucket.read(name) if exists else None
        changes.append(Change(name=name, current=current,
                              wanted=wanted.wanted(name, current, lock)))
    return Plan(lock=lock, exists=exists, changes=changes)


def write(path: Any, plan: Plan) -> None:
    """Write a plan, or what it shows after it was carried out."""
    files.write_json(path, check(plan.json(), "aws-plan", where=path))


def _is_aws(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))


def _lines(plan: Plan) -> Sequence[str]:
    lock = plan.lock
    first = (f"s3://{lock.bucket} in {lock.region}, account {lock.account}: "
             + ("is there" if plan.exists else "isn't there, and would be made"))
    lines = [first, *(f"  {'set ' if change.differs else 'keep'}  {change.name}: "
                      f"{_words(change)}" for change in plan.changes)]
    others = plan.json()["others"]
    if others:
        lines.append(f"  keep  {len(others)} statements of the policy that aren't ours: "
                     f"{', '.join(sid or 'without Sid' for sid in others)}")
    return lines


def _words(change: Change) -> str:
    """What a setting is, and what it would be, in a few words."""
    current, new = (wanted.words(change.name, value) for value in (change.current, change.wanted))
    return f"{current} → {new}" if change.differs else current
