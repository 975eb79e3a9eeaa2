"""From a promotion back to the one before, by the digest that it names: the links of a chain.

Who trusts a promotion's signature trusts what it names by digest, so the links before need none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from tasks.core import files
from tasks.core.errors import IntegrityError, StoreError
from tasks.core.store.interface import Store, bring
from tasks.core.trust import promotions
from tasks.core.trust.promotions import CARRY_AGAIN, MAX_READ, Promotion, Subject

MAX_LINKS = 10_000
"""Promotions that are read at one go; two a week are 100 a year."""


def back(store: Store, newest: Promotion) -> Iterator[Promotion]:
    """The promotions before, the newest first, up to the first one or to one that names none.

    IntegrityError where the store lacks one; it ends after MAX_LINKS.
    """
    link = newest
    for _ in range(MAX_LINKS):
        earlier = before(store, link)
        if earlier is None:
            return
        yield earlier
        link = earlier


def before(store: Store, link: Promotion) -> Promotion | None:
    """The promotion that `link` follows, or None where it names none.

    Its number is the one before, unless that was never used: a push was killed there.
    """
    if link.predecessor is None:
        return None
    numbers = islice(range(link.number - 1, 0, -1), MAX_READ)
    data = _with_digest(store, link.subject, numbers, link.predecessor)
    if data is not None:
        return _parsed(data, link, f"{store.url}: {link.subject.place}/promotions")
    raise IntegrityError(
        f"the promotion before number {link.number} is missing, or has changed",
        where=f"{store.url}: {link.subject.key(link.number - 1)}", todo=CARRY_AGAIN)


def of_digest(store: Store, subject: Subject, sha256: str) -> Promotion:
    """The promotion of that SHA-256, whoever has signed it: who names its bytes vouches for them.

    IntegrityError where the store holds none.
    """
    numbers = islice(promotions.numbers(store, subject), MAX_LINKS)
    data = _with_digest(store, subject, numbers, sha256)
    promotion = promotions.parsed(data, store.url) if data is not None else None
    if promotion is None or promotion.subject != subject:
        raise IntegrityError(
            "the store holds no promotion of this SHA-256", where=f"{store.url}: {subject.place}/"
            f"promotions: after={sha256}", todo="see that it was typed right; if somebody removed "
            "it there, bring it back from the store's versions or a backup")
    return promotion


def _with_digest(store: Store, subject: Subject, numbers: Iterable[int],
                 sha256: str) -> bytes | None:
    """The bytes of the first of these promotions that has a digest."""
    for number in numbers:
        data = _content(store, subject.key(number))
        if data is not None and files.sha256_bytes(data) == sha256:
            return data
    return None


def _content(store: Store, key: str) -> bytes | None:
    """A promotion's bytes; None where there is none, or what is there is too large to be one."""
    try:
        return bring(store, key)
    except IntegrityError:
        return None
    except StoreError:
        if store.head(key) is not None:
            raise
        return None


def _parsed(data: bytes, after: Promotion, where: str) -> Promotion:
    promotion = promotions.parsed(data, where)
    if promotion is None or (promotion.pipeline, promotion.number < after.number) != (
            after.pipeline, True):
        raise IntegrityError(f"this is no promotion that number {after.number} can follow",
                             where=where, todo=CARRY_AGAIN)
    return promotion
