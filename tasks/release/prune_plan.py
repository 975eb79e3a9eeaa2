"""Which releases and tools stay in a store, and why: without asking anybody."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tasks.core.config.settings import Prune
from tasks.core.trust import promotions
from tasks.core.trust.promotions import Promotion


@dataclass(frozen=True, kw_only=True)
class Held:
    """A release or tool in the store; `pipeline` is None for a tool.

    `listed` is when it came, by the store's clock. `keys` is all that it names or consists of.
    """

    pipeline: str | None
    id: str
    listed: datetime
    keys: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class History:
    """What was promoted of a pipeline, or of the tool, newest first, and what is current now.

    `ran` is when each release last ran, as the records say that came back.
    """

    current: str | None = None
    promotions: Sequence[Promotion] = ()
    ran: Mapping[str, datetime] = field(default_factory=dict)

    def last_current(self, name: str, now: datetime) -> datetime | None:
        """Until when an id was the current one; None where it never was."""
        until = now
        for promotion in self.promotions:
            if promotion.id == name:
                return until
            until = promotions.time(promotion.signed)
        return None

    @property
    def order(self) -> list[str]:
        """All ids that were ever current and aren't withdrawn, by their newest promotion."""
        gone = self.withdrawn
        return [name for name in dict.fromkeys(promotion.id for promotion in self.promotions)
                if name not in gone]

    @property
    def withdrawn(self) -> Mapping[str, str]:
        """Id to reason; each promotion names all that were withdrawn before it."""
        return {entry.id: entry.reason for promotion in self.promotions[:1]
                for entry in promotion.withdrawn}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a release or tool stays, and why."""

    held: Held
    stays: bool
    why: str


def judge(held: Iterable[Held], history: History, policy: Prune, now: datetime) -> list[Verdict]:
    """Say of each release of one pipeline, or of each tool, whether it stays; newest first.

    A time that lies before us, by a wrong clock, counts as now: then nothing goes for it.
    """
    rows = sorted(held, key=lambda one: (one.id == history.current,
                                         history.last_current(one.id, now) or one.listed),
                  reverse=True)
    there = {one.id for one in rows}
    last = [name for name in history.order if name in there][:policy.keep]
    return [_judge(one, history, policy, now, last) for one in rows]


def _judge(held: Held, history: History, policy: Prune, now: datetime,
           last: Collection[str]) -> Verdict:
    recent = timedelta(seconds=policy.recent)
    until, ran = history.last_current(held.id, now), history.ran.get(held.id)
    since = (f"current until {until:%Y-%m-%d}" if until else
             f"never current, came {held.listed:%Y-%m-%d}")
    if held.id == history.current:
        return Verdict(held=held, stays=True, why="current")
    if held.id in policy.pinned:
        return Verdict(held=held, stays=True, why="pinned")
    if held.id in history.withdrawn:
        return Verdict(held=held, stays=False, why=f"withdrawn: {history.withdrawn[held.id]}")
    if held.id in last:
        return Verdict(held=held, stays=True, why=f"one of the last {policy.keep}")
    if ran is not None and now - ran < recent:
        return Verdict(held=held, stays=True, why=f"ran on {ran:%Y-%m-%d}")
    return Verdict(held=held, stays=now - (until or held.listed) < recent, why=since)


@dataclass(frozen=True, kw_only=True)
class Marks:
    """Since when nothing has named a key, or an image, by the store's clock."""

    keys: Mapping[str, datetime] = field(default_factory=dict)
    images: Mapping[str, datetime] = field(default_factory=dict)

    def only(self, keys: Collection[str], images: Collection[str]) -> Marks:
        """Those marks that still hold: what was named again since, begins anew."""
        return Marks(keys={key: since for key, since in self.keys.items() if key in keys},
                     images={image: since for image, since in self.images.items()
                             if image in images})

    def also(self, keys: Iterable[str], images: Iterable[str], now: datetime) -> Marks:
        """With others, which nothing names from now on."""
        return Marks(keys={**dict.fromkeys(keys, now), **self.keys},
                     images={**dict.fromkeys(images, now), **self.images})

    def without(self, keys: Collection[str], images: Collection[str]) -> Marks:
        return Marks(keys={key: since for key, since in self.keys.items() if key not in keys},
                     images={image: since for image, since in self.images.items()
                             if image not in images})

    def over(self, grace: int, now: datetime) -> tuple[frozenset[str], frozenset[str]]:
        """The keys and images whose time of grace, in seconds, is over."""
        end = now - timedelta(seconds=grace)
        return (frozenset(key for key, since in self.keys.items() if since <= end),
                frozenset(image for image, since in self.images.items() if since <= end))


def unless_asked(verdicts: Iterable[Verdict], *, is_asked: bool) -> list[Verdict]:
    """Verdicts as they are, or where nobody asked about these, that all stay."""
    return [verdict if is_asked or verdict.stays
            else replace(verdict, stays=True, why="not asked about") for verdict in verdicts]
