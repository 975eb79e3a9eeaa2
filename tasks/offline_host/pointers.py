"""The pointers of a carried folder, and how they are moved on in the offline side's store."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.core.errors import ConfigError, IntegrityError
from tasks.core.schema import from_bytes
from tasks.core.store.interface import MAX_SMALL, Store, content
from tasks.core.trust import promotions
from tasks.core.trust.carried import subjects
from tasks.core.trust.promotions import CARRY_AGAIN, Promotion, Subject
from tasks.offline_host.freshness import Host

logger = logging.getLogger(__name__)


def signed(store: Store, shown: Mapping[str, bytes], host: Host) -> list[Promotion]:
    """The promotions that pointers name, by trusted signatures; `store` has these."""
    return [promotions.pointed_to(shown[subject.pointer], store, subject, host.signers)
            for subject in subjects(shown)]


def refuse_older(store: Store, shown: Mapping[str, bytes], *, back: bool) -> None:
    """IntegrityError where a store is ahead of a carried folder, unless the user goes `back`."""
    for subject in subjects(shown):
        _to_move(store, subject, shown[subject.pointer], back=back)


def move(store: Store, shown: Mapping[str, bytes], *, back: bool) -> None:
    """Let a store's pointers follow those of a carried folder; all that they lead to is there."""
    refuse_older(store, shown, back=back)
    for subject in subjects(shown):
        data = shown[subject.pointer]
        at = _to_move(store, subject, data, back=back)
        if at is not None:
            store.replace(subject.pointer, data, at.before)


@dataclass(frozen=True, kw_only=True)
class _At:
    """What a pointer holds before it is moved."""

    before: bytes | None


def _to_move(store: Store, subject: Subject, data: bytes, *, back: bool) -> _At | None:
    """What the store's pointer holds, where it is to be moved; None where it stays."""
    before = content(store, subject.pointer, most=MAX_SMALL)
    if before is None:
        return _At(before=None)
    try:
        there = _parsed(before, subject.pointer)
    except IntegrityError:
        return _At(before=before)  # nothing that a host would take
    own = _parsed(data, subject.pointer)
    if before == data:
        return None
    if there["number"] < own["number"]:
        return _At(before=before)
    if there["number"] == own["number"]:
        raise IntegrityError(f"the store's promotion {own['number']} is of {there['id']}, and that "
                             f"of the carried folder of {own['id']}",
                             where=f"{store.url}: {subject.pointer}",
                             todo="use neither; ask those who made them")
    what = (f"{subject.pipeline or 'the tool'}: the carried folder shows {own['id']}, promoted as "
            f"number {own['number']}, and the store has number {there['number']}, {there['id']}: "
            "the folder is older")
    if back or subject.pipeline is None:
        logger.info("%s; the store's pointer stays", what)
        return None
    raise IntegrityError(what, where=f"{store.url}: {subject.pointer}",
                         todo=f"carry again; if you want to go back, say so: release={own['id']}")


def _parsed(data: bytes, where: str) -> Mapping[str, Any]:
    try:
        value: Mapping[str, Any] = from_bytes(data, "pointer", where=where)
    except ConfigError as error:
        raise IntegrityError(f"this is no pointer: {error.what}", where=where,
                             todo=CARRY_AGAIN) from error
    return value
