"""Approvals: a second person's signature over a promotion, where an administrator asks for one.

The trust folder says so, in minimum.json: what comes out of the store, a tool among it, can't lift
that. An approval is a signature over the promotion's own bytes, by another key than signed it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tasks.core import ownership
from tasks.core.errors import IntegrityError
from tasks.core.schema import read_json
from tasks.core.trust import signature


def needed(trust: Path) -> tuple[str, ...]:
    """Who may approve, by their names in allowed_signers; nobody where no approval is needed."""
    path = trust / "minimum.json"
    ownership.refuse_writable_by_others(path)
    return tuple(read_json(path, "minimum").get("approvers", ())) if path.exists() else ()


def refuse_none(promotion: object | None, approvers: Sequence[str], name: str,
                where: object) -> None:
    """IntegrityError where approvals are needed, and no promotion of what was asked for has one."""
    if approvers and promotion is None:
        raise IntegrityError(
            f"no promotion of {name} was approved by a second person, which the trust folder asks "
            "for", where=where, todo=f"have one of {', '.join(approvers)} approve it on the "
                                     "online side, then carry it again")


def verify(data: bytes, approval: bytes, *, allowed: Path, approvers: Sequence[str],
           pipeline: str | None, signed_by: str, where: object, known_as: str = "") -> str:
    """The name of who approved a promotion's bytes, which the key `signed_by` has signed.

    IntegrityError where that is none of `approvers`, or the same key. `known_as` is as for
    signature.verify().
    """
    faults = []
    for name in approvers:
        signer = signature.principal(name, pipeline) if pipeline else name
        try:
            key = signature.verify(data, approval, namespace=signature.APPROVAL, allowed=allowed,
                                   signer=signer, where=where, known_as=known_as)
        except IntegrityError as error:
            faults.append(error.what)
            continue
        if key == signed_by:
            raise IntegrityError(f"{name} approved what the same key has signed", where=where,
                                 todo="have another person approve it, with a key of their own")
        return name
    raise IntegrityError(
        f"the approval is by none of {', '.join(approvers)}: {'; '.join(faults[-1:])}", where=where,
        todo=f"have one of them approve it; their keys stand in {known_as or allowed}")
