"""`release:promote`, and `push:tool`'s end: what was pushed becomes the current one.

Each run looks at the store. A promotion only follows one that this checkout has looked at or made,
or whose proof names a commit that this checkout stands on; else two people would undo each other's
work without a word (docs/decisions/promotion.md).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from itertools import islice
from pathlib import Path

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.settings import Signing
from tasks.core.errors import AirlockError, IntegrityError, StoreError
from tasks.core.paths import PipelinePaths
from tasks.core.schema import read_json
from tasks.core.store.interface import Overtaken, Stored, bring
from tasks.core.store.store import open_store
from tasks.core.trust import links, promotions, proofs, signature
from tasks.core.trust.promotions import MAX_READ, Promotion, Subject
from tasks.release import chain, checkout, proof, release_name
from tasks.release.chain import Chain, Tip
from tasks.release.proof import Tried
from tasks.release.push import write_receipt

logger = logging.getLogger(__name__)

SKEW = timedelta(minutes=5)
"""How far the clocks of two machines may differ without a word."""


@dataclass(frozen=True, kw_only=True)
class PromoteSpec:
    """A pipeline's release, and what it is promoted by.

    `no_smoke` is why there was no smoke run, where there was none. `unproven` is why it becomes
    current without proof, and `after` the promotion that it may follow unseen.
    """

    pipeline: str
    layout: PipelinePaths
    store: StoreAt
    signing: Signing
    no_smoke: str | None = None
    unproven: str | None = None
    after: int | str | None = None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What shall be the current one; `folder` is where its proof is written."""

    name: str
    folder: Path
    tried: Tried
    unproven: str | None = None
    after: int | str | None = None


@dataclass(frozen=True, kw_only=True)
class Done:
    """The newest promotion, whether it is current or waits for approval, and a line of it."""

    promotion: Promotion
    is_current: bool
    line: str

    def held(self, here: Chain) -> list[Stored]:
        """What the store holds of it, read back."""
        subject, promotion = here.subject, self.promotion
        keys = [subject.key(promotion.number), *([subject.pointer] if self.is_current else [])]
        keys += [f"{keys[0]}.sig"]
        if promotion.proof:
            document = proofs.place(subject, promotion.id, promotion.proof)
            keys += [document, f"{document}.sig"]
        return [Stored(key=key, size=len(data), sha256=files.sha256_bytes(data))
                for key in keys if (data := bring(here.store, key))]


def promote_release(spec: PromoteSpec) -> str:
    """Make the release that was pushed the current one, or propose it where others approve."""
    at = spec.layout
    unproven = spec.unproven
    wanted = Wanted(
        name=release_name.made(at), folder=at.release, unproven=unproven, after=spec.after,
        tried=Tried(validate=None if unproven else at.validate, no_smoke=unproven or spec.no_smoke,
                    smoke=None if unproven or spec.no_smoke else at.smoke))
    with opened(Subject(pipeline=spec.pipeline), spec.store, spec.signing, at.promoted,
                at.of_site.trusted, spec.after) as here:
        _refuse_absent(here, wanted.name)
        done = promote(here, wanted)
        write_receipt(at.push_receipt("promote"), "promote", spec.store, done.held(here))
    return done.line + (f"\non the offline host: ./doit role=prod site={at.site} "
                        f"pipeline={spec.pipeline}" if done.is_current else "")


def _refuse_absent(here: Chain, name: str) -> None:
    """StoreError where the release's list isn't in the store; under a lease, so it stays there."""
    key = f"{here.subject.place}/{name}/SHA256SUMS"
    if key not in here.store.sizes([key]):
        raise StoreError(f"{name} is not in the store: it was not pushed, or has been pruned",
                         where=f"{here.store.url}: {key}",
                         todo=f"./doit push:release:{here.subject.pipeline}, which sends what is "
                              "missing; then this again")


@contextmanager
def opened(subject: Subject, at: StoreAt, signing: Signing, memory: Path, signers: Path,
           after: int | str | None = None) -> Iterator[Chain]:
    """The chain of promotions in a store, with whom this side believes.

    `after` is as in `Wanted`.
    """
    signature.ready(signing.key, create=signing.create, identity=signing.identity)
    with chain.trusted(signing, signers) as trust:
        yield Chain(store=open_store(at), subject=subject, signing=signing, trust=trust,
                    memory=memory, named=after if isinstance(after, str) else None)


