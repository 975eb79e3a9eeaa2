"""Versions of plugins: which of them a declaration such as `nf-schema@~2.2` allows.

Nextflow takes what follows the @ for a version where it is a whole one, and else, from 25.04 on,
for an expression of PF4J's version library (jsemver): comparisons, partial versions, `~`, `^`,
wildcards and `1.0 - 2.0`, joined by `&` and `|`. Of two of these the right one is read first, and
neither binds more strongly. Nextflow's own form, with commas and `1.2+`, is taken as well; what its
library can't read fits no version there.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tasks.core.errors import ConfigError
from tasks.core.nextflow import versions

EXACT = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]*)?")
"""A version that is taken as it is (semver.org)."""
MAX_LENGTH = 200
"""Characters of an expression."""
_TOKEN = re.compile(r"\s*(?:(?P<number>[0-9]+)|(?P<sign>&&?|\|\|?|[<>!]?=|[<>!~^().*xX-]))\s*")
_COMPARISONS = ("=", "!=", ">", ">=", "<", "<=")

Allows = Callable[[str], bool]


def is_exact(text: str) -> bool:
    """Whether what follows a plugin's @ is one whole version."""
    return EXACT.fullmatch(text) is not None


def is_range(text: str) -> bool:
    """Whether it is an expression that can be read."""
    try:
        _allows(text)
    except ConfigError:
        return False
    return True


def meets(version: str, text: str) -> bool:
    """Whether a plugin's version is what `text` names, or one that it allows."""
    if text in ("", "*", version):
        return True
    try:
        return not is_exact(text) and _allows(text)(version)
    except ConfigError:
        return False


def _allows(text: str) -> Allows:
    """Return what an expression allows; ConfigError where it is none."""
    if len(text) > MAX_LENGTH:
        raise ConfigError(f"{text[:MAX_LENGTH]!r}… is too long for a condition on a version")
    try:
        return _Expression(text).read()
    except ValueError:
        if not {"+", ","} & {*text}:
            raise ConfigError(f"{text!r} is no condition on a version") from None
        conditions = versions.conditions(text)
        return lambda version: all(condition.met(version) for condition in conditions)


class _Expression:
    """An expression as it is read from left to right; ValueError where it is none."""

    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise ValueError(text)
            self._tokens.append(match["number"] or match["sign"])
            at = match.end()

    def read(self) -> Allows:
        allows = self._joined()
        if self._tokens:
            raise ValueError(self._tokens)
        return allows

    def _next(self) -> str:
        return self._tokens[0] if self._tokens else ""

    def _take(self, *wanted: str) -> str | None:
        """The next token, if it is one of these."""
        return self._tokens.pop(0) if self._next() in wanted and self._tokens else None

    def _joined(self) -> Allows:
        if self._take("!"):
            inner = self._bracketed()
            left: Allows = lambda version: not inner(version)  # noqa: E731
        else:
            left = self._bracketed() if self._next() == "(" else self._range()
        joint = self._take("&", "&&", "|", "||")
        if joint is None:
            return left
        right = self._joined()
        if "&" in joint:
            return lambda version: left(version) and right(version)
        return lambda version: left(version) or right(version)

    def _bracketed(self) -> Allows:
        if not self._take("("):
            raise ValueError(self._tokens)
        inner = self._joined()
        if not self._take(")"):
            raise ValueError(self._tokens)
        return inner

    def _range(self) -> Allows:
        if self._take("*", "x", "X"):
            return lambda version: True
        sign = self._take("~", "^", *_COMPARISONS)
        numbers, has_wildcard = self._numbers()
        if sign in _COMPARISONS and not has_wildcard:
            return _compared(sign or "=", numbers)
        if sign is None and self._take("-"):
            last, is_open = self._numbers()
            if is_open or has_wildcard:
                raise ValueError(self._tokens)
            return _both(_compared(">=", numbers), _compared("<=", last))
        if (sign and has_wildcard) or (has_wildcard and len(numbers) > 2):
            raise ValueError(self._tokens)
        if sign is None and len(numbers) == 3:
            return _compared("=", numbers)
        return _both(_compared(">=", numbers), _compared("<", _above(numbers, sign)))

    def _numbers(self) -> tuple[list[int], bool]:
        """Up to three numbers of a version, and whether a wildcard stands for the next one."""
        numbers: list[int] = []
        while self._next().isdecimal() and len(numbers) < 3:
            numbers.append(int(self._tokens.pop(0)))
            if not self._take("."):
                return numbers, False
            if self._take("*", "x", "X"):
                return numbers, True
        raise ValueError(self._tokens)


def _above(numbers: list[int], sign: str | None) -> list[int]:
    """The first version that is no longer of a range: `~` holds major and minor, `^` what is first
    no 0, and a partial version or a wildcard all that it names."""
    held = min(len(numbers), 2)
    if sign == "^":
        held = next((at for at, number in enumerate(numbers, 1) if number), len(numbers))
    return [*numbers[:held - 1], numbers[held - 1] + 1]


def _compared(operator: str, numbers: list[int]) -> Allows:
    condition = versions.Condition(operator=operator, version=".".join(map(str, numbers)))
    return condition.met


def _both(one: Allows, other: Allows) -> Allows:
    return lambda version: one(version) and other(version)
