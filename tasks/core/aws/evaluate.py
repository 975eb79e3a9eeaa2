"""Whether AWS would allow a request, by the policies that stand in its way.

IAM User Guide, "Policy evaluation logic": an explicit deny ends it; the VPC endpoint's policy must
allow; then the identity's or the resource's policy must, and both where the accounts differ. A
KMS key's policy must allow always ("Key policies in AWS KMS"). Session policies, permissions
boundaries and organisations' policies are not known here: they can only deny more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tasks.core.aws.conditions import Context, arn_matches, hold, matches
from tasks.core.aws.policy import Document, account_of, statements, values
from tasks.core.frozen import frozen

DIRECT, BY_ACCOUNT = "direct", "by account"
"""How a resource's policy names who asks: itself, or its account, whose IAM then decides."""


@frozen
class Access:
    """One action on one resource, asked for by a principal (a role's ARN).

    `owner` is the account of the resource; of `context` the keys are in lower case.
    """

    principal: str
    action: str
    resource: str
    owner: str
    context: Context


@frozen
class Policies:
    """What stands in the way: of an absent `endpoint` or `resource` nothing is asked."""

    identity: Sequence[Document] = ()
    resource: Document | None = None
    endpoint: Document | None = None


@frozen
class Decision:
    """Whether it is allowed, and by which rule it is not."""

    allowed: bool
    reason: str


def decide(access: Access, policies: Policies) -> Decision:
    """Return whether a request is allowed; AwsError where a condition isn't known here."""
    named = [*(("identity policy", policy) for policy in policies.identity),
             ("resource policy", policies.resource), ("endpoint policy", policies.endpoint)]
    for name, policy in named:
        for statement in statements(policy or {}):
            if statement["Effect"] == "Deny" and _applies(statement, access):
                return Decision(allowed=False, reason=f"denied by the {name}: "
                                                      f"{statement.get('Sid', 'no Sid')}")
    if policies.endpoint is not None and not _grants(policies.endpoint, access):
        return Decision(allowed=False, reason="the endpoint policy doesn't allow it")
    return _allowed(access, policies)


def _allowed(access: Access, policies: Policies) -> Decision:
    identity = any(_grants(policy, access) for policy in policies.identity)
    resource = _grants(policies.resource or {}, access)
    same_account = account_of(access.principal) == access.owner
    if same_account and resource == DIRECT:
        return Decision(allowed=True, reason="allowed by the resource policy")
    alone = same_account and not access.action.startswith("kms:")
    if identity and (resource or alone):
        return Decision(allowed=True, reason="allowed by the identity policy")
    missing = "resource" if identity else "identity"
    return Decision(allowed=False, reason=f"the {missing} policy doesn't allow it")


def _grants(policy: Document, access: Access) -> str | None:
    """How a policy allows a request, if it does: DIRECT wherever it names nobody."""
    named = {_names(statement, access) for statement in statements(policy)
             if statement["Effect"] == "Allow" and _applies(statement, access)}
    return DIRECT if DIRECT in named else BY_ACCOUNT if BY_ACCOUNT in named else None


def _applies(statement: Mapping[str, Any], access: Access) -> bool:
    return (_names(statement, access) is not None
            and _covers(statement, "Action", access.action.lower(), _action_matches)
            and _covers(statement, "Resource", access.resource, _resource_matches)
            and hold(statement.get("Condition", {}), access.context))


def _covers(statement: Mapping[str, Any], element: str, given: str,
            compare: Callable[[str, str], bool]) -> bool:
    if element in statement:
        return any(compare(value, given) for value in values(statement[element]))
    return not any(compare(value, given) for value in values(statement[f"Not{element}"]))


def _action_matches(pattern: str, action: str) -> bool:
    return matches(pattern.lower(), action)


def _resource_matches(pattern: str, resource: str) -> bool:
    return pattern == "*" or arn_matches(pattern, resource)


def _names(statement: Mapping[str, Any], access: Access) -> str | None:
    """How a statement names who asks; an identity's own policy means that identity."""
    if "NotPrincipal" in statement:
        return None if _named(statement["NotPrincipal"], access) else DIRECT
    return _named(statement["Principal"], access) if "Principal" in statement else DIRECT


def _named(principal: Any, access: Access) -> str | None:
    listed = ["*"] if principal == "*" else values(principal.get("AWS", []))
    if "*" in listed or access.principal in listed:
        return DIRECT
    account = account_of(access.principal)
    partition = access.principal.split(":")[1]
    by_account = {account, f"arn:{partition}:iam::{account}:root"}
    return BY_ACCOUNT if by_account & set(listed) else None
