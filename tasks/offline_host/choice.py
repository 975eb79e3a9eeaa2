"""Which release a fetch brings: the one that is asked for, held at, or current; and what it says.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from tasks.core.errors import ConfigError, IntegrityError, StoreAwayError, StoreError, shown
from tasks.core.store.interface import Store
from tasks.core.trust.promotions import Promotion
from tasks.offline_host import freshness, memory
from tasks.offline_host.freshness import Host
from tasks.offline_host.store_memory import in_chain

logger = logging.getLogger(__name__)

NONE_LEFT = ("no other release has taken its place yet: ask those who withdrew it for the next, or "
             "name one of before: release=ID")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was typed for a pipeline, and the id of the release that is in place.

    `hold` says that later calls stay at `release`, or (False) that they don't any more.
    """

    pipeline: str
    release: str | None
    hold: bool | None
    in_place: str | None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The release to fetch, the promotion that names it, if one does, and whether it is current."""

    id: str
    promotion: Promotion | None
    is_current: bool = False


def choose(store: Store, host: Host, asked: Asked) -> Choice:
    """Which release to fetch.

    What the store says was withdrawn is noted, also where the fetch fails later; IntegrityError
    where that is the one to fetch.
    """
    if asked.hold and not asked.release:
        place = asked.in_place or "ID"
        raise ConfigError("hold=1 says nothing of the release to stay at", where="hold=1",
                          todo=f"name it: release={place} hold=1")
    if asked.hold is False:
        memory.let_go(host.seen, asked.pipeline)
    held = memory.held(host.seen, asked.pipeline)
    if asked.release:
        return _named(store, host, asked, asked.release)
    if held:
        return _held(store, host, asked, held)
    promotion = freshness.current(store, host, asked.pipeline)
    _note_withdrawn(host, promotion, asked)
    memory.refuse_withdrawn(host.seen, asked.pipeline, promotion.id, NONE_LEFT)
    _tell_unproven(promotion)
    _tell_move(promotion, asked)
    return Choice(id=promotion.id, promotion=promotion, is_current=True)


def _named(store: Store, host: Host, asked: Asked, name: str) -> Choice:
    _learn_withdrawn(store, host, asked)
    memory.refuse_withdrawn(host.seen, asked.pipeline, name)
    return _by_id(store, host, asked.pipeline, name)


def _held(store: Store, host: Host, asked: Asked, held: memory.Held) -> Choice:
    newest = _learn_withdrawn(store, host, asked)
    memory.refuse_withdrawn(
        host.seen, asked.pipeline, held.id,
        f"this host is held at it since {held.since}; hold=0 goes on to the current one")
    current = (f"the current one is {newest.id}, promotion {newest.number} of {newest.signed}"
               if newest else "which one is current can't be told")
    logger.warning("HELD: this host stays at %s since %s, by hold=1; %s; hold=0 ends that",
                   held.id, held.since, current)
    return _by_id(store, host, asked.pipeline, held.id)


def _by_id(store: Store, host: Host, pipeline: str, name: str) -> Choice:
    promotion = freshness.asked(store, host, pipeline, name)
    _tell_unproven(promotion)
    return Choice(id=name, promotion=promotion)


def _learn_withdrawn(store: Store, host: Host, asked: Asked) -> Promotion | None:
    """Note what was withdrawn; the newest promotion, or None where the store shows none to trust.

    Who names a release gets it from a store without a pointer too, or with a broken one.
    """
    try:
        newest = freshness.newest(store, host, asked.pipeline)
    except StoreAwayError:  # what is remembered of the store is asked instead
        raise
    except (IntegrityError, StoreError) as error:
        if in_chain(error, StoreAwayError):  # then what is remembered says it
            raise
        logger.warning("what was withdrawn since this host's last fetch isn't known: %s",
                       shown(error.what))
        return None
    _note_withdrawn(host, newest, asked)
    return newest


def _note_withdrawn(host: Host, promotion: Promotion, asked: Asked) -> None:
    """Note what was withdrawn, and say it once; a fresh host has run none of it."""
    learned = memory.note_withdrawn(host.seen, promotion)
    if asked.in_place:
        for name, reason in learned.items():
            logger.warning("WITHDRAWN: %s is not run any more; the reason given: %s", name,
                           shown(reason))


def _tell_unproven(promotion: Promotion | None) -> None:
    if promotion and promotion.unproven:
        logger.warning("NOT PROVEN: %s was made the current release without a validation and a "
                       "smoke run; the reason given: %s", promotion.id, shown(promotion.unproven))


def _tell_move(promotion: Promotion, asked: Asked) -> None:
    """Say what a plain fetch leaves, and why the current release is an older one where it is."""
    named = f"promotion {promotion.number} of {promotion.signed}"
    if promotion.back:
        logger.warning("WENT BACK: %s is the current release again, by %s; the reason given: %s",
                       promotion.id, named, shown(promotion.back))
    if asked.in_place not in (None, promotion.id):
        logger.info("%s was in place; the current one, %s, takes its place, by %s", asked.in_place,
                    promotion.id, named)
