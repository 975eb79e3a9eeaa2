"""Whether a host may take what is promoted: it isn't over, and goes back only by a signed word.

It must follow what this host has seen, link by link. An administrator can ask for a minimum in the
trust folder, for hosts that have seen nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from tasks.core import ownership
from tasks.core.errors import IntegrityError, OldToolError, StoreError
from tasks.core.schema import read_json
from tasks.core.store.interface import Store
from tasks.core.trust import approvals, links, promotions
from tasks.core.trust.promotions import CARRY_AGAIN, Promotion, Subject, Trust
from tasks.offline_host import memory

ASK = "ask those who push, and show them this"


@dataclass(frozen=True, kw_only=True)
class Host:
    """What a host knows by itself: the administrator's trust folder, and what it has seen."""

    trust: Path
    identity: str
    seen: Path

    @property
    def signers(self) -> Trust:
        return Trust(allowed=self.trust / "allowed_signers", identity=self.identity,
                     approvers=approvals.needed(self.trust))


def state_folder(site: str, environment: Mapping[str, str]) -> Path:
    """Return where what was seen is kept: $XDG_STATE_HOME, else ~/.local/state (XDG's rule)."""
    home = environment.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()
    return Path(home) / "airlock" / site


def current(store: Store, host: Host, pipeline: str) -> Promotion:
    """The promoted release, if this host may take it; nothing is noted yet."""
    promotion = newest(store, host, pipeline)
    _refuse_over(promotion, store)
    _refuse_below(promotion, minimum(host, promotion.subject), host, store)
    return promotion


def newest(store: Store, host: Host, pipeline: str) -> Promotion:
    """The newest promotion that the store shows, whether it is over or not.

    IntegrityError where it is older than what this host has seen, or doesn't follow that.
    """
    subject = Subject(pipeline=pipeline)
    promotion = promotions.current(store, subject, host.signers)
    seen = memory.seen(host.seen, subject)
    if promotion.number < seen.number:
        raise IntegrityError(
            f"the store shows {promotion.id}, promoted as number {promotion.number}, and this "
            f"host has seen number {seen.number}: it is older",
            where=f"{store.url}: {subject.pointer}",
            todo=f"ask those who pushed it; if you want to go back, say so: "
                 f"release={promotion.id}")
    _refuse_other_chain(store, promotion, seen)
    _refuse_forgotten(store, promotion, memory.withdrawn(host.seen, pipeline))
    return promotion


def _refuse_other_chain(store: Store, promotion: Promotion, seen: memory.Seen) -> None:
    """IntegrityError where a promotion doesn't lead back to the one that this host has seen."""
    if seen.sha256 is None:
        return
    link: Promotion | None = promotion
    last = promotion
    chain = links.back(store, promotion)
    while link is not None and link.number > seen.number:
        last = link
        if link.predecessor is None and seen.linked:
            raise IntegrityError(
                f"promotion {link.number} names none before it, and number {seen.number}, which "
                "this host has seen, did",
                where=f"{store.url}: {link.subject.key(link.number)}",
                todo=f"it was signed by an older tool, or for another store: {ASK}")
        link = next(chain, None)
    if link is None and last.predecessor is not None:
        raise IntegrityError(
            f"more than {links.MAX_LINKS} promotions came after number {seen.number}, which this "
            "host has seen", where=f"{store.url}: {promotion.subject.place}/promotions",
            todo=f"name the release that is wanted: release={promotion.id}; and {ASK}")
    if link is not None and (link.number, link.sha256) != (seen.number, seen.sha256):
        raise IntegrityError(
            f"promotion {promotion.number} follows another number {seen.number} than this host has "
            "seen: two were signed after the same one",
            where=f"{store.url}: {promotion.subject.key(link.number)}",
            todo=f"one of the two stores that they went to must give way: {ASK}")


def _refuse_forgotten(store: Store, promotion: Promotion, withdrawn: Mapping[str, str]) -> None:
    """IntegrityError where what this host knows to be withdrawn no longer is."""
    gone = sorted(withdrawn.keys() - {entry.id for entry in promotion.withdrawn})
    if gone:
        raise IntegrityError(
            f"promotion {promotion.number} no longer says that {', '.join(gone)} was withdrawn, "
            "and one that this host has seen did",
            where=f"{store.url}: {promotion.subject.key(promotion.number)}", todo=CARRY_AGAIN)


