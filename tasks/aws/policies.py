"""`aws:policies`: the policy documents as files, for those who apply them by their own means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tasks.aws import documents
from tasks.aws.lockdown import Lockdown
from tasks.aws.tried_requests import tried_requests
from tasks.core import files
from tasks.core.aws.paths import AwsPaths
from tasks.core.aws.policy_grammar import check_policy
from tasks.core.errors import AwsError, ConfigError
from tasks.core.frozen import frozen

DOCUMENTS: Mapping[str, tuple[str, Callable[[Lockdown], dict[str, Any]]]] = {
    "bucket-policy": ("bucket", documents.bucket_policy),
    "online-role": ("role", documents.online_role),
    "offline-role": ("role", documents.offline_role),
    "endpoint-policy": ("endpoint", documents.endpoint_policy),
    "key-policy": ("key", documents.key_policy),
}
"""Each file's kind of policy, and what makes it."""


@frozen
class PoliciesSpec:
    """What the documents are made of, and the names of those that the site needs."""

    layout: AwsPaths
    lock: Lockdown
    names: tuple[str, ...]


def write_policies(spec: PoliciesSpec) -> str:
    """Write each document, held against what AWS takes; nothing is sent anywhere."""
    if spec.lock.role("online") == spec.lock.role("offline"):
        raise ConfigError("one role is both online and offline, so offline hosts could "
                          "push", where="aws.roles", todo="give each side a role of its own")
    policies = {name: check_policy(DOCUMENTS[name][1](spec.lock), DOCUMENTS[name][0])
                for name in spec.names}
    _see_that_they_hold(spec.lock)
    for name, policy in policies.items():
        files.write_json(spec.layout.policy(name), policy)
    return f"{len(policies)} policies in {spec.layout.root}: {', '.join(policies)}"


def _see_that_they_hold(lock: Lockdown) -> None:
    """Try the documents together, so that none is handed on that locks out who must get in."""
    bucket, endpoint = documents.bucket_policy(lock), documents.endpoint_policy(lock)
    for request in tried_requests(lock):
        decision = request.decide(bucket, endpoint if request.through_endpoint else None)
        if decision.allowed != request.allowed:
            outcome = "let through" if decision.allowed else "denied"
            raise AwsError(f"by these policies, {request.text}: {outcome} ({decision.reason})",
                           where="aws:policies", todo="look at aws.roles and aws.vpc_endpoint")
