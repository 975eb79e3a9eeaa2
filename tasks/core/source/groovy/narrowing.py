"""What a condition says of the names in it, for the way that is taken.

Where `params.a != null` holds, `params.a` is not the null that a config sets, but what a run gave.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tasks.core.source.groovy.tokens import NAME, NEWLINE, STRING, Token, closing
from tasks.core.source.groovy.values import (
    Chosen,
    Default,
    Names,
    Unknown,
    Unset,
    Values,
    unwrapped,
)


def narrowed(condition: Sequence[Token], way: bool, names: Names) -> Names:
    """The values of names where the condition went this way."""
    changed: dict[str, Values] = {}
    for part, holds in _parts(condition, way):
        fact = _fact(part)
        if fact is None:
            continue
        name, value, is_equal = fact
        before = names.get(name)
        if before is None and name.startswith("params."):
            before = frozenset([Default(Unset(name), name)])
        if before is not None:
            changed[name] = _kept(before, name, value, holds == is_equal)
    return {**names, **changed} if changed else names


def _parts(condition: Sequence[Token], way: bool) -> Iterator[tuple[Sequence[Token], bool]]:
    """The operands of which each must be so: of `&&` that holds, or of `||` that doesn't."""
    words = [token for token in condition if token.kind != NEWLINE]
    while words and words[0].is_op("(") and closing(words, 0) == len(words) - 1:
        words = words[1:-1]
    if words and words[0].is_op("!") and (len(words) == 2 or (
            words[1].is_op("(") and closing(words, 1) == len(words) - 1)):
        yield from _parts(words[1:], not way)
        return
    both, either = _split(words, "&&"), _split(words, "||")
    parts = both if way else either
    if len(both) > 1 and len(either) > 1:
        return
    if len(parts) > 1:
        for part in parts:
            yield from _parts(part, way)
    elif len(both) == len(either) == 1:
        yield words, way


def _split(words: Sequence[Token], operator: str) -> list[Sequence[Token]]:
    parts: list[Sequence[Token]] = []
    start = at = 0
    while at < len(words):
        if words[at].is_op("(", "[", "{"):
            at = closing(words, at)
        elif words[at].is_op(operator):
            parts.append(words[start:at])
            start = at + 1
        at += 1
    return [*parts, words[start:]]


_TRUE = object()


def _fact(words: Sequence[Token]) -> tuple[str, Any, bool] | None:
    """`name`, `!name`, `name == value`, `name != value` or `map.containsKey('name')`: the name, a
    value, and whether it is equal to that.
    """
    if words and words[0].is_op("!"):
        fact = _fact(words[1:])
        return (fact[0], fact[1], not fact[2]) if fact else None
    for at, word in enumerate(words):
        if word.is_op("==", "!="):
            left, right = words[:at], words[at + 1:]
            for name, value in ((left, right), (right, left)):
                if (dotted := _dotted(name)) and len(value) == 1 and (
                        value[0].kind == STRING or value[0].is_name("null")):
                    text = value[0].text if value[0].kind == STRING else None
                    return dotted, text, word.text == "=="
            return None
    if len(words) > 4 and words[-4].is_name("containsKey") and words[-2].kind == STRING and (
            map_name := _dotted(words[:-5])):
        return f"{map_name}.{words[-2].text}", None, False
    dotted = _dotted(words)
    return (dotted, _TRUE, True) if dotted else None


def _dotted(words: Sequence[Token]) -> str | None:
    """The dotted name that these tokens are."""
    if len(words) % 2 == 0 or any(word.kind != NAME for word in words[::2]) or any(
            not word.is_op(".", "?.") for word in words[1::2]):
        return None
    name = ".".join(word.text for word in words[::2])
    return None if name in ("null", "true", "false") else name


def _kept(before: Values, name: str, value: Any, is_equal: bool) -> Values:
    """The values that fit; where none does, what a run has set."""
    def fits(known: Any) -> bool:
        if isinstance(known, Unknown):
            return not is_equal or value is _TRUE
        plain = None if isinstance(unwrapped(known), Unset) else unwrapped(known)
        return (bool(plain) if value is _TRUE else plain == value) == is_equal

    kept = frozenset(filter(fits, before))
    if kept:
        return kept
    return frozenset([value if is_equal and value is not _TRUE else Chosen(name)])