def promote(here: Chain, wanted: Wanted) -> Done:
    """Make something the current one, or propose it where others approve.

    Nothing is signed where it is the current one already, by a promotion that says the same and
    has more than half of its time left.
    """
    now = datetime.now(timezone.utc)
    tip = chain.tip(here)
    newest = tip.promotion
    if newest is not None and _says_the_same(here, newest, wanted, now):
        return _held(here, tip, newest)
    _tell_of_clocks(newest, now)
    _refuse_unseen(here, newest, wanted)
    _refuse_undoing(here, newest, wanted)
    described = proof.describe(here.subject, wanted.name, wanted.tried, here.signing, now,
                               unproven=wanted.unproven)
    digest = proof.push(here.store, wanted.folder, described, here.signing)
    try:
        promotion = chain.append(here, wanted.name, after=newest, proof=digest,
                                 unproven=wanted.unproven)
    except Overtaken as error:
        raise _unseen(here, chain.tip(here).promotion or newest, wanted) from error
    if here.signing.approvers:
        return _proposed(here, promotion)
    until = f", until {promotion.expires}" if promotion.expires else ""
    before = f", after {newest.id}" if newest and newest.id != wanted.name else ""
    why = f"; not proven: {wanted.unproven}" if wanted.unproven else ""
    return Done(promotion=promotion, is_current=True, line=(
        f"{wanted.name} is the current {_kind(here)} in {here.store.url}: promotion "
        f"{promotion.number}{until}{before}{why}"))


def _held(here: Chain, tip: Tip, newest: Promotion) -> Done:
    """Where the newest promotion says already what is wanted: the pointer may be left to move."""
    chain.remember(here, newest)
    if not _is_approved(here, newest):
        return _proposed(here, newest)
    if tip.pointer != newest.pointer():
        chain.point(here, newest, tip.pointer)
    return Done(promotion=newest, is_current=True, line=(
        f"{newest.id} is the current {_kind(here)} in {here.store.url} already: promotion "
        f"{newest.number} of {newest.signed}"))


def _is_approved(here: Chain, newest: Promotion) -> bool:
    """Whether it needs no approval, or has one."""
    if not here.signing.approvers:
        return True
    try:
        promotions.signed(here.store, here.subject, newest.number,
                          replace(here.trust, approvers=tuple(here.signing.approvers)))
    except IntegrityError:
        return False
    return True


def _says_the_same(here: Chain, newest: Promotion, wanted: Wanted, now: datetime) -> bool:
    if (newest.id, newest.unproven, newest.back) != (wanted.name, wanted.unproven, None):
        return False
    if wanted.after is not None or newest.proof is None:
        return False
    if (newest.expires is None) != (here.signing.valid is None):
        return False
    if newest.is_due(now) or (newest.expires and promotions.time(newest.signed) > now + SKEW):
        return False
    try:  # by a key that is trusted now, and not only when this side looked at it
        promotions.signed(here.store, here.subject, newest.number, here.trust)
    except IntegrityError:
        return False
    return True


def _refuse_unseen(here: Chain, newest: Promotion | None, wanted: Wanted) -> None:
    """StoreError where what is to be followed was neither looked at here, nor is in our commit."""
    if wanted.after is not None:
        if newest is None or not newest.is_named(wanted.after):
            raise _unseen(here, newest, wanted)
        return
    if newest is None or chain.is_known(here, newest):
        return
    theirs = proofs.of(here.store, newest)
    commit = theirs["checkout"]["commit"] if theirs and not theirs["checkout"]["dirty"] else None
    if newest.back:  # by the proof, and so by the commit, of when it was promoted first
        commit = None
    if commit is None or not checkout.of(here.subject.pipeline).follows(commit):
        raise _unseen(here, newest, wanted)


