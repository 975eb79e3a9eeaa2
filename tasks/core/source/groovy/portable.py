"""Expressions of a script or config, as Groovy that means the same in another config."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tasks.core.source.groovy.expression import Branch
from tasks.core.source.groovy.syntax import free_names, groovy
from tasks.core.source.groovy.tokens import Token

EVERYWHERE = frozenset(["params", "workflow", "task", "System", "true", "false", "null", "in",
                        "instanceof", "return", "if", "else", "def", "new", "as"])
"""What a closure in any config knows when a task asks for its container, and keywords."""


def portable(tokens: Sequence[Token], local: Collection[str] = ()) -> str | None:
    """The expression's text, or None where it takes a name that only its own file knows.

    `local` are variables that the process's script sets: a task knows them too.
    """
    if not free_names(tokens) <= EVERYWHERE | set(local):
        return None
    text = groovy(tokens)
    return f"({text}).call()" if text.startswith("{") else f"({text})"


def guard(branch: Branch, way: bool, local: Collection[str] = ()) -> tuple[str | None, ...]:
    """The condition under which a branch goes this way; empty where it always does."""
    if len(branch.ways) == 1:
        return ()
    text = portable(branch.condition, local)
    return (text if way or text is None else f"!{text}",)
