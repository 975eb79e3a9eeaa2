"""Promotions: signed statements of which release of a pipeline, or which tool, is the current one.

A store could show an old release for ever, or go back to one, without changing a signed byte. So
what is current is signed as well, with a number that grows and, where the site asks for it, with
a time at which it ends. The pointer `current.json` only says which promotion is the newest: what
it leads to is believed for its own signature (as TUF's timestamp role does).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.errors import ConfigError, IntegrityError, StoreError
from tasks.core.schema import from_bytes, read_json
from tasks.core.store.interface import Store, bring
from tasks.core.trust import approvals, signature

MAX_READ = 50
"""Promotions that are read, newest first, to find the one that names an id."""

FILE_NAME = re.compile(r"([0-9]{8})\.json")
OPTIONAL = {"predecessor", "proof", "unproven", "back", "withdrawn"}
"""Keys that are left out where they say nothing: tools of before they were there take it then."""

CARRY_AGAIN = "carry it again; if it stays so, ask those who pushed it"
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is promoted: the releases of a pipeline, or the tool (`pipeline` is None)."""

    pipeline: str | None

    @property
    def place(self) -> str:
        """Its folder in the store."""
        return f"releases/{self.pipeline}" if self.pipeline else "tool"

    @property
    def pointer(self) -> str:
        """The key of what says which promotion is the newest."""
        return f"{self.place}/current.json"

    def key(self, number: int) -> str:
        """The key of a promotion; its signature lies beside it."""
        return f"{self.place}/promotions/{number:08}.json"

    def approval(self, number: int) -> str:
        """The key of the second signature of a promotion, where one is needed."""
        return f"{self.key(number)}.approval.sig"

    def signer(self, identity: str) -> str:
        """Whom allowed_signers must name for it."""
        return signature.principal(identity, self.pipeline) if self.pipeline else identity


@dataclass(frozen=True, kw_only=True)
class Withdrawn:
    """A release that no host may run any more, and why."""

    id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """The signed statement that `id` is the current one; times are UTC.

    `number` grows with every promotion, and `predecessor` is the SHA-256 of the bytes of the one
    before (None for the first): whoever signs has seen it. `pipeline` is None for the tool, and
    `expires` where it holds for ever. `proof` is the SHA-256 of the signed document that says how
    the release was tried; `unproven` is why it became current without a validation and a smoke
    run, where it did. `back` is why this goes back to an older release, where it does. `withdrawn`
    are all that were withdrawn so far, so that no store can hide one from a host that knows the
    number.
    """

    pipeline: str | None
    id: str
    number: int
    signed: str
    expires: str | None
    predecessor: str | None = None
    proof: str | None = None
    unproven: str | None = None
    back: str | None = None
    withdrawn: tuple[Withdrawn, ...] = ()

    @property
    def subject(self) -> Subject:
        return Subject(pipeline=self.pipeline)

    def data(self) -> bytes:
        """The bytes that are signed."""
        value = {"kind": "promotion", **asdict(self)}
        return files.json_bytes({key: content for key, content in value.items()
                                 if content or key not in OPTIONAL})

    @property
    def sha256(self) -> str:
        """By which the next promotion names it as its predecessor."""
        return files.sha256_bytes(self.data())

    def pointer(self) -> bytes:
        """The bytes of current.json."""
        return files.json_bytes({"pipeline": self.pipeline, "id": self.id, "number": self.number})

    def is_named(self, after: int | str) -> bool:
        """Whether after=NUMBER, or after=SHA256, means this one."""
        return after in (self.number, self.sha256)

    def is_over(self, now: datetime) -> bool:
        """Whether it has ended."""
        return self.expires is not None and time(self.expires) <= now

    def is_due(self, now: datetime) -> bool:
        """Whether half of its time is over, so that a new one is signed before it ends."""
        if self.expires is None:
            return False
        begun = time(self.signed)
        return now >= begun + (time(self.expires) - begun) / 2


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Who may sign: the file allowed_signers, and the site's identity in it.

    Where there are `approvers`, what is promoted needs the approval of one of them as well.
    `known_as` is what people know that list by, where its file was made for now alone.
    """

    allowed: Path
    identity: str
    approvers: tuple[str, ...] = ()
    known_as: str = ""

    def verify(self, data: bytes, seal: bytes, *, namespace: str, subject: Subject,
               where: str) -> str:
        """As signature.verify(), by the site's identity for what is promoted; `where` is the data.
        """
        return signature.verify(data, seal, namespace=namespace, allowed=self.allowed,
                                signer=subject.signer(self.identity), where=f"{where}.sig",
                                known_as=self.known_as)


def time(text: str) -> datetime:
    """A time as promotions have it."""
    return datetime.strptime(text, TIME_FORMAT).replace(tzinfo=timezone.utc)


def plan(subject: Subject, name: str, *, before: int, valid: int | None, now: datetime,
         unproven: str | None = None) -> Promotion:
    """The promotion of `name` that follows number `before`; it is valid for so many seconds."""
    expires = None if valid is None else (now + timedelta(seconds=valid)).strftime(TIME_FORMAT)
    return Promotion(pipeline=subject.pipeline, id=name, number=before + 1,
                     signed=now.strftime(TIME_FORMAT), expires=expires, unproven=unproven)


def read(path: Path) -> Promotion | None:
    """A promotion of this side, or None where there is none that can be read."""
    try:
        return _promotion(read_json(path, "promotion"))
    except ConfigError:
        return None


def parsed(data: bytes, where: object) -> Promotion | None:
    """A promotion whose signature nobody has looked at, or None where these bytes are none."""
    try:
        return _promotion(from_bytes(data, "promotion", where=where))
    except ConfigError:
        return None


def keys(store: Store, subject: Subject, below: str = "") -> Sequence[str]:
    """All keys of a subject's folder, or of one below it; none where nothing was pushed."""
    try:
        return store.list(f"{subject.place}/{below}")
    except StoreError:
        if store.head(subject.pointer) is not None:
            raise
        return []  # a folder that the first push will make


