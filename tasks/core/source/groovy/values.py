"""Sets of possible values, and what Groovy's operators and methods make of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Unknown:
    """A value that only a run knows; `why` names what it hangs on."""

    why: str


@dataclass(frozen=True)
class Default:
    """A param's value by default, or what was made of it: a run may set another one.

    As a text it counts as it stands; as a condition it can go both ways.
    """

    value: Any
    name: str


@dataclass(frozen=True)
class Unset:
    """A value that nothing sets: false as a condition, and no text."""

    name: str

    def __bool__(self) -> bool:
        return False


Values = frozenset[Any]
Names = Mapping[str, Values]
PROJECT = "\0"
"""Stands for the pipeline's own folder in a path."""

MAX_TEXT = 10_000
"""Characters of a text that is put together; `x = x + x` in many lines makes any number."""
MAX_VALUES = 1_000
"""Values of one expression; each `+` between two with several multiplies them."""

PLAIN_METHODS: Mapping[str, Callable[[str], str]] = {
    "toString": str, "trim": str.strip, "strip": str.strip, "toLowerCase": str.lower,
    "toUpperCase": str.upper}
ASKING_METHODS: Mapping[str, Callable[[str, str], bool]] = {
    "startsWith": lambda text, given: text.startswith(given),
    "endsWith": lambda text, given: text.endswith(given),
    "contains": lambda text, given: given in text}


def known(engine: str) -> dict[str, Values]:
    """The names whose values hold in every script and config, where `engine` pulls the images."""
    project = frozenset([PROJECT])
    return {"workflow.containerEngine": frozenset([engine]), "projectDir": project,
            "baseDir": project, "workflow.projectDir": project}


def truths(values: Values) -> frozenset[bool]:
    """Which ways a condition with these values can go."""
    found: set[bool] = set()
    for value in values:
        found |= {True, False} if isinstance(value, Unknown | Default) else {bool(value)}
    return frozenset(found)


def elvis(left: Values, right: Values) -> Values:
    """The values of `left ?: right`."""
    found: set[Any] = set()
    for value in left:
        plain = value.value if isinstance(value, Default) else value
        found |= {value} if isinstance(value, Unknown) or plain else set(right)
        if isinstance(value, Unknown):
            found |= right
    return frozenset(found)


def combine(operator: str, left: Values, right: Values) -> Values:
    """The values of an operator between every value of the left and of the right."""
    if len(left) * len(right) > MAX_VALUES:
        return frozenset([Unknown(f"more than {MAX_VALUES} values")])
    return frozenset(_combined(operator, one, other) for one in left for other in right)


def _combined(operator: str, one: Any, other: Any) -> Any:
    sides = (one, other)
    unknown = next((each for each in sides if isinstance(each, Unknown)), None)
    one, other = (None if isinstance(each, Unset) else each for each in sides)
    if unknown is None and operator == "+" and isinstance(unwrapped(one), str):
        return joined(one, other)
    default = next((Unknown(each.name) for each in sides if isinstance(each, Default)), None)
    if unknown or default:
        return unknown or default
    if operator in ("==", "!="):
        return (one == other) == (operator == "==")
    if operator == "in" and isinstance(other, tuple):
        return one in other or next((each for each in other if isinstance(each, Unknown)), False)
    return Unknown(f"an expression with {operator!r}")


def unwrapped(value: Any) -> Any:
    """A param's default as the plain value."""
    return value.value if isinstance(value, Default) else value


def joined(text: Any, value: Any) -> Any:
    """A string with a value put behind it, as Groovy prints it."""
    unknown = next((each for each in (text, value) if isinstance(each, Unknown)), None)
    default = next((each.name for each in (text, value) if isinstance(each, Default)), None)
    plain = unwrapped(value)
    if unknown is not None:
        return unknown
    if isinstance(value, Unset):
        return Unknown(f"{value.name}, which nothing sets")
    if isinstance(value, Default) and (plain is None or plain is False or plain == ""):
        return Unknown(f"{value.name}, which has no value unless a run sets it")
    if isinstance(plain, tuple):
        return Unknown("a list in a string")
    printed = {True: "true", False: "false", None: "null"}
    whole = unwrapped(text) + (printed[plain] if plain is None or isinstance(plain, bool)
                               else str(plain))
    if len(whole) > MAX_TEXT:
        return Unknown(f"a text of more than {MAX_TEXT} characters")
    return whole if default is None else Default(whole, default)


def called(values: Values, method: str, *given: Values) -> Values:
    """What a method of strings answers for each value; other methods are unknown."""
    found: set[Any] = set()
    for value in values:
        for argument in given[0] if given else (None,):
            found.add(_called(value, method, argument))
    return frozenset(found)


def _called(value: Any, method: str, argument: Any) -> Any:
    if isinstance(value, Default):
        answer = _called(value.value, method, argument)
        return answer if isinstance(answer, Unknown) else Default(answer, value.name)
    argument = unwrapped(argument)
    if isinstance(value, str) and method in PLAIN_METHODS and argument is None:
        return PLAIN_METHODS[method](value)
    if isinstance(value, str) and method in ASKING_METHODS and isinstance(argument, str):
        return ASKING_METHODS[method](value, argument)
    return value if isinstance(value, Unknown) else Unknown(f"{method}(…)")
