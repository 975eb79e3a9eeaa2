"""`release:back` and `release:withdraw`: the next promotion, which takes a release back.

Both only sign what offline hosts then read: no file of the store is changed or removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass

from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.settings import Signing
from tasks.core.errors import ConfigError, IntegrityError, StoreError, shown
from tasks.core.nearest import hint
from tasks.core.paths import PipelinePaths
from tasks.core.trust import links, promotions
from tasks.core.trust.promotions import MAX_READ, Promotion, Subject, Withdrawn
from tasks.release import chain, promote, stored
from tasks.release.chain import Chain


@dataclass(frozen=True, kw_only=True)
class BackSpec:
    """Which pipeline goes back, to which release, why; `to` is None for the one before.

    `after` is the promotion that it may follow though this checkout hasn't looked at it.
    """

    pipeline: str
    layout: PipelinePaths
    store: StoreAt
    signing: Signing
    to: str | None
    reason: str | None
    after: int | str | None


@dataclass(frozen=True, kw_only=True)
class WithdrawSpec:
    """Which release of a pipeline no host may run any more, and why."""

    pipeline: str
    layout: PipelinePaths
    store: StoreAt
    signing: Signing
    id: str | None
    reason: str | None


def go_back(spec: BackSpec) -> str:
    """Make an older release the current one again, by a promotion that says why."""
    reason = _reason(spec.reason, f"release:back:{spec.pipeline}")
    with _opened(spec, spec.after) as here:
        newest, past = _history(here)
        _refuse_unseen(here, newest, spec.after)
        to = spec.to or _before(here, newest, past)
        _refuse_unfit(here, newest, past, to)
        _see_whole(here, to)
        print(shown(f"{spec.pipeline} goes back from {newest.id} (promotion {newest.number} of "
                    f"{newest.signed})\n  to {to}, since: {reason}"), flush=True)
        done = _append(here, newest, past, to, back=reason)
    return _in_words(here, done,
                     f"{to} is the current release again in {spec.store.url}: promotion "
                     f"{done.number}, after {newest.id}")


def withdraw(spec: WithdrawSpec) -> str:
    """Say of a release that nothing may run it any more; the current one makes way for another.

    Where there is no other, it stays the one that is named, which no host runs.
    """
    reason = _reason(spec.reason, f"release:withdraw:{spec.pipeline} id={spec.id or 'ID'}")
    if spec.id is None:
        raise ConfigError("which release is withdrawn isn't said", where="release:withdraw",
                          todo=f"`doit release:list:{spec.pipeline}` shows them; then "
                               f"`doit release:withdraw:{spec.pipeline} id=ID reason=REASON`")
    entry = Withdrawn(id=spec.id, reason=reason)
    with _opened(spec) as here:
        newest, past = _history(here)
        given = next((known.reason for known in newest.withdrawn if known.id == entry.id), None)
        if given is not None:
            return f"{entry.id} was withdrawn already: {given}"
        _refuse_unknown(here, [newest, *past], entry.id)
        to = newest.id if newest.id != entry.id else _left(here, newest, past)
        print(shown(f"{entry.id} of {spec.pipeline} is withdrawn, since: {reason}\n"
                    f"  {_outcome(newest, entry.id, to)}"), flush=True)
        done = _append(here, newest, past, to, withdrawing=entry,
                       back=reason if to != newest.id else newest.back)
    return _in_words(here, done,
                     f"{entry.id} is withdrawn in {spec.store.url}: promotion "
                     f"{done.number}, which names {done.id}")


def _outcome(newest: Promotion, name: str, to: str) -> str:
    if newest.id != name:
        return f"the current one stays {newest.id}"
    if to == name:
        return ("it is the current one, and no other is left: offline hosts run none until "
                "another is promoted")
    return f"it is the current one; offline hosts go back to {to}"


def _reason(reason: str | None, typed: str) -> str:
    if not reason:
        raise ConfigError("no reason is given, and all who fetch are told one", where=typed,
                          todo=f"`doit {typed} reason=\"WHY\"`")
    return reason


def _opened(spec: BackSpec | WithdrawSpec,
            after: int | str | None = None) -> AbstractContextManager[Chain]:
    at = spec.layout
    return promote.opened(Subject(pipeline=spec.pipeline), spec.store, spec.signing, at.promoted,
                          at.of_site.trusted, after)


def _history(here: Chain) -> tuple[Promotion, list[Promotion]]:
    """The newest promotion, and all before it, the newest first."""
    newest = chain.tip(here).promotion
    if newest is None:
        raise StoreError("nothing was promoted yet", where=here.store.url,
                         todo=f"`doit release:promote:{here.subject.pipeline}` does that")
    past = list(links.back(here.store, newest))
    oldest = past[-1] if past else newest
    return newest, past + (_of_before(here, oldest.number) if oldest.number > 1 else [])


def _of_before(here: Chain, number: int) -> list[Promotion]:
    """Promotions under lower numbers, of before they named each other: by signatures alone."""
    earlier = []
    for lower in range(number - 1, max(0, number - 1 - MAX_READ), -1):
        with suppress(IntegrityError):
            earlier.append(promotions.signed(here.store, here.subject, lower, here.trust))
    return earlier


def _refuse_unseen(here: Chain, newest: Promotion, after: int | str | None) -> None:
    """StoreError where this checkout would go back from what it has never looked at."""
    if chain.is_known(here, newest) if after is None else newest.is_named(after):
        return
    raise StoreError(
        f"the newest promotion is number {newest.number}, {newest.id} of {newest.signed}, and "
        + (f"after={after} names another" if after else "this checkout has not looked at it"),
        where=f"{here.store.url}: {here.subject.pointer}",
        todo=f"`doit release:list:{here.subject.pipeline}` shows what was promoted; "
             f"after={newest.number} says that it is the one to go back from")


def _before(here: Chain, newest: Promotion, past: Sequence[Promotion]) -> str:
    """The release before the current one, the first time that this was promoted."""
    to = _left(here, newest, past)
    if to == newest.id:
        raise StoreError(f"there is no release before {newest.id} to go back to",
                         where=here.store.url,
                         todo=f"`doit release:list:{here.subject.pipeline}` shows all; name one: "
                              "to=ID")
    return to


def _left(here: Chain, newest: Promotion, past: Sequence[Promotion]) -> str:
    """The newest release before the current one that is whole and not withdrawn; else that one.

    Before means: before it was promoted first. So a second step back goes further back, and not
    to where the first one left.
    """
    first = min(link.number for link in (newest, *past) if link.id == newest.id)
    withdrawn = {entry.id for entry in newest.withdrawn}
    for name in dict.fromkeys(link.id for link in past if link.number < first):
        if name not in withdrawn and _is_whole(here, name):
            return name
    return newest.id


def _is_whole(here: Chain, name: str) -> bool:
    try:
        return not stored.missing(here.store, stored.read(here, name))
    except (IntegrityError, StoreError):
        return False


def _refuse_unfit(here: Chain, newest: Promotion, past: Sequence[Promotion], to: str) -> None:
    """An error where one can't go back to a release: it never was current, is it, or withdrawn."""
    pipeline = here.subject.pipeline
    if to == newest.id:
        raise ConfigError(f"{to} is the current release already", where="to=ID",
                          todo=f"`doit release:list:{pipeline}` shows the others")
    known = list(dict.fromkeys(link.id for link in past))
    if to not in known:
        raise StoreError(f"{to} never was the current release{hint(to, known)}", where="to=ID",
                         todo=f"those that were: {', '.join(known) or 'none'}; "
                              f"`doit release:promote:{pipeline}` promotes a new one")
    chain.refuse_withdrawn(here, to, newest.withdrawn)