def asked(store: Store, host: Host, pipeline: str, name: str) -> Promotion | None:
    """The newest promotion of a release that was asked for by its id, or None.

    IntegrityError where it is below the administrator's minimum. A store that lists nothing is
    only a fault where there is a minimum.
    """
    subject = Subject(pipeline=pipeline)
    least = minimum(host, subject)
    try:
        promotion = promotions.naming(store, subject, name, host.signers)
    except StoreError:
        if least or host.signers.approvers:
            raise
        return None
    if least:
        _refuse_below(promotion, least, host, store)
    approvals.refuse_none(promotion, host.signers.approvers, name, store.url)
    return promotion


def check_tool(store: Store, host: Host, own: Path, *, asked: bool) -> tuple[Promotion | None, str]:
    """Refuse a tool that is older than what this host has run; its promotion, and a notice.

    `own` is tool.json; where there is none this is a checkout, which its user brought here.
    `asked` says that the user named this very tool, so it may be an older one.
    """
    subject = Subject(pipeline=None)
    if not own.is_file():
        return None, ""
    name = read_json(own, "tool")["id"]
    if asked:
        promotion = promotions.naming(store, subject, name, host.signers)
        if least := minimum(host, subject):
            _refuse_below(promotion, least, host, store)
        approvals.refuse_none(promotion, host.signers.approvers, name, store.url)
        return promotion, ""
    newest = _newest_tool(store, subject, host)
    promotion = (newest if newest.id == name
                 else promotions.naming(store, subject, name, host.signers))
    seen = memory.seen(host.seen, subject)
    if promotion is None or promotion.number < seen.number:
        raise IntegrityError(
            f"this tool, {name}, is older than one that this host has run" if promotion else
            f"this tool, {name}, was never the current one of this store", where=own,
            todo=f"copy tool/{newest.id} out of the store; if you mean this one, say so: "
                 f"tool={name}")
    _refuse_below(promotion, minimum(host, subject), host, store)
    notice = "" if newest.id == name else f"a newer tool is in the store: tool/{newest.id}/"
    return promotion, notice


def naming_newer_tool(error: OldToolError, store: Store, host: Host, own: Path) -> OldToolError:
    """The error of a tool that is too old for a release, with the one to take instead.

    That of a checkout, which is none of the store's, and of a store without a tool stays general.
    """
    todo = error.todo
    with suppress(IntegrityError, StoreError):
        newest = promotions.current(store, Subject(pipeline=None), host.signers)
        if own.is_file() and newest.id == read_json(own, "tool")["id"]:
            todo = ("this is the newest tool of the store: have the one that made the release "
                    "carried, by `./doit push:tool` on the online side")
        elif own.is_file():
            todo = (f"copy tool/{newest.id}/ out of the store into an empty folder, as you did "
                    f"with this one, and go on there: ./doit tool={newest.id} …")
    return OldToolError(error.what, where=error.where, todo=todo)


def note(host: Host, promotion: Promotion | None) -> None:
    """Remember a promotion whose release is in place, or whose tool has run."""
    memory.note(host.seen, promotion)


def minimum(host: Host, subject: Subject) -> int:
    """The lowest number that the administrator allows; 0 where none is set."""
    path = host.trust / "minimum.json"
    ownership.refuse_writable_by_others(path)
    if not path.exists():
        return 0
    value = read_json(path, "minimum")
    least = value.get("pipelines", {}).get(subject.pipeline) if subject.pipeline else (
        value.get("tool"))
    return int(least or 0)


def _newest_tool(store: Store, subject: Subject, host: Host) -> Promotion:
    try:
        newest = promotions.current(store, subject, host.signers)
    except StoreError as error:
        raise IntegrityError(f"the store doesn't say which tool is the current one: {error.what}",
                             where=f"{store.url}: {subject.pointer}",
                             todo="carry the whole store (`push:tool` writes it), or name the "
                                  "tool that you mean: tool=ID") from error
    _refuse_over(newest, store)
    return newest


def _refuse_over(promotion: Promotion, store: Store) -> None:
    now = datetime.now(timezone.utc)
    if promotion.is_over(now):
        subject = promotion.subject
        way = f", or name it: release={promotion.id}" if subject.pipeline else (
            f", or name it: tool={promotion.id}")
        raise IntegrityError(
            f"the promotion of {promotion.id} ended at {promotion.expires}, and it is "
            f"{now.strftime(promotions.TIME_FORMAT)} here: a newer one may be kept from this host",
            where=f"{store.url}: {subject.key(promotion.number)}",
            todo=f"see that this clock is right; have it pushed again on the online side{way}")


def _refuse_below(promotion: Promotion | None, least: int, host: Host, store: Store) -> None:
    number = promotion.number if promotion else 0
    if number < least:
        raise IntegrityError(
            f"{promotion.id} was promoted as number {number}" if promotion else
            "no trusted promotion names it", where=store.url,
            todo=f"the administrator asks for number {least} at least, in "
                 f"{host.trust / 'minimum.json'}")
