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

DEEPEST = 100
"""How deep the lists and mappings of YAML, or of a sheet, may stand in each other."""
TOO_DEEP = f"lists and mappings stand more than {DEEPEST} deep in each other"
DIGITS = 1000
"""Characters of a number: Python takes quadratic time for long ones, and YAML's may be to base 60.
"""
SIZE = 18
"""Digits of a size or a number of seconds, which are whole numbers of 64 bits."""
_HALF = re.compile(r"\\u[dD][89a-fA-F]|\\U0000[dD][89a-fA-F]")
"""An escape that stands for half a surrogate pair, unless the other half stands beside it."""
_NESTED = re.compile(rf"(?:[-?][ \t]+|[\[{{][ \t]*){{{DEEPEST + 1}}}")
"""Lists and mappings that begin right in each other: YAML's own reader takes quadratic time for
them before it says the first."""
_NUMBER = re.compile(r"[0-9a-fA-Fxo+_.:-]*")
_OPENING = ("BlockSequenceStart", "BlockMappingStart", "FlowSequenceStart", "FlowMappingStart")
_CLOSING = ("BlockEnd", "FlowSequenceEnd", "FlowMappingEnd")


class Aliased(ValueError):
    """YAML with aliases, a few lines of which can stand for more than any memory holds."""


def from_json(text: str | bytes, *, is_unique: bool = True) -> Any:
    """What JSON holds, in UTF-8. NaN, numbers beyond all bounds, half a surrogate pair, which no
    file can hold, and, if `is_unique`, keys that come twice are refused: another reader would take
    the other value."""
    plain = text if isinstance(text, str) else text.decode("utf-8-sig")
    try:
        value = json.loads(plain, parse_constant=_constant, parse_int=_integer,
                           parse_float=_number, object_pairs_hook=_unique if is_unique else None)
        return _whole(value, plain)
    except RecursionError as error:
        raise ValueError("lists and mappings stand too deep in each other") from error


def from_yaml(text: str) -> Any:
    """What YAML holds, without aliases."""
    import yaml
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    if _NESTED.search(text):
        raise ValueError(TOO_DEEP)
    try:
        _judge(yaml.scan(text, Loader=loader))
        return _whole(yaml.load(text, Loader=loader), text)  # noqa: S506 - one of the safe loaders
    except (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, RecursionError,
            TypeError) as error:  # what PyYAML raises for scalars that are not what their tag says
        raise ValueError(str(error) or type(error).__name__) from error


def whole_number(text: str) -> int | None:
    """A number of plain digits, as headers have sizes and seconds; None for anything else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= SIZE else None


def _whole(value: Any, text: str) -> Any:
    """The value that was read of `text`; ValueError where one of its texts can't be written."""
    if _HALF.search(text):
        json.dumps(value, ensure_ascii=False, default=str, skipkeys=True).encode()
    return value


def _judge(tokens: Iterable[Any]) -> None:
    """Refuse what PyYAML must not see: its loader's recursion overflows the stack of the process.
    """
    depth = 0
    for token in tokens:
        seen = type(token).__name__.removesuffix("Token")
        depth += (seen in _OPENING) - (seen in _CLOSING)
        if depth > DEEPEST:
            raise ValueError(TOO_DEEP)
        if seen == "Alias":
            raise Aliased("it has YAML aliases, which are not followed")
        if seen == "Scalar" and len(token.value) > DIGITS and _NUMBER.fullmatch(token.value):
            raise ValueError(f"a number has more than {DIGITS} characters")


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _integer(text: str) -> int:
    if len(text) > DIGITS:
        raise ValueError(f"a number has more than {DIGITS} characters")
    return int(text)


def _number(text: str) -> float:
    value = float(text) if len(text) <= DIGITS else math.inf
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:30]} is too large")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {twice[:100]!r} comes twice")
    return found
