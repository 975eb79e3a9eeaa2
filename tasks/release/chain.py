"""The chain of promotions in a store: its newest link, and the next one, signed and appended.

A link is written under a number that was free, then signed, then the pointer is moved by
compare-and-swap. Killed in between, it leaves a link that nothing points to: without a signature it
counts for nothing and its number stays unused; with one, the next to append goes on from it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

from tasks.core import files
from tasks.core.config.settings import Signing
from tasks.core.errors import IntegrityError, StoreError
from tasks.core.store.interface import MAX_SMALL, Store, bring, content
from tasks.core.trust import links, promotions, signature
from tasks.core.trust.promotions import MAX_READ, Promotion, Subject, Trust, Withdrawn


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A subject's promotions in a store, who is believed on this side, and what it saw last.

    `memory` is a file: the newest promotion that this side has looked at or made. `named` is the
    SHA-256 of the promotion that the user goes on from where what is current can't be believed:
    its key is trusted no more, and somebody else may have it.
    """

    store: Store
    subject: Subject
    signing: Signing
    trust: Trust
    memory: Path
    named: str | None = None


@dataclass(frozen=True, kw_only=True)
class Tip:
    """The newest link, None where there is none; the pointer's bytes; the numbers in use."""

    promotion: Promotion | None
    pointer: bytes | None
    used: Collection[int]


@contextmanager
def trusted(signing: Signing, signers: Path) -> Iterator[Trust]:
    """Whom this side believes: its own key, its colleagues', and those that `signers` names.

    That file is the allowed_signers of the site's trust folder, where one was laid ready.
    """
    lines = signers.read_text() if signers.is_file() else ""
    lines += signature.lines_for(signing.identity, signing.colleagues, signing.approvers)
    if signing.public.is_file() or signing.key.is_file():
        lines += signature.allowed_line(signing.identity, signature.public_key(signing.key))
    with TemporaryDirectory() as scratch:
        allowed = Path(scratch) / "allowed_signers"
        files.write_text(allowed, lines)
        yield Trust(allowed=allowed, identity=signing.identity, known_as="the site's file")


def tip(chain: Chain) -> Tip:
    """The newest link, by trusted signatures alone.

    IntegrityError where the pointer leads to none, or where the store has gone back behind what
    this side has seen.
    """
    pointer = content(chain.store, chain.subject.pointer, most=MAX_SMALL)
    newest = _current(chain, pointer)
    used = promotions.numbers(chain.store, chain.subject)
    if newest is not None:
        links.before(chain.store, newest)  # an error where it is missing, or has changed
    above = sorted(number for number in used if newest is None or number > newest.number)
    for number in above[:MAX_READ]:
        try:
            link = promotions.signed(chain.store, chain.subject, number, chain.trust)
        except IntegrityError:
            continue
        if link.predecessor == (newest.sha256 if newest else None):
            newest = link
    _refuse_gone_back(chain, newest)
    return Tip(promotion=newest, pointer=pointer, used=frozenset(used))


def _current(chain: Chain, pointer: bytes | None) -> Promotion | None:
    """What the pointer leads to, by a trusted key, or as it was when its key was trusted here.

    Else what the user has named by its digest: then it is nobody's word but theirs.
    """
    try:
        if pointer is not None:
            return promotions.pointed_to(pointer, chain.store, chain.subject, chain.trust)
    except IntegrityError as error:
        if chain.named:
            return links.of_digest(chain.store, chain.subject, chain.named)
        known = remembered(chain)
        if known and known.pointer() == pointer and bring(
                chain.store, chain.subject.key(known.number)) == known.data():
            return known
        raise IntegrityError(
            f"what is current can't be believed here: {error.what}", where=error.where,
            todo="if a colleague signed it, put their public key under signing.colleagues in the "
                 f"site's file; if its key is trusted no more, {_way_on(known)} "
                 f"(docs/runbooks/leaked-key.md); else: {error.todo}") from error
    return links.of_digest(chain.store, chain.subject, chain.named) if chain.named else None


def _way_on(known: Promotion | None) -> str:
    """What to type where the key of what is current has made way for another."""
    if known is None:
        return "after=SHA256 goes on from the promotion that an offline host has seen"
    return (f"after={known.sha256} goes on from number {known.number}, {known.id}, the last that "
            "this checkout has looked at")


def is_known(chain: Chain, promotion: Promotion) -> bool:
    """Whether this side has looked at a promotion, or signed it before it was killed."""
    return promotion in (remembered(chain), promotions.read(_begun(chain)))


def _begun(chain: Chain) -> Path:
    """What this side signed last, whether or not it arrived."""
    return chain.memory.with_name(f"{chain.memory.stem}.signed.json")


def remembered(chain: Chain) -> Promotion | None:
    """The newest promotion that this side has looked at or made; None where it knows of none."""
    return promotions.read(chain.memory)


def remember(chain: Chain, promotion: Promotion | None) -> None:
    """Note that this side has looked at a promotion."""
    if promotion is not None:
        files.write_bytes(chain.memory, promotion.data())


def signer(signing: Signing, key: str) -> str | None:
    """The name of the colleague whose key has this fingerprint, by the site's file."""
    return next((name for name, public in signing.colleagues.items()
                 if signature.fingerprint(public) == key), None)


