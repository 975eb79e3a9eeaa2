"""Sets of possible values, and what Groovy's operators and methods make of them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Unknown:
    """A value that only a run knows; `why` names what it hangs on."""

    why: str


@dataclass(frozen=True)
class Chosen(Unknown):
    """What a run itself has set where a condition says that it has: nothing that is missing here.
    """


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


@dataclass(frozen=True)
class Record:
    """A map, by its keys; each item has a set of possible values."""

    items: tuple[tuple[Any, Values], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.items)

    def get(self, key: Any) -> Values | None:
        """The values of one key, None where the map lacks it."""
        return dict(self.items).get(key)

    def over(self, other: Record) -> Record:
        """This map with all items of the other, which are stronger."""
        return Record(tuple({**dict(self.items), **dict(other.items)}.items()))


PROJECT = "\0"
"""Stands for the pipeline's own folder in a path."""

MAX_TEXT = 10_000
"""Characters of a text that is put together; `x = x + x` in many lines makes any number."""
MAX_VALUES = 1_000
"""Values of one expression; each `+` between two with several multiplies them."""
ORDER: Mapping[str, Callable[[int, int], bool]] = {
    "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}

def known(engine: str) -> dict[str, Values]:
    """The names whose values hold in every script and config, where `engine` pulls the images."""
    project = frozenset([PROJECT])
    return {"workflow.containerEngine": frozenset([engine]), "projectDir": project,
            "baseDir": project, "workflow.projectDir": project}


def truths(values: Values) -> frozenset[bool]:
    """Which ways a condition with these values can go."""
    ways: set[bool] = set()
    for value in values:
        ways |= {True, False} if isinstance(value, Unknown | Default) else {bool(value)}
    return frozenset(ways)


def elvis(left: Values, right: Values) -> Values:
    """The values of `left ?: right`."""
    values: set[Any] = set()
    for value in left:
        plain = value.value if isinstance(value, Default) else value
        values |= {value} if isinstance(value, Unknown) or plain else set(right)
        if isinstance(value, Unknown):
            values |= right
    return frozenset(values)


def combine(sign: str, left: Values, right: Values) -> Values:
    """The values of an operator between every value of the left and of the right."""
    if len(left) * len(right) > MAX_VALUES:
        return frozenset([Unknown(f"more than {MAX_VALUES} values")])
    return frozenset(_combined(sign, one, other) for one in left for other in right)


def _combined(sign: str, one: Any, other: Any) -> Any:
    sides = (one, other)
    unknown = next((side for side in sides if isinstance(side, Unknown)), None)
    if unknown is not None:
        return unknown
    one, other = (None if isinstance(side, Unset) else side for side in sides)
    default = next((side for side in sides if isinstance(side, Default)), None)
    if sign == "+" and isinstance(unwrapped(one), str):
        return joined(one, other)
    if sign in ("+", "-"):
        return put_into(_summed(sign, unwrapped(one), unwrapped(other)), default)
    return _compared(sign, one, other) if default is None else Unknown(default.name)


def _compared(sign: str, one: Any, other: Any) -> Any:
    if sign in ("==", "!="):
        return (one == other) == (sign == "==")
    if type(one) is type(other) is int and sign in ORDER:
        return ORDER[sign](one, other)
    if sign == "in" and isinstance(other, tuple):
        return one in other or next((side for side in other if isinstance(side, Unknown)), False)
    return Unknown(f"an expression with {sign!r}")


def _summed(sign: str, one: Any, other: Any) -> Any:
    if type(one) is type(other) is int:
        return one + other if sign == "+" else one - other
    if sign == "+" and isinstance(one, Record) and isinstance(other, Record):
        return one.over(other)
    if sign == "+" and isinstance(one, tuple) and isinstance(other, tuple):
        return one + other
    if sign == "-" and isinstance(one, str) and isinstance(other, str):
        return one.replace(other, "", 1)
    return Unknown(f"an expression with {sign!r}")


def unwrapped(value: Any) -> Any:
    """A param's default as the plain value."""
    return value.value if isinstance(value, Default) else value


def put_into(value: Any, default: Any) -> Any:
    """`value` as what hangs on `default`, where that is a param's default: a run may set it."""
    if not isinstance(default, Default) or isinstance(value, Unknown | Default):
        return value
    return Default(value, default.name)


def lookup(names: Names, name: str) -> Values | None:
    """The values of a dotted name; of a map also where only its members have names of their own.
    """
    values = names.get(name)
    if values is not None and not any(isinstance(unwrapped(value), Record) for value in values):
        return values
    members: dict[str, None] = {}
    start = f"{name}."
    for other in names:
        if other.startswith(start):
            members[other[len(start):].partition(".")[0]] = None
    if not members:
        return values
    inner = Record(tuple((key, lookup(names, start + key) or frozenset()) for key in members))
    return frozenset(put_into(unwrapped(value).over(inner), value) for value in values or [Record()]
                     if isinstance(unwrapped(value), Record))


def set_name(names: dict[str, Values], name: str, values: Values) -> None:
    """Give a dotted name its values; a map takes the place of what its members had before."""
    if any(isinstance(unwrapped(value), Record) for value in values):
        for member in [other for other in names if other.startswith(f"{name}.")]:
            del names[member]
    names[name] = values


def defaults(values: Iterable[Any], name: str) -> Values:
    """What a param's default is, where an expression has these values."""
    return frozenset(value if isinstance(value, Unknown) else Default(unwrapped(value), name)
                     for value in values)


def unset(name: str) -> Values | None:
    """The value of a name that nothing sets, where that means null."""
    if name.startswith("task.ext."):
        return frozenset([Unset(name)])
    return frozenset([Default(Unset(name), name)]) if name.startswith("params.") else None


def shown(text: str) -> str:
    """A text for people: the mark of the pipeline's folder as Nextflow names that."""
    return text.replace(PROJECT, "$projectDir")


def joined(text: Any, value: Any) -> Any:
    """A string with a value put behind it, as Groovy prints it."""
    unknown = next((side for side in (text, value) if isinstance(side, Unknown)), None)
    default = next((side.name for side in (text, value) if isinstance(side, Default)), None)
    plain = unwrapped(value)
    if unknown is not None:
        return unknown
    if isinstance(value, Unset):
        return Unknown(f"{value.name}, which nothing sets")
    if isinstance(value, Default) and (plain is None or plain is False
                                       or isinstance(plain, Unset)):
        return Unknown(f"{value.name}, which has no value unless a run sets it")
    if isinstance(plain, tuple | Record):
        return Unknown("a list or map in a string")
    printed = {True: "true", False: "false", None: "null"}
    whole = unwrapped(text) + (printed[plain] if plain is None or isinstance(plain, bool)
                               else str(plain))
    if len(whole) > MAX_TEXT:
        return Unknown(f"a text of more than {MAX_TEXT} characters")
    return whole if default is None else Default(whole, default)
