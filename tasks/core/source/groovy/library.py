"""Functions and classes, as the expressions of a file ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tasks.core.source.groovy.values import Values

LIBRARY = "()"
"""The name whose one value is the file's Library; no name of a pipeline's code is like it."""


class Library(Protocol):
    """What a file knows by name, a class's members by `Class.member`."""

    def call(self, name: str, given: Sequence[Values]) -> Values | None:
        """What a function returns; None where there is none of that name."""

    def constant(self, name: str) -> Values | None:
        """What a class's field holds; None where there is none."""
