"""JSON and YAML from outside, parsed with bounds on what a few bytes may stand for.

Everything that can't be read is ValueError, whose text says why.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

MAX_DEPTH = 100
"""Lists and mappings in each other, in YAML or in a sheet."""
TOO_DEEP = f"lists and mappings are nested more than {MAX_DEPTH} deep"
MAX_NUMBER_LENGTH = 1000
"""Characters: Python takes quadratic time for long numbers, and YAML's may be to base 60."""
MAX_INT64_DIGITS = 18
"""Of a size or a number of seconds, which are whole numbers of 64 bits."""
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|\\U0000[dD][89a-fA-F]")
"""An escape that stands for half a surrogate pair, unless the other half stands beside it."""
_NESTED = re.compile(rf"(?:[-?][ \t]+|[\[{{][ \t]*){{{MAX_DEPTH + 1}}}")
"""Lists and mappings that begin right in each other: YAML's own reader takes quadratic time for
them before it yields the first."""
_NUMBER = re.compile(r"[0-9a-fA-Fxo+_.:-]*")
_OPENING = ("BlockSequenceStart", "BlockMappingStart", "FlowSequenceStart", "FlowMappingStart")
_CLOSING = ("BlockEnd", "FlowSequenceEnd", "FlowMappingEnd")


class Aliased(ValueError):
    """YAML with aliases, a few lines of which can stand for more than any memory holds."""


def from_json(text: str | bytes, *, is_unique: bool = True) -> Any:
    """Return the value of a JSON text, in UTF-8.

    ValueError for NaN, numbers beyond all bounds, half a surrogate pair, which no file can hold,
    and, with `is_unique`, keys that come twice: another reader would take the other value.
    """
    plain = text if isinstance(text, str) else text.decode("utf-8-sig")
    try:
        value = json.loads(plain, parse_constant=_constant, parse_int=_integer,
                           parse_float=_number, object_pairs_hook=_unique if is_unique else None)
        return _writable(value, plain)
    except RecursionError as error:
        raise ValueError("lists and mappings are nested too deep") from error


def from_yaml(text: str) -> Any:
    """Return the value of a YAML text; aliases are refused."""
    import yaml
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    if _NESTED.search(text):
        raise ValueError(TOO_DEEP)
    try:
        _check_tokens(yaml.scan(text, Loader=loader))
        return _writable(yaml.load(text, Loader=loader), text)  # noqa: S506 - one of the safe loaders
    except (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, RecursionError,
            TypeError) as error:  # what PyYAML raises for scalars that are not what their tag says
        raise ValueError(str(error) or type(error).__name__) from error


def whole_number(text: str) -> int | None:
    """Return a number of plain digits, as headers have sizes and seconds; None for other text."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= MAX_INT64_DIGITS
    return int(text) if is_number else None


def _writable(value: Any, text: str) -> Any:
    """Return the value that was read of `text`; ValueError where no UTF-8 file can hold it."""
    if _SURROGATE.search(text):
        json.dumps(value, ensure_ascii=False, default=str, skipkeys=True).encode()
    return value


def _check_tokens(tokens: Iterable[Any]) -> None:
    """Refuse what PyYAML must not load: its recursion would overflow the process's stack."""
    depth = 0
    for token in tokens:
        kind = type(token).__name__.removesuffix("Token")
        depth += (kind in _OPENING) - (kind in _CLOSING)
        if depth > MAX_DEPTH:
            raise ValueError(TOO_DEEP)
        if kind == "Alias":
            raise Aliased("it has YAML aliases, which are not followed")
        is_long = kind == "Scalar" and len(token.value) > MAX_NUMBER_LENGTH
        if is_long and _NUMBER.fullmatch(token.value):
            raise ValueError(f"a number has more than {MAX_NUMBER_LENGTH} characters")


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _integer(text: str) -> int:
    if len(text) > MAX_NUMBER_LENGTH:
        raise ValueError(f"a number has more than {MAX_NUMBER_LENGTH} characters")
    return int(text)


def _number(text: str) -> float:
    value = float(text) if len(text) <= MAX_NUMBER_LENGTH else math.inf
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:30]} is too large")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {twice[:100]!r} comes twice")
    return value
