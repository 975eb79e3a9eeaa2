"""Frozen dataclasses out of checked YAML, field by field.

A class has the shape of its part of the YAML, and a field the name of its key. What the YAML
doesn't give has the `default` of its schema, else the field's own: nothing, in its type.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar

Section = TypeVar("Section")
Convert = Callable[[Any, Mapping[str, Any]], Any]
"""Makes a field's value of a key's value and its schema."""


def read(section: Callable[..., Section], raw: Mapping[str, Any],
         schema: Mapping[str, Any]) -> Section:
    """An instance of a dataclass, of a mapping that fits the schema."""
    values = {}
    for name, convert in _converters(section).items():
        node = schema["properties"].get(name, {})
        if name in raw or "default" in node:
            values[name] = convert(raw.get(name, node.get("default")), node)
        elif name in _sections(section):
            values[name] = convert({}, node)
    return section(**values)


@cache
def _sections(cls: Any) -> frozenset[str]:
    """The fields that are there though the YAML leaves their whole section out."""
    return frozenset(field.name for field in _fields(cls) if dataclasses.is_dataclass(field.type)
                     and field.default is dataclasses.MISSING)


@cache
def _converters(cls: Any) -> dict[str, Convert]:
    return {field.name: _converter(field.type) for field in _fields(cls)}


def _fields(cls: Any) -> tuple[dataclasses.Field[Any], ...]:
    """A dataclass's fields; its module must not postpone annotations, which are read as types."""
    return dataclasses.fields(cls)


def _converter(kind: Any) -> Convert:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (UnionType, typing.Union):  # with None, for a key that may be left out
        return _converter(next(kind for kind in arguments if kind is not type(None)))
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return lambda value, schema: read(kind, value, schema)
    if origin is Annotated:
        return lambda value, _: arguments[1](value)
    if origin is tuple:
        return lambda value, _: tuple(_plain(arguments[0], item) for item in value)
    if origin is not None and issubclass(origin, Mapping):
        member = _converter(arguments[1])
        return lambda value, schema: {key: member(item, schema) for key, item in value.items()}
    return lambda value, _: _plain(kind, value)


def _plain(kind: Any, value: Any) -> Any:
    return Path(value).expanduser() if kind is Path else value


def _seconds(text: str) -> int:
    """Seconds of `90 days`."""
    count, unit = text.split()
    return int(count) * {"hours": 3600, "days": 86400, "weeks": 7 * 86400}[unit]


def bytes_of(text: str) -> int:
    """Bytes of `20 GB`, by powers of 1,000."""
    unit = text.rstrip("B")[-1]
    power = " kMGT".index(unit) if unit in "kMGT" else 0
    return int(float(text.rstrip(" kMGTB")) * 1000 ** power)


def _one_or_several(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _lower_case(names: list[str]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)


Seconds = Annotated[int, _seconds]
Bytes = Annotated[int, bytes_of]
OneOrSeveral = Annotated[tuple[str, ...], _one_or_several]
HostNames = Annotated[tuple[str, ...], _lower_case]
