"""The functions and classes that a file's expressions call: what they return, without a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from tasks.core.source.definitions import FUNCTION, Definition
from tasks.core.source.groovy.expression import block, evaluate
from tasks.core.source.groovy.library import LIBRARY
from tasks.core.source.groovy.tokens import Token
from tasks.core.source.groovy.values import Default, Unknown, Values

MAX_CALLS = 10_000
"""Calls that are followed in one scan; functions that call each other twice make any number."""


class Known(Protocol):
    """What the scripts of a pipeline define."""

    calls: int

    def meant(self, file: str, name: str) -> list[Definition]:
        """The definitions that a name can mean in a file."""

    def members(self, name: str,
                file: str) -> tuple[Mapping[str, Definition], Mapping[str, Values]]:
        """The methods and the fields of a class."""


class FileLibrary:
    """The Library of one file."""

    def __init__(self, scripts: Known, file: str) -> None:
        self.scripts, self.file = scripts, file
        self._open: list[Definition] = []

    def call(self, name: str, given: Sequence[Values]) -> Values | None:
        """What a function returns; None where there is none of that name.

        What is only true or false counts as what can be either: it may look at more than is seen.
        """
        group, _, method = name.rpartition(".")
        if not group or group == "this":
            meant = self.scripts.meant(self.file, method)
        else:
            methods, _ = self.scripts.members(group, self.file)
            meant = [methods[method]] if method in methods else []
        results = [self._run(definition, given) for definition in meant
                   if definition.kind == FUNCTION]
        if not results:
            return None
        return frozenset(Default(value, f"{name}(…)") if isinstance(value, bool) else value
                         for value in frozenset().union(*results))

    def constant(self, name: str) -> Values | None:
        """What a class's field holds; None where there is none."""
        group, _, field = name.rpartition(".")
        return self.scripts.members(group, self.file)[1].get(field) if group else None

    def _run(self, function: Definition, given: Sequence[Values]) -> Values:
        unknown = frozenset([Unknown(f"{function.name}(…)")])
        bound = _bound(function, given)
        if bound is None or function in self._open or self.scripts.calls >= MAX_CALLS:
            return unknown
        self.scripts.calls += 1
        library = FileLibrary(self.scripts, function.file)
        library._open = [*self._open, function]
        return block(function.body, {**function.names, **bound, LIBRARY: frozenset([library])})


def _bound(function: Definition, given: Sequence[Values]) -> dict[str, Values] | None:
    """The values of a function's parameters; None where the arguments don't fit."""
    bound: dict[str, Values] = {}
    for index, (name, parameter) in enumerate(zip(function.takes, function.parameters,
                                                  strict=True)):
        default = _default(parameter)
        if index < len(given):
            bound[name] = given[index]
        elif default is not None:
            bound[name] = evaluate(default, 0, {**function.names, **bound})[0]
        else:
            return None
    return bound if len(given) <= len(function.takes) else None


def _default(parameter: Sequence[Token]) -> Sequence[Token] | None:
    return next((parameter[at + 1:] for at, token in enumerate(parameter) if token.is_op("=")),
                None)