def _refuse_unknown(here: Chain, past: Sequence[Promotion], name: str) -> None:
    known = sorted({*stored.ids(here), *(link.id for link in past)})
    if name not in known:
        raise StoreError(f"the store holds no release {name!r}{hint(name, known)}",
                         where=f"{here.store.url}: {here.subject.place}",
                         todo=f"known: {', '.join(known) or 'none'}")


def _see_whole(here: Chain, name: str) -> None:
    """IntegrityError where hosts couldn't fetch it: its list isn't signed, or files are gone."""
    release = stored.read(here, name)
    gone = stored.missing(here.store, release)
    if gone:
        raise IntegrityError(f"the store lacks {len(gone)} of its {len(release.digests)} files: "
                             f"{', '.join(gone[:5])}", where=f"{here.store.url}: {name}",
                             todo="push it again from a checkout that makes it, or name another")


def _append(here: Chain, newest: Promotion, past: Sequence[Promotion], to: str, *,
            back: str | None, withdrawing: Withdrawn | None = None) -> Promotion:
    """Sign what follows; how `to` was tried, and that it wasn't, stays as it was promoted last."""
    last = next(link for link in (newest, *past) if link.id == to)
    return chain.append(here, to, after=newest, back=back, withdrawing=withdrawing,
                        proof=last.proof, unproven=last.unproven)


def _in_words(here: Chain, done: Promotion, text: str) -> str:
    if here.signing.approvers:
        return (f"{done.id} is proposed as promotion {done.number}; nothing changes before one of "
                f"{', '.join(here.signing.approvers)} approves it:\n"
                f"AIRLOCK_SIGNING_KEY=THEIR_KEY ./doit release:approve:{done.pipeline}")
    return f"{text}\noffline hosts take it at their next prod:fetch"
