"""Sets of possible values, and what Groovy's operators make of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Unknown:
    """A value that only a run knows; `why` names what it hangs on."""

    why: str


Values = frozenset[Any]


def truths(values: Values) -> frozenset[bool]:
    """Which ways a condition with these values can go."""
    found: set[bool] = set()
    for value in values:
        found |= {True, False} if isinstance(value, Unknown) else {bool(value)}
    return frozenset(found)


def elvis(left: Values, right: Values) -> Values:
    """The values of `left ?: right`."""
    found: set[Any] = set()
    for value in left:
        found |= {value} if isinstance(value, Unknown) or value else set(right)
        if isinstance(value, Unknown):
            found |= right
    return frozenset(found)


def combine(operator: str, left: Values, right: Values) -> Values:
    """The values of an operator between every value of the left and of the right."""
    return frozenset(_combined(operator, one, other) for one in left for other in right)


def _combined(operator: str, one: Any, other: Any) -> Any:
    for value in (one, other):
        if isinstance(value, Unknown):
            return value
    if operator == "==":
        return one == other
    if operator == "!=":
        return one != other
    if operator == "in" and isinstance(other, tuple):
        unknown = next((each for each in other if isinstance(each, Unknown)), False)
        return one in other or unknown
    if operator == "+" and isinstance(one, str):
        return joined(one, other)
    return Unknown(f"an expression with {operator!r}")


def joined(text: str | Unknown, value: Any) -> str | Unknown:
    """A string with a value put behind it, as Groovy prints it."""
    if isinstance(text, Unknown):
        return text
    if isinstance(value, Unknown):
        return value
    if isinstance(value, tuple):
        return Unknown("a list in a string")
    if isinstance(value, bool) or value is None:
        return text + {True: "true", False: "false", None: "null"}[value]
    return text + str(value)
