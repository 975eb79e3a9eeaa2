"""Conditions on the way to a place of the code, and what names stand for there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tasks.core.source.groovy.tokens import NAME, NEWLINE, Token, closing
from tasks.core.source.groovy.values import Values
from tasks.reach.text import params_of

MAX_CONDITION_LENGTH = 80


@dataclass(frozen=True, kw_only=True)
class Guard:
    """A condition, the params that it hangs on, and where it stands."""

    text: str
    params: tuple[str, ...]
    place: str

    @property
    def file(self) -> str:
        """The file that it stands in."""
        return self.place.partition(":")[0]


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to a place: the conditions that must hold, and the first that surely doesn't."""

    guards: tuple[Guard, ...] = ()
    cut: Guard | None = None
    name: str = ""

    def under(self, guard: Guard, *, open_: bool) -> Way:
        """The way behind a condition, which can hold where it is `open_`."""
        return replace(self, guards=(*self.guards, guard),
                       cut=self.cut or (None if open_ else guard))


@dataclass(frozen=True, kw_only=True)
class Leaving:
    """A condition under which a block is left by `return`, so that what follows doesn't run.

    `ways` are those that it can go; `text` is empty for what always holds.
    """

    text: str = ""
    params: tuple[str, ...] = ()
    ways: frozenset[bool] = frozenset({True})

    def within(self, outer: Leaving) -> Leaving:
        """That both hold: this one stands in a branch that `outer` leads to."""
        return Leaving(text=" && ".join(filter(None, [outer.text, self.text])),
                       params=tuple(dict.fromkeys([*outer.params, *self.params])),
                       ways=frozenset(one and other for one in outer.ways for other in self.ways))

    def or_later(self, later: Leaving) -> Leaving:
        """That this one holds, or one that is asked after it."""
        if not self.text:
            return self
        return Leaving(text=f"{self.text} || {later.text}" if later.text else "",
                       params=tuple(dict.fromkeys([*self.params, *later.params])),
                       ways=frozenset(one or other for one in self.ways for other in later.ways))

    def passed(self, place: str) -> tuple[Guard, bool]:
        """The condition of what follows, and whether it can hold."""
        return (Guard(text=short(f"!({self.text})"), params=self.params, place=place),
                False in self.ways)


@dataclass(kw_only=True)
class Frame:
    """A block that is being read: the way to what follows in it, and when it is left early."""

    way: Way
    leaving: Leaving | None = None
    is_try: bool = False

    def leave(self, leaving: Leaving, place: str) -> None:
        """Note a `return`, of this block or of one within it."""
        self.leaving = self.leaving.or_later(leaving) if self.leaving else leaving
        if leaving.text:
            guard, can_hold = leaving.passed(place)
            self.way = self.way.under(guard, open_=can_hold)


@dataclass(kw_only=True)
class Known:
    """What names stand for at a place: their values, and the params that these come from.

    `maps` are the params that a name holds, or a member of which. `params_names` are those that
    mean all params: `params`, and what it was handed down as.
    """

    values: dict[str, Values]
    origins: dict[str, tuple[str, ...]] = field(default_factory=dict)
    maps: dict[str, tuple[str, ...]] = field(default_factory=dict)
    params_names: frozenset[str] = frozenset({"params"})

    def params(self, tokens: Sequence[Token]) -> tuple[str, ...]:
        """The params that an expression hangs on, by themselves or through names."""
        named = dict.fromkeys(params_of(tokens, self.params_names))
        for at, token in enumerate(tokens):
            if token.kind == NAME and not (at and tokens[at - 1].is_op(".", "?.")):
                named |= dict.fromkeys(self.origins.get(token.text, ()))
        return tuple(named)

    def held(self, tokens: Sequence[Token]) -> tuple[str, ...]:
        """The params that an expression is, or is a member of; a call with one is none."""
        tokens = [token for token in tokens if token.kind != NEWLINE]
        named: dict[str, None] = {}
        at, begins = 0, True
        while at < len(tokens):
            if begins and tokens[at].is_name(*self.params_names):
                named |= dict.fromkeys(params_of(tokens[at:at + 5], self.params_names))
            elif begins and not any(token.is_op("(") for token in tokens[at + 1:at + 2]):
                named |= dict.fromkeys(self.maps.get(tokens[at].text, ()))
            begins = tokens[at].is_op("?", ":", "?:")
            at = closing(tokens, at) + 1 if tokens[at].is_op("(", "[", "{") else at + 1
        return tuple(named)

    def is_params(self, tokens: Sequence[Token]) -> bool:
        """Whether an expression is all params, and nothing else."""
        named = [token for token in tokens if token.kind != NEWLINE]
        return len(named) == 1 and named[0].is_name(*self.params_names)

    def call_params(self, name: str) -> None:
        """Let a name mean all params from here on."""
        self.params_names |= {name}
        self.values |= {f"{name}.{key.partition('.')[2]}": values
                        for key, values in self.values.items() if key.startswith("params.")}

    def copy(self) -> Known:
        """Another, which can be changed by itself."""
        return Known(values=dict(self.values), origins=dict(self.origins), maps=dict(self.maps),
                     params_names=self.params_names)


def short(text: str) -> str:
    """A condition's text on one line, cut where it is long."""
    shown = re.sub(r"\s+", " ", text).strip()
    return shown if len(shown) <= MAX_CONDITION_LENGTH else f"{shown[:MAX_CONDITION_LENGTH - 1]}…"
