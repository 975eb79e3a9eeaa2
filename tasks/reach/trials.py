"""Which param keeps a place of the code from running: tried, by following the code once more.

Conditions name params that can't decide them, and several ways may lead to one place. So what is
advised is only what was seen to leave no way open.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tasks.core.source.groovy.values import Names, Unknown, unwrapped
from tasks.core.source.scripts import Definition
from tasks.reach.calls import Walk
from tasks.reach.conditions import Guard, Way
from tasks.reach.findings import Answer

MAX_TRIALS = 40
"""Bounds the walks, of which one takes up to a second."""
MAX_VISITS = 100_000
"""Bounds what all walks visit, where the code is such that one visits very much."""
LOCAL = "/a/local/path"
SHOWN: Mapping[Any, str] = {True: "true", False: "false", None: "null", LOCAL: "a local path"}


@dataclass(frozen=True, kw_only=True)
class Place:
    """What the ways of a walk are known by: `anchors`, and the definition that it stands in."""

    anchors: tuple[object, ...]
    definition: Definition | None

    def ways(self, walk: Walk) -> list[Way]:
        """All ways to it."""
        return [way for anchor in self.anchors for way in walk.ways.get(anchor, [])]

    def is_reached(self, walk: Walk) -> bool:
        """Whether a run may come there."""
        ways = self.ways(walk)
        return not all(way.cut for way in ways) if ways else not walk.surely_uncalled(
            self.definition)


@dataclass(kw_only=True)
class Trials:
    """Advice on places that a run comes to. `follow` walks through the code with other values.

    `types` are those that nextflow_schema.json gives params.
    """

    walk: Walk
    follow: Callable[[Names], Walk]
    names: Names
    types: Mapping[str, str]
    _walks: dict[tuple[str, Any], Walk] = field(default_factory=dict)

    @cached_property
    def anywhere(self) -> Walk:
        """The walk that any params at all could lead to."""
        return self.follow({name: values for name, values in self.names.items()
                            if not name.startswith("params.")})

    def settle(self, place: Place) -> tuple[Answer | None, str, str | None]:
        """What keeps a run from a place, or else what to do; and the param that it hangs on."""
        ways = place.ways(self.walk)
        guards = _guards(ways)
        asked = list(dict.fromkeys(name for guard in guards for name in guard.params))
        conditions = " && ".join(guard.text for guard in guards)
        conditions += f" ({guards[-1].place})" if guards else ""
        only = asked[0] if len(asked) == 1 else None
        if not place.is_reached(self.walk):
            nothing = ("nothing takes it by these params" if place.anchors and not place.definition
                       else "nothing calls it")
            return Answer(by="code", what=(f"not run, since this does not hold: {conditions}"
                                           if ways else nothing)), "", only
        for name, value in _candidates(ways, self.names, self.types):
            walk = self._walked(name, value)
            if walk is not None and not place.is_reached(walk):
                return None, (f"skip it by params.{name}: set it to {SHOWN[value]} under `params:` "
                              f"in the pipeline's config; it runs where {conditions}"), name
        if asked:
            named = " and ".join(f"params.{name}" for name in asked)
            return None, (f"no param alone was seen to keep it from running: it runs where "
                          f"{conditions}, which hangs on {named}"), only
        return None, ("no condition keeps it from running: see to it that it finds a local answer"
                      ), None

    def _walked(self, name: str, value: Any) -> Walk | None:
        key = (name, value)
        most = min(MAX_TRIALS, MAX_VISITS // max(self.walk.visits, 1))
        if key not in self._walks and len(self._walks) < most:
            self._walks[key] = self.follow({**self.names, f"params.{name}": frozenset([value])})
        return self._walks.get(key)


def _candidates(ways: Sequence[Way], names: Names, types: Mapping[str, str],
                ) -> Iterator[tuple[str, Any]]:
    """Params with other values than theirs: those that alone make a condition, the innermost, come
    first.
    """
    guards = [guard for way in ways if way.cut is None for guard in reversed(_guards([way]))]
    for name in dict.fromkeys(name for guard in sorted(guards, key=lambda guard: len(guard.params))
                              for name in guard.params):
        values = {unwrapped(value) for value in names.get(f"params.{name}", ())}
        is_asked = any(re.fullmatch(rf"[!(]*params\.{re.escape(name)}\)*", guard.text)
                       for guard in guards)
        for value in _others(next(iter(values)) if len(values) == 1 else None, types.get(name)):
            if is_asked or value is not None:
                yield name, value


def _others(value: Any, kind: str | None) -> list[Any]:
    """What to try instead of a param's value; null only for one that is asked whether it is set."""
    if value is True:
        return [False]
    if isinstance(value, Unknown) or value not in (False, None, ""):
        return [None]
    if kind in ("boolean", "string"):
        return [True if kind == "boolean" else LOCAL]
    return [True, LOCAL] if value is False else [LOCAL, True]


def _guards(ways: Sequence[Way]) -> list[Guard]:
    """What keeps a place from running; where nothing does, the innermost conditions on params.

    These are all that stand in the same file, for one of them is often the param to set.
    """
    for way in ways:
        if way.cut is None:
            on_params = [guard for guard in way.guards if guard.params]
            return [guard for guard in on_params if guard.file == on_params[-1].file]
    return [ways[0].cut] if ways and ways[0].cut else []