def _refuse_undoing(here: Chain, newest: Promotion | None, wanted: Wanted) -> None:
    """StoreError where another release has taken this one's place: going back has its own step.

    That gives a reason to all who fetch; after=NUMBER says without one that it is meant.
    """
    pipeline = here.subject.pipeline
    if newest is None or newest.id == wanted.name or wanted.after:
        return
    if all(link.id != wanted.name for link in islice(links.back(here.store, newest), MAX_READ)):
        return
    chain.refuse_withdrawn(here, wanted.name, newest.withdrawn)
    way = (f"`doit release:back:{pipeline} to={wanted.name} reason=WHY`" if pipeline else
           f"after={newest.number}")
    raise StoreError(
        f"{wanted.name} was the current {_kind(here)} before, and {newest.id} has taken its place, "
        f"by promotion {newest.number} of {newest.signed}"
        + (f": {newest.back}" if newest.back else ""),
        where=f"{here.store.url}: {here.subject.pointer}",
        todo=f"if this checkout is behind, `git pull` brings the newer configuration; if you mean "
             f"to go back, say so: {way}")


def _unseen(here: Chain, newest: Promotion | None, wanted: Wanted) -> StoreError:
    """The error that shows what is there, what was to follow it, and the ways on from there."""
    where = f"{here.store.url}: {here.subject.pointer}"
    if newest is None:
        return StoreError(f"there is no promotion {wanted.after} to follow: nothing was promoted",
                          where=where, todo="leave after= out")
    subject = here.subject.pipeline
    diff = f"`doit release:diff:{subject}` shows what differs; " if subject else ""
    return StoreError(
        f"{subject or 'the tool'}: the store holds a promotion that this checkout has not looked "
        f"at, so nothing was changed\n"
        f"  theirs  {newest.id}, promotion {newest.number} of {newest.signed}, "
        f"{_maker(here, newest)}{f'; it went back: {newest.back}' if newest.back else ''}\n"
        f"  yours   {wanted.name}, {checkout.of(subject)}", where=where,
        todo=f"`git pull` brings their configuration, once they have pushed it; {diff}"
             f"after={newest.number} says that yours is to follow theirs")


def _maker(here: Chain, newest: Promotion) -> str:
    theirs = proofs.of(here.store, newest)
    if theirs is None:
        return "without a proof"
    at = theirs["checkout"]
    commit = f"commit {at['commit'][:12]}" if at["commit"] else "no git commit"
    by = chain.signer(here.signing, theirs["key"]) or (
        f"{theirs['identity']}, key {theirs['key'][:15]}…")
    return f"by {by}, {commit}" + (" with changes that were not committed" if at["dirty"] else "")


def _tell_of_clocks(newest: Promotion | None, now: datetime) -> None:
    if newest is not None and promotions.time(newest.signed) > now + SKEW:
        logger.warning("promotion %d says that it was signed at %s, and it is %s here: one of the "
                       "two clocks is wrong; numbers decide what is newer, and offline hosts go by "
                       "their own clock", newest.number, newest.signed,
                       now.strftime(promotions.TIME_FORMAT))


def _proposed(here: Chain, promotion: Promotion) -> Done:
    verb = f"release:approve:{promotion.pipeline}" if promotion.pipeline else "tool:approve"
    names = ", ".join(here.signing.approvers)
    who = f"one of {names}" if len(here.signing.approvers) > 1 else names
    return Done(promotion=promotion, is_current=False, line=(
            f"{promotion.id} is in {here.store.url} and proposed as promotion {promotion.number}; "
            f"it is not the current {_kind(here)} before {who} approves it:\n"
            f"AIRLOCK_SIGNING_KEY=THEIR_KEY ./doit {verb}"))


def _kind(here: Chain) -> str:
    return "release" if here.subject.pipeline else "tool"


def left_behind(layout: PipelinePaths, failed: Sequence[str]) -> str | None:
    """What to say where a release was pushed, and isn't promoted since something failed."""
    pipeline = layout.pipeline
    try:
        name = release_name.made(layout)
        receipt = read_json(layout.push_receipt("release"), "push-receipt")
    except (AirlockError, OSError):
        return None
    last = promotions.read(layout.promoted)
    pushed = {held["key"] for held in receipt["objects"]}
    if f"releases/{pipeline}/{name}/SHA256SUMS" not in pushed or (last and last.id == name):
        return None
    stays = f"{last.id} stays the current one" if last else "nothing was promoted from here so far"
    return (f"{name} of {pipeline} is in {receipt['store']}, and not the current release, since "
            f"{' and '.join(failed)} did not end well; {stays}\n"
            f"  to do: mend that, then type the same command again; or do without proof, which all "
            f"who fetch it are told: ./doit release:promote:{pipeline} unproven=REASON")