def numbers(store: Store, subject: Subject) -> list[int]:
    """The numbers of all promotions in the store, newest first; none where nothing was pushed."""
    named = (FILE_NAME.fullmatch(key.rpartition("/")[2])
             for key in keys(store, subject, "promotions/"))
    return sorted((int(match[1]) for match in named if match), reverse=True)


def current(store: Store, subject: Subject, trust: Trust) -> Promotion:
    """What the store shows as current, by a trusted signature.

    IntegrityError where the pointer or what it leads to is not what it must be.
    """
    return pointed_to(bring(store, subject.pointer), store, subject, trust)


def pointed_to(data: bytes, store: Store, subject: Subject, trust: Trust) -> Promotion:
    """The promotion that a pointer's bytes lead to in a store, by a trusted signature."""
    where = f"{store.url}: {subject.pointer}"
    pointer = _json(data, "pointer", where)
    if pointer["pipeline"] != subject.pipeline:
        raise IntegrityError(f"the pointer is for another pipeline, {pointer['pipeline']!r}",
                             where=where, todo=CARRY_AGAIN)
    promotion = signed(store, subject, pointer["number"], trust)
    if promotion.id != pointer["id"]:
        raise IntegrityError(f"the pointer names {pointer['id']}, and its promotion "
                             f"{promotion.id}", where=where, todo=CARRY_AGAIN)
    return promotion


def signed(store: Store, subject: Subject, number: int, trust: Trust) -> Promotion:
    """The promotion of a number, once a trusted key has signed it."""
    return verified(store, subject, number, trust).promotion


@dataclass(frozen=True, kw_only=True)
class Verified:
    """A promotion with its bytes, and the fingerprint of the trusted key that has signed them."""

    promotion: Promotion
    data: bytes
    key: str


def verified(store: Store, subject: Subject, number: int, trust: Trust) -> Verified:
    """The promotion of a number and who has signed it; IntegrityError where no trusted key has."""
    key = subject.key(number)
    where = f"{store.url}: {key}"
    try:
        data, seal = bring(store, key), bring(store, f"{key}.sig")
    except StoreError as error:
        raise IntegrityError(f"the promotion that the pointer names is missing: {error.what}",
                             where=where, todo=CARRY_AGAIN) from error
    signed_by = trust.verify(data, seal, namespace=signature.PROMOTION, subject=subject,
                             where=where)
    promotion = _promotion(_json(data, "promotion", where))
    if (promotion.pipeline, promotion.number) != (subject.pipeline, number):
        raise IntegrityError(f"this is promotion {promotion.number} of "
                             f"{promotion.pipeline or 'the tool'}", where=where, todo=CARRY_AGAIN)
    if trust.approvers:
        _see_approved(store, promotion, data, trust, signed_by)
    return Verified(promotion=promotion, data=data, key=signed_by)


def _see_approved(store: Store, promotion: Promotion, data: bytes, trust: Trust,
                  signed_by: str) -> None:
    subject = promotion.subject
    key = subject.approval(promotion.number)
    where = f"{store.url}: {key}"
    try:
        approval = bring(store, key)
    except StoreError as error:
        verb = f"release:approve:{subject.pipeline}" if subject.pipeline else "tool:approve"
        raise IntegrityError(
            f"{promotion.id} was not approved by a second person, which the trust folder asks for",
            where=where, todo=f"one of {', '.join(trust.approvers)} types `doit {verb}` on the "
                              "online side; then carry it again") from error
    approvals.verify(data, approval, allowed=trust.allowed, approvers=trust.approvers,
                     pipeline=subject.pipeline, signed_by=signed_by, where=where,
                     known_as=trust.known_as)


def naming(store: Store, subject: Subject, name: str, trust: Trust) -> Promotion | None:
    """The newest promotion that names an id and has a trusted signature, or None."""
    for number in numbers(store, subject)[:MAX_READ]:
        try:
            promotion = signed(store, subject, number, trust)
        except IntegrityError:
            continue
        if promotion.id == name:
            return promotion
    return None


def _json(data: bytes, schema: str, where: str) -> Mapping[str, Any]:
    try:
        value: Mapping[str, Any] = from_bytes(data, schema, where=where)
    except ConfigError as error:
        raise IntegrityError(f"this is no {schema}: {error.what}", where=where,
                             todo="push again, or name a release: release=ID") from error
    return value


def _promotion(value: Mapping[str, Any]) -> Promotion:
    fields = {key: content for key, content in value.items() if key != "kind"}
    return Promotion(**{**fields, "withdrawn": tuple(
        Withdrawn(**entry) for entry in fields.get("withdrawn", ()))})
