"""`batch:infra:apply` and `batch:infra:destroy`: one call at a time, each written down before.

After each call AWS is looked at again, so a run goes on where the last one ended. A call that
failed but took effect, since the network was cut before its answer, is seen to have done so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from tasks.batch.infra_plan import (
    BLOCKED,
    blocked,
    connect,
    judge,
    plan,
    unasked_endpoints,
    write_plan,
    write_receipt,
)
from tasks.batch.infra_resource import Call, Existing, Resource
from tasks.batch.infra_settings import InfraSpec
from tasks.core import files
from tasks.core.aws.faults import explain, explained
from tasks.core.aws.journal import Journal
from tasks.core.aws.session import Session
from tasks.core.errors import AirlockError, AwsError

logger = logging.getLogger(__name__)
PAUSE, PATIENCE = 5.0, 900.0
"""Seconds between looks at what AWS is at work on, and before that is given up."""
LAG = 60.0
"""Seconds for which AWS may not show what it has done: IAM and EC2 are eventually consistent."""
MAX_CALLS = 20
"""For one resource: more would mean that AWS takes settings, and shows others."""
MAX_SHOWN = 200
"""Characters of a setting in the journal: the user data stands in a file of its own."""


def apply(spec: InfraSpec) -> str:
    """Make what is missing, change what differs, and wait until all is VALID.

    AwsError where something isn't ours and not as it must be, before anything is made.
    """
    session, journal = Session(spec.aws), Journal(spec.at.journal)
    infra = connect(spec, session, spec.at.userdata.read_bytes())
    for line in plan(infra, session):
        if line.state == BLOCKED:
            raise blocked(line)
    ids: dict[str, str] = {}
    calls = 0
    for resource in infra.resources:
        existing, count = _drive(resource, session, journal, ids, partial(_towards, resource, ids))
        ids[resource.kind] = existing.id if existing else ""
        calls += count
    lines = plan(infra, session)
    write_receipt(spec, infra, lines)
    # So that this step is stale once AWS differs from it:
    write_plan(spec, infra, lines, unasked_endpoints(infra, session, spec))
    return (f"{len(lines)} resources in {spec.aws.region}, account {infra.account}: "
            f"{f'{calls} calls made' if calls else 'all was there'}; journal: {spec.at.journal}")


def destroy(spec: InfraSpec) -> str:
    """Remove what carries our tag, in AWS's order: queue, environment, and so on to the role."""
    session, journal = Session(spec.aws), Journal(spec.at.journal)
    infra = connect(spec, session, b"", all_kinds=True)
    left = []
    calls = 0
    for resource in reversed(infra.resources):
        existing, count = _drive(resource, session, journal, {}, partial(_away, resource))
        calls += count
        if existing is not None:
            left.append(f"{resource.kind} {resource.name}")
    spec.at.receipt.unlink(missing_ok=True)
    return (f"nothing of the site's is left in {spec.aws.region}, account {infra.account}: "
            f"{calls} calls made; journal: {spec.at.journal}"
            + (f"; left as they are, since they aren't ours: {', '.join(left)}" if left else ""))


def _towards(resource: Resource, ids: Mapping[str, str], existing: Existing | None,
             count: int) -> Call | None:
    """Return the next call that brings a resource to what is wanted; `count` were made."""
    if existing is None:
        return resource.create(ids)
    if not existing.ours:
        line = judge(resource, existing, ids)
        if line.state == BLOCKED:
            raise blocked(line)
        return None
    if existing.is_invalid and count:
        raise AwsError(f"AWS has made the {resource.kind} {resource.name} {existing.status}: "
                       f"{existing.reason}", where=existing.id,
                       todo="mend that reason, then run this again; `doit batch:diagnose` knows "
                            "the usual ones")
    return resource.change(existing, ids)


def _away(resource: Resource, existing: Existing | None, _: int) -> Call | None:
    """Return the next call towards a resource's end."""
    return resource.remove(existing) if existing is not None and existing.ours else None


def _drive(resource: Resource, session: Session, journal: Journal, ids: Mapping[str, str],
           next_call: Callable[[Existing | None, int], Call | None]) -> tuple[Existing | None, int]:
    """Make one call after the other, looking between them; return what is there, and their number.

    AWS may take some time to show what it has done, so no call is made twice in a row.
    """
    last, done, count = None, 0.0, 0
    while count < MAX_CALLS:
        existing = _at_rest(resource, session, ids)
        call = next_call(existing, count)
        if call is None:
            return existing, count
        if last is not None and call.identity == last.identity:
            if time.monotonic() - done > LAG:
                break
            time.sleep(PAUSE)
            continue
        try:
            _perform(call, resource, session, journal)
        except AwsError:
            if not _took_effect(call, resource, session, ids, next_call):
                raise
            logger.info("%s: it took effect all the same", call.action)
        last, done, count = call, time.monotonic(), count + 1
    raise AwsError("AWS takes these calls, and shows something else",
                   where=f"{resource.kind} {resource.name}",
                   todo="look who else changes it (`doit batch:infra:plan`), then run this again")


def _at_rest(resource: Resource, session: Session, ids: Mapping[str, str]) -> Existing | None:
    """Return a resource once AWS is no longer at work on it."""
    begun = time.monotonic()
    while True:
        existing = resource.find(session, ids)
        if existing is None or not existing.is_moving:
            return existing
        waited = time.monotonic() - begun
        if waited > PATIENCE:
            raise AwsError(f"after {waited:.0f} s the {resource.kind} {resource.name} is still "
                           f"{existing.status}: {existing.reason}", where=existing.id,
                           todo="look at it in AWS's console; run this again to wait on")
        logger.info("%s %s: %s, %.0f s", resource.kind, resource.name, existing.status, waited)
        time.sleep(PAUSE)


def _perform(call: Call, resource: Resource, session: Session, journal: Journal) -> None:
    subject = f"{resource.kind} {resource.name}"
    logger.info("%s: %s", call.action, subject)
    with journal.call(call.action, subject, _shown(call.arguments)), explained(call.action):
        answer = getattr(session.client(call.service), call.operation)(**call.arguments)
        for failure in answer.get("Unsuccessful", []):  # how EC2 refuses one of several
            error = failure["Error"]
            raise explain(error["Code"], error["Message"], call.action)


def _took_effect(call: Call, resource: Resource, session: Session, ids: Mapping[str, str],
                 next_call: Callable[[Existing | None, int], Call | None]) -> bool:
    """Whether another call is the next one now, as far as AWS can be asked."""
    try:
        existing = resource.find(session, ids)
        following = None if existing and existing.is_moving else next_call(existing, 0)
    except AirlockError:
        return False
    return following is None or following.identity != call.identity


def _shown(value: Any) -> Any:
    """Return arguments as the journal has them."""
    if isinstance(value, Mapping):
        return {name: _shown(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shown(part) for part in value]
    if isinstance(value, str) and len(value) > MAX_SHOWN:
        return f"{len(value)} characters, sha256:{files.sha256_bytes(value.encode())}"
    return value
