"""What methods of strings, lists and maps answer, as far as images hang on them."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

from tasks.core.source.groovy.values import (
    MAX_TEXT,
    MAX_VALUES,
    Default,
    Record,
    Unknown,
    Unset,
    Values,
    joined,
    put_into,
    unwrapped,
)

LITERAL = re.compile(r"(?:[^\\.\[\]{}()*+?^$|]|\\[^\w\s])*")
"""A regular expression that stands for one text; others are not followed."""


def called(values: Values, method: str, *given: Values) -> Values:
    """What a method answers for each value, with each argument that it can have."""
    if prod(map(len, given), start=len(values)) > MAX_VALUES:
        return frozenset([Unknown(f"more than {MAX_VALUES} values")])
    answers: set[Any] = set()
    for value in values:
        for arguments in product(*given):
            answers |= _called(value, method, arguments)
    return frozenset(answers)


def member(values: Values, key: Values) -> Values:
    """What `value[key]` and `value.key` are."""
    return called(values, "getAt", key)


def formatted(given: Sequence[Values]) -> Values:
    """What `String.format` and `sprintf` make of texts."""
    if not given or prod(map(len, given)) > MAX_VALUES:
        return frozenset([Unknown("a format")])
    return frozenset(_formatted(arguments) for arguments in product(*given))


def _formatted(arguments: Sequence[Any]) -> Any:
    template, *rest = arguments
    if not isinstance(template, str) or template.count("%") != template.count("%s") != len(rest):
        return Unknown("a format")
    text: Any = ""
    for part, value in zip(template.split("%s"), [*rest, ""], strict=False):
        text = joined(joined(text, part), value)
    return text


def _called(value: Any, method: str, arguments: Sequence[Any]) -> Values:
    if isinstance(value, Unknown):
        return frozenset([value])
    default = next((side for side in (value, *arguments) if isinstance(side, Default)), value)
    plain = unwrapped(value)
    unknown = next((side for side in arguments if isinstance(side, Unknown)), None)
    if isinstance(plain, Record):
        answers = _of_map(plain, method, arguments, unknown)
    elif unknown is not None:
        answers = frozenset([unknown])
    else:
        answers = frozenset([_of_other(plain, method, [*map(unwrapped, arguments)])])
    return frozenset(put_into(answer, default) for answer in answers)


def _of_map(value: Record, method: str, arguments: Sequence[Any],
            unknown: Unknown | None) -> Values:
    key = unwrapped(arguments[0]) if arguments else None
    if unknown is not None and method in ("get", "getAt", "getOrDefault"):
        return frozenset().union(*(item for _, item in value.items)) or frozenset([unknown])
    values = value.get(key) if not isinstance(key, Unset | Unknown) else None
    if method in ("get", "getAt") and arguments:
        return values or frozenset(arguments[1:] or [None])
    if method == "getOrDefault" and len(arguments) == 2:
        return values or frozenset(arguments[1:])
    if method == "containsKey" and unknown is None:
        return frozenset([values is not None])
    if method in ("size", "isEmpty") and not arguments:
        return frozenset([len(value.items) if method == "size" else not value.items])
    return frozenset([Unknown(f"{method}(…)")])


def _of_other(value: Any, method: str, arguments: Sequence[Any]) -> Any:
    """What a string, list or number answers to plain arguments."""
    kind = next((kind for kind in METHODS if isinstance(value, kind)), None)
    if method == "toString" and isinstance(value, int) and not arguments:
        return joined("", value)
    function = METHODS[kind].get(method) if kind else None
    if value is None and method == "getAt":
        return None
    if function is None:
        return Unknown(f"{method}(…)")
    try:
        answer = function(value, *arguments)
    except (TypeError, ValueError, IndexError, AttributeError):
        return Unknown(f"{method}(…)")
    if isinstance(answer, str) and len(answer) > MAX_TEXT:
        return Unknown(f"a text of more than {MAX_TEXT} characters")
    return tuple(answer) if isinstance(answer, list) else answer


def _replaced(text: str, old: str, new: str, count: int = -1) -> str:
    if not LITERAL.fullmatch(old) or "$" in new or "\\" in new:
        raise ValueError(old)
    return text.replace(re.sub(r"\\(.)", r"\1", old), new, count)


def _split(text: str, by: str = " ") -> list[str]:
    if not LITERAL.fullmatch(by):
        raise ValueError(by)
    parts = text.split(re.sub(r"\\(.)", r"\1", by))
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return parts


def _tokenized(text: str, marks: str = " \t\n\r\f") -> list[str]:
    return [part for part in re.split(f"[{re.escape(marks)}]", text) if part]


def _joined(items: tuple[Any, ...], between: str = "") -> Any:
    text: Any = ""
    for index, item in enumerate(items):
        text = joined(joined(text, between) if index else text, item)
    return text


def _at(items: Any, index: int) -> Any:
    if type(index) is not int:
        raise TypeError
    if isinstance(items, tuple) and not -len(items) <= index < len(items):
        return None
    return items[index]


STRINGS: Mapping[str, Callable[..., Any]] = {
    "toString": str, "trim": str.strip, "strip": str.strip, "toLowerCase": str.lower,
    "toUpperCase": str.upper, "capitalize": lambda text: text[:1].upper() + text[1:],
    "uncapitalize": lambda text: text[:1].lower() + text[1:],
    "startsWith": lambda text, given: text.startswith(given),
    "endsWith": lambda text, given: text.endswith(given),
    "contains": lambda text, given: given in text, "equals": operator.eq,
    "equalsIgnoreCase": lambda text, given: text.lower() == given.lower(),
    "isEmpty": lambda text: not text, "length": len, "size": len,
    "concat": lambda text, given: text + given, "plus": joined,
    "minus": lambda text, given: text.replace(given, "", 1),
    "replace": str.replace,
    "replaceAll": _replaced, "replaceFirst": lambda text, old, new: _replaced(text, old, new, 1),
    "tokenize": _tokenized, "split": _split,
    "substring": lambda text, *places: text[slice(*(places if len(places) > 1
                                                    else (places[0], None)))],
    "take": lambda text, count: text[:count], "drop": lambda text, count: text[count:],
    "getAt": _at}
LISTS: Mapping[str, Callable[..., Any]] = {
    "contains": lambda items, given: given in items, "size": len,
    "isEmpty": lambda items: not items, "join": _joined, "get": _at, "getAt": _at,
    "first": lambda items: items[0], "last": lambda items: items[-1],
    "minus": lambda items, given: tuple(item for item in items if item != given)}
METHODS: Mapping[type, Mapping[str, Callable[..., Any]]] = {str: STRINGS, tuple: LISTS}
