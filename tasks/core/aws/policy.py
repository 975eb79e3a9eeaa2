"""Policy documents of IAM: their statements, and what of two documents is the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tasks.core.frozen import frozen

VERSION = "2012-10-17"
"""Of the policy language, not of a document."""

Document = Mapping[str, Any]
Conditions = Mapping[str, Mapping[str, str | Sequence[str]]]
"""Operator, then condition key, then the values of which one must match."""


@frozen
class Statement:
    """One statement. `principals` are ARNs, or `*`; an identity's own policy has none."""

    sid: str
    effect: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    principals: tuple[str, ...] = ()
    conditions: Conditions | None = None

    def json(self) -> dict[str, Any]:
        """Return it as it stands in a document."""
        principal: Any = "*" if self.principals == ("*",) else {"AWS": _short(self.principals)}
        return {"Sid": self.sid, "Effect": self.effect,
                **({"Principal": principal} if self.principals else {}),
                "Action": _short(self.actions), "Resource": _short(self.resources),
                **({"Condition": self.conditions} if self.conditions else {})}


def document(statements: Iterable[Statement]) -> dict[str, Any]:
    """Return a document of these statements."""
    return {"Version": VERSION, "Statement": [statement.json() for statement in statements]}


def statements(policy: Document) -> list[Mapping[str, Any]]:
    """Return a document's statements; a single one may stand without a list."""
    listed = policy.get("Statement", [])
    return [listed] if isinstance(listed, Mapping) else list(listed)


def values(field: Any) -> list[str]:
    """Return a field's texts; a single one may stand without a list, and a flag be no text."""
    listed = field if isinstance(field, Sequence) and not isinstance(field, str) else [field]
    return [str(item).lower() if isinstance(item, bool) else str(item) for item in listed]


def same(one: Any, other: Any) -> bool:
    """Whether two documents, or statements, differ in their form alone.

    AWS gives a document back with its lists in another order, or one value without its list.
    """
    return bool(_normal(one) == _normal(other))


def partition(region: str) -> str:
    """Return AWS's partition of a region, which stands in each ARN."""
    starts = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
    return next((name for start, name in starts.items() if region.startswith(start)), "aws")


def s3_host(region: str) -> str:
    """Return the name of S3 in a region, as its addresses and kms:ViaService have it."""
    return f"s3.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")


def account_of(arn: str) -> str:
    """Return the account that an ARN names; empty for a bucket's."""
    parts = arn.split(":", 5)
    return parts[4] if len(parts) == 6 else ""


def _short(texts: Sequence[str]) -> str | list[str]:
    return texts[0] if len(texts) == 1 else list(texts)


def _normal(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _normal_principal(item) if key in ("Principal", "NotPrincipal")
                else _normal(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        if any(isinstance(item, Mapping) for item in value):
            return sorted((_normal(item) for item in value), key=repr)
        return sorted(values(value))
    return values(value)


def _normal_principal(value: Any) -> Any:
    return _normal({"AWS": "*"} if value == "*" else value)
