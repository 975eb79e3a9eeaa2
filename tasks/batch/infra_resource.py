"""What every resource of Batch's at AWS has in common: it is looked at, made, changed and removed.

Each resource says which call comes next, given what AWS has; infra_apply.py and infra_destroy.py
make these calls one by one, and look again after each. So a run that was cut off anywhere is gone
on with by looking, not by remembering.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from tasks.core.aws.faults import explained
from tasks.core.aws.session import Session
from tasks.core.errors import AwsError
from tasks.core.frozen import frozen

TAG = "nf-airlock"
"""The tag that says what is ours; its value is the site's name."""
LATER = "(known once it is made)"
"""Stands in a plan for the id of what isn't there yet."""
Ids = Mapping[str, str]
"""What earlier resources are called at AWS, by kind."""


@frozen
class Call:
    """One call that changes something, by boto3's names."""

    service: str
    operation: str
    arguments: Mapping[str, Any]

    @property
    def action(self) -> str:
        """Its name in IAM's way: batch:CreateJobQueue."""
        return f"{self.service}:{''.join(map(str.capitalize, self.operation.split('_')))}"

    @property
    def identity(self) -> tuple[object, ...]:
        """What two calls for the same thing have in common; each has a token of its own."""
        return (self.service, self.operation, {name: value for name, value in
                                               self.arguments.items() if name != "ClientToken"})


@frozen
class Found:
    """A resource as AWS has it. `status` is in motion where it ends in -ING; `reason` is AWS's."""

    id: str
    ours: bool
    settings: Mapping[str, Any]
    status: str = ""
    reason: str = ""

    @property
    def is_moving(self) -> bool:
        """Whether AWS is still at work on it."""
        return self.status.upper().endswith("ING")

    @property
    def is_invalid(self) -> bool:
        """Whether AWS has given up on it, for the `reason`."""
        return self.status.upper() in ("INVALID", "FAILED", "REJECTED")


class Resource(ABC):
    """One thing at AWS, of a kind that is one word for one idea, by its name there."""

    kind: str
    name: str
    site: str

    @abstractmethod
    def find(self, session: Session, ids: Ids) -> Found | None:
        """Return what AWS has, None where there is nothing of this name; AwsError."""

    @abstractmethod
    def wanted(self, ids: Ids) -> Mapping[str, Any]:
        """Return the settings that it is to have, comparable to Found.settings."""

    @abstractmethod
    def create(self, ids: Ids) -> Call:
        """Return the call that makes it, with our tag in the same call."""

    @abstractmethod
    def change(self, found: Found, ids: Ids) -> Call | None:
        """Return the next call that brings it nearer to what is wanted; None where it is so."""

    @abstractmethod
    def remove(self, found: Found) -> Call:
        """Return the next call towards its end; the last one deletes it."""

    @property
    def tags(self) -> list[dict[str, str]]:
        """Our tag, as most services take it."""
        return [{"Key": TAG, "Value": self.site}]

    def is_ours(self, tags: Any) -> bool:
        """Whether tags, as a service answers them, say that it belongs to this site."""
        listed = tags.items() if isinstance(tags, Mapping) else (
            (tag["Key"], tag["Value"]) for tag in tags or ())
        return (TAG, self.site) in listed

    def differences(self, found: Found, ids: Ids) -> list[str]:
        """Return the names of the settings that aren't as wanted."""
        return sorted(name for name, value in self.wanted(ids).items()
                      if _comparable(found.settings.get(name)) != _comparable(value))

    def specification(self, resource_type: str) -> list[dict[str, Any]]:
        """Our tag, as EC2 takes it in the call that makes a resource."""
        return [{"ResourceType": resource_type, "Tags": self.tags}]


def asked(session: Session, service: str, operation: str, *, absent: Iterable[str] = (),
          **arguments: Any) -> dict[str, Any]:
    """Return the answer to a call that only looks, all pages in one; {} for `absent` codes."""
    client = session.client(service)
    with explained(f"{service}:{operation}"):
        try:
            if client.can_paginate(operation):
                answer: dict[str, Any] = client.get_paginator(operation).paginate(
                    **arguments).build_full_result()
            else:
                answer = getattr(client, operation)(**arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] in absent:
                return {}
            raise
    return answer


def one(listed: Sequence[Any], what: str) -> Any:
    """Return the only one, None of none; AwsError where it isn't clear which is meant."""
    if len(listed) > 1:
        raise AwsError(f"there are {len(listed)} of {what}, and it isn't clear which is meant",
                       where=what, todo="remove those that nobody uses, then run this again")
    return listed[0] if listed else None


def _comparable(value: Any) -> Any:
    """Lists without their order, numbers and texts alike."""
    if isinstance(value, Mapping):
        return {key: _comparable(part) for key, part in value.items()}
    if isinstance(value, (list, tuple, set)):
        return sorted((_comparable(part) for part in value), key=repr)
    return str(value)