def append(chain: Chain, name: str, *, after: Promotion | None, proof: str | None = None,
           unproven: str | None = None, back: str | None = None,
           withdrawing: Withdrawn | None = None) -> Promotion:
    """Make `name` the current one by the promotion that follows `after`, and return that.

    `after` is what the caller has looked at as the newest; StoreError where the store holds a newer
    one, Overtaken where it gets that meanwhile. What was withdrawn so far stays withdrawn.
    """
    at = tip(chain)
    before = after.withdrawn if after else ()
    wanted = dataclasses.replace(
        promotions.plan(chain.subject, name, before=_free(after, at.used) - 1,
                        valid=chain.signing.valid, now=datetime.now(timezone.utc),
                        unproven=unproven),
        predecessor=after.sha256 if after else None, proof=proof, back=back,
        withdrawn=(*before, *((withdrawing,) if withdrawing else ())))
    if withdrawing is None:
        refuse_withdrawn(chain, name, before)
    if at.promotion is not None and _follows(at.promotion, wanted):  # left by a killed one
        wanted = at.promotion
    elif at.promotion != after:
        raise unseen(chain, at.promotion, after)
    else:
        _write(chain, wanted)
    if not chain.signing.approvers:  # else `approve` moves the pointer
        point(chain, wanted, at.pointer)
    remember(chain, wanted)
    return wanted


def unseen(chain: Chain, newest: Promotion | None, after: Promotion | None) -> StoreError:
    """The error to raise where the store holds a newer promotion than this side has looked at."""
    name = chain.subject.pipeline
    look = f"`doit release:list:{name}`" if name else f"{chain.store.url}/{chain.subject.place}"
    return StoreError(
        f"the newest in the store is {_shown(newest)}, and the newest that this side has looked at "
        f"is {_shown(after)}", where=f"{chain.store.url}: {chain.subject.pointer}",
        todo=f"look at what was promoted meanwhile: {look}; then run the same command again")


def _shown(promotion: Promotion | None) -> str:
    return (f"{promotion.id}, promotion {promotion.number} of {promotion.signed}" if promotion
            else "none")


def _follows(link: Promotion, wanted: Promotion) -> bool:
    """Whether a link that is there says what is wanted; its proof may be an earlier one."""
    return link == dataclasses.replace(wanted, number=link.number, signed=link.signed,
                                       expires=link.expires, proof=link.proof)


def _free(after: Promotion | None, used: Collection[int]) -> int:
    number = after.number + 1 if after else 1
    while number in used:
        number += 1
    return number


def _refuse_gone_back(chain: Chain, newest: Promotion | None) -> None:
    known = remembered(chain)
    if known is None or (newest is not None and newest.number >= known.number):
        return
    raise IntegrityError(
        f"the newest in the store is {_shown(newest)}, and this side has seen {_shown(known)}: the "
        "store has gone back", where=f"{chain.store.url}: {chain.subject.pointer}",
        todo="find out who changed it, and restore it: hosts that have seen the newer one take "
             f"nothing older. If it is another store than before, remove {chain.memory}")


def refuse_withdrawn(chain: Chain, name: str, withdrawn: Sequence[Withdrawn]) -> None:
    """IntegrityError where a release is among those that were withdrawn."""
    entry = next((entry for entry in withdrawn if entry.id == name), None)
    if entry is not None:
        raise IntegrityError(
            f"{name} was withdrawn, and can't become the current one again: {entry.reason}",
            where=f"{chain.store.url}: {chain.subject.place}",
            todo="mend it: a release with other content has another id")


def _write(chain: Chain, promotion: Promotion) -> None:
    """Bring a promotion under a number that nobody has taken meanwhile, then its signature."""
    signature.ready(chain.signing.key, create=chain.signing.create,
                    identity=chain.signing.identity)
    key, data = chain.subject.key(promotion.number), promotion.data()
    seal = signature.sign(chain.signing.key, data, namespace=signature.PROMOTION)
    files.write_bytes(_begun(chain), data)
    chain.store.replace(key, data, None)
    chain.store.put_bytes(f"{key}.sig", seal)
    for name, sent in ((key, data), (f"{key}.sig", seal)):
        _see_held(chain.store, name, sent)


def point(chain: Chain, promotion: Promotion, before: bytes | None) -> None:
    """Move the pointer, and read it back; by then somebody may have gone on from there.

    A store that replaces without looking could lose a promotion so: then it isn't among those
    before the one that is current.
    """
    data = promotion.pointer()
    if before != data:
        chain.store.replace(chain.subject.pointer, data, before)
    held: Promotion | None = promotions.current(chain.store, chain.subject, chain.trust)
    while held is not None and held.number > promotion.number:
        held = links.before(chain.store, held)
    if held != promotion:
        raise _lost(f"{chain.store.url}: {chain.subject.pointer}")


def _see_held(store: Store, key: str, sent: bytes) -> None:
    if bring(store, key) != sent:
        raise _lost(f"{store.url}: {key}")


def _lost(where: str) -> StoreError:
    return StoreError("the store does not hold what was sent", where=where,
                      todo="look at what is there now, and at who else writes there; then run the "
                           "same command again")
