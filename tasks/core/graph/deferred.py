"""Imports that wait: how a room's graph.py names actions and specs without loading them.

`doit list` compares settings and runs nothing, so it needs no logic, and no spec's class. Between
the braces of `with deferred():` an import gives stand-ins, which mypy doesn't see: there a spec is
checked as what it is. A stand-in is called by keywords, as specs are, and answers for the fields
that it was given; `loaded` makes the real thing of it when its step runs.
"""

from __future__ import annotations

import builtins
import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

Field = TypeVar("Field")


class Name:
    """A module, function or class that was not imported, by its dotted path."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    @property
    def module(self) -> str:
        """The module that the function or class stands in."""
        return self.path.rpartition(".")[0]

    def __getattr__(self, name: str) -> Name:
        if name.startswith("__"):
            raise AttributeError(name)
        return Name(f"{self.path}.{name}")

    def __call__(self, **fields: Any) -> Call:
        return Call(self, fields)


class Call:
    """A call that was not made yet: a spec's class with its fields."""

    __slots__ = ("fields", "name")

    def __init__(self, name: Name, fields: dict[str, Any]) -> None:
        self.name, self.fields = name, fields

    def __getattr__(self, name: str) -> Any:
        try:
            return self.fields[name]
        except KeyError:
            raise AttributeError(f"{self.name.path} is not loaded yet, and was given no {name!r}"
                                 ) from None


class Uncompared:
    """A spec's field that no result hangs on, so that doit doesn't compare it.

    docs/decisions/what-a-step-reads.md says which those are.
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def uncompared(value: Field) -> Field:
    """Return `value` for a field of a spec whose change makes nothing stale."""
    return cast(Field, Uncompared(value))


@contextmanager
def deferred() -> Iterator[None]:
    """Let `from … import …` give stand-ins within the block."""
    real = builtins.__import__

    def promise(name: str, _globals: object = None, _locals: object = None,
                _names: Sequence[str] = (), _level: int = 0) -> Name:
        return Name(name)

    builtins.__import__ = promise  # type: ignore[assignment]
    try:
        yield
    finally:
        builtins.__import__ = real


def loaded(value: Any) -> Any:
    """What a stand-in stands for, with the stand-ins among its fields; all else as it is."""
    if isinstance(value, Call):
        return loaded(value.name)(**{key: loaded(field) for key, field in value.fields.items()})
    if isinstance(value, Uncompared):
        return value.value
    if isinstance(value, Name):
        return getattr(importlib.import_module(value.module), value.path.rpartition(".")[2])
    return value
