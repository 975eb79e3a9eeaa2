"""`aws:apply`: the site's bucket made where it is missing, and set exactly where it differs."""

from __future__ import annotations

import logging

from tasks.aws.bucket import SETTINGS
from tasks.aws.plan import BucketSpec, Plan, connect, make_plan, write
from tasks.core.aws.journal import Journal
from tasks.core.errors import AwsError

logger = logging.getLogger(__name__)


def apply(spec: BucketSpec) -> str:
    """Set what differs, each call noted before it is made, and write what the bucket then has.

    A run that ended in the middle goes on by being run again: what is set already isn't set twice.
    """
    bucket, lock = connect(spec)
    plan = make_plan(bucket, lock)
    journal = Journal(spec.layout.journal)
    where = f"s3://{lock.bucket}"
    if not plan.exists:
        with journal.call("s3:CreateBucket", where, {"region": lock.region}):
            bucket.make()
        logger.info("%s is made, in %s", where, lock.region)
        plan = make_plan(bucket, lock)  # a new bucket has settings of its own
    for change in plan.to_set:
        with journal.call(SETTINGS[change.name].writes, where, {change.name: change.wanted}):
            bucket.write(change.name, change.wanted)
        logger.info("%s: %s is set", where, change.name)
    after = make_plan(bucket, lock)
    _see_that_it_holds(after)
    write(spec.layout.receipt, after)
    done = ", ".join(change.name for change in plan.to_set)
    return f"{where}: {f'{done} set' if done else 'all was set already'}; nothing else was changed"


def _see_that_it_holds(after: Plan) -> None:
    if after.to_set:
        names = ", ".join(change.name for change in after.to_set)
        raise AwsError(f"AWS took these settings, and shows others: {names}",
                       where=f"s3://{after.lock.bucket}",
                       todo="look whether somebody else sets them (`doit aws:plan` shows what it "
                            "is now), then run this again")
