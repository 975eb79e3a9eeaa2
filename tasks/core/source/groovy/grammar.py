"""Groovy's expressions in the order of its operator precedence, and the values that they can have.

An expression has a *set* of possible values: where a condition can't be known, both branches
count, since a run may take either. What can't be known at all is an Unknown that says why.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tasks.core import parsing
from tasks.core.source.groovy.cursor import Cursor
from tasks.core.source.groovy.library import LIBRARY, Library
from tasks.core.source.groovy.methods import called, formatted, member
from tasks.core.source.groovy.narrowing import narrowed
from tasks.core.source.groovy.syntax import (
    arguments,
    entry_colon,
    skip_newlines,
    without_parameters,
)
from tasks.core.source.groovy.tokens import GSTRING, NAME, NEWLINE, NUMBER, STRING, Token, closing
from tasks.core.source.groovy.values import (
    MAX_VALUES,
    Names,
    Record,
    Unknown,
    Values,
    combine,
    elvis,
    joined,
    lookup,
    put_into,
    truths,
    unset,
    unwrapped,
)

COMPARISONS = ("==", "!=", "<", ">", "<=", ">=", "=~", "==~")
CONSTANTS: Mapping[str, Values] = {"true": frozenset([True]), "false": frozenset([False]),
                                   "null": frozenset([None])}
CLOSURE = "{}"
"""Stands for the name of a closure, whose value is taken to be what it returns."""


class Expressions(Cursor, ABC):
    """What the expressions of `tokens` can be, where names have the values `names`."""

    def __init__(self, tokens: Sequence[Token], at: int, names: Names) -> None:
        super().__init__(tokens, at)
        self.names = names

    @abstractmethod
    def block(self, tokens: Sequence[Token]) -> Values:
        """What code of several statements returns."""

    def expression(self) -> Values:
        start = self.at
        condition = self._either()
        if self._take("?:"):
            return elvis(condition, self.expression())
        question = self.at
        if not self._take("?"):
            return condition
        ways = truths(condition)
        then = self._way(start, question, ways, True)
        if not self._take(":"):
            return _unknown("a ternary without its second half")
        return then | self._way(start, question, ways, False)

    def _way(self, start: int, end: int, ways: frozenset[bool], way: bool) -> Values:
        """A half of a ternary whose condition stands between `start` and `end`."""
        names = self.names
        if way in ways and len(ways) > 1:
            self.names = narrowed(self.tokens[start:end], way, names)
        values = self.expression()
        self.names = names
        return values if way in ways else frozenset()

    def _either(self) -> Values:
        return self._logical("||", True, self._both)

    def _both(self) -> Values:
        return self._logical("&&", False, self._compared)

    def _logical(self, operator: str, decides: bool, operand: Callable[[], Values]) -> Values:
        """`a || b`, which a true side decides, or `a && b`, which a false one does."""
        values = operand()
        while self._take(operator):
            ways, right = truths(values), truths(operand())
            values = (ways & {decides}) | (right if (not decides) in ways else frozenset())
        return values

    def _compared(self) -> Values:
        values = self._sum()
        while True:
            operator = self._peek()
            if operator is not None and operator.is_name("as"):
                values = self._cast(values)
            elif operator is None or not (operator.is_op(*COMPARISONS) or operator.is_name("in")):
                return values
            else:
                self._skip_newlines()
                self.at += 1
                values = combine(operator.text, values, self._sum())

    def _cast(self, values: Values) -> Values:
        """`… as Type`: a text for String, the same for other types."""
        self._skip_newlines()
        kind = ""
        self.at += 1
        while self.at < len(self.tokens) and (self.tokens[self.at].kind == NAME
                                              or self._here(".")):
            kind = self.tokens[self.at].text
            self.at += 1
        return called(values, "toString") if kind == "String" else values

    def _sum(self) -> Values:
        values = self._unary()
        while self._here("+", "-", "*", "/", "%", "<<"):
            operator = self.tokens[self.at].text
            self.at += 1
            values = combine(operator, values, self._unary())
        return values

    def _unary(self) -> Values:
        if self._take("!"):
            return frozenset(not way for way in truths(self._unary()))
        if self._take("-", "+"):
            sign = self.tokens[self.at - 1].text
            return combine(sign, frozenset([0]), self._unary())
        self._skip_newlines()
        return self._with_members(*self._primary())

    def _primary(self) -> tuple[Values, str | None]:
        """A value; and where it is a name, which may be the first part of a dotted one, that."""
        if self.at >= len(self.tokens):
            return _unknown("nothing where a value must stand"), None
        token = self.tokens[self.at]
        self.at += 1
        if token.kind == NAME:
            return self._named(token.text)
        values = _unknown(f"{token.text!r}")
        if token.kind == STRING:
            values = frozenset([token.text])
        elif token.kind == GSTRING:
            values = self._gstring(token)
        elif token.kind == NUMBER:
            number = parsing.whole_number(token.text)
            values = frozenset([token.text if number is None else number])
        elif token.is_op("["):
            values = self._collection()
        elif token.is_op("(", "{"):
            return self._bracket(token)
        return values, None

    def _bracket(self, token: Token) -> tuple[Values, str | None]:
        end = closing(self.tokens, self.at - 1)
        inner = skip_newlines(self.tokens, self.at - 1 + (token.text == "("))
        name = CLOSURE if inner < len(self.tokens) and self.tokens[inner].is_op("{") else None
        if token.text == "{":
            values = self.block(without_parameters(self.tokens[self.at:end]))
        else:
            values = self.expression()
            if not self._take(")"):
                values = _unknown("an expression too hard to read")
        self.at = end + 1
        return values, name

    def _named(self, name: str) -> tuple[Values, str | None]:
        if name in CONSTANTS:
            return CONSTANTS[name], None
        if name == "new":
            while self.at < len(self.tokens) and (
                    self.tokens[self.at].kind == NAME or self._here(".")):
                self.at += 1
            return _unknown("an object made at run time"), "new"
        return self._of_name(name) or _unknown(name), name

    def _of_name(self, name: str) -> Values | None:
        """What a dotted name stands for; of a map only where it is asked for as a whole."""
        return self.names.get(name) if self._goes_on() else lookup(self.names, name)

    def _goes_on(self) -> bool:
        """Whether what comes next asks for a part of a value."""
        following = self._peek()
        return following is not None and following.is_op(".", "?.", "*.", "[", "(")

    def _with_members(self, values: Values, name: str | None) -> Values:
        """Follow `.member`, `?.member`, calls and subscripts."""
        while True:
            following = self._peek()
            if following is not None and following.is_op(".", "?.", "*."):
                self._skip_newlines()
                self.at += 1
                key = self.tokens[self.at].text if self.at < len(self.tokens) else ""
                self.at += 1
                if self._here("("):
                    values, name = self._call(values, name, key), None
                else:
                    values, name = self._member(values, name, key)
            elif name == CLOSURE and self._here("("):
                self.at, name = closing(self.tokens, self.at) + 1, None
            elif self._here("["):
                values, name = self._subscript(values, name)
            elif self._here("("):
                values, name = self._function(name), None
            else:
                return values

    def _member(self, values: Values, name: str | None, key: str,
                ) -> tuple[Values, str | None]:
        """`value.key`; a task's `ext` that nothing sets is unset, and a param null."""
        dotted = f"{name}.{key}" if name else None
        known = self._of_name(dotted) if dotted else None
        if known is None and any(isinstance(unwrapped(value), Record) for value in values):
            known = member(values, frozenset([key]))
        if known is None and dotted and not self._goes_on():
            known = unset(dotted)
        if known is None and dotted and (library := self._library()):
            known = library.constant(dotted)
        return known or _unknown(dotted or f".{key}"), dotted

    def _subscript(self, values: Values, name: str | None) -> tuple[Values, str | None]:
        """`value[key]`, which of a map is the same as `value.key`."""
        given = self._arguments()
        if len(given) != 1:
            return _unknown(f"{name or 'a value'}[…]"), None
        return self._item(values, name, given[0])

    def _item(self, values: Values, name: str | None, key: Values) -> tuple[Values, str | None]:
        plain = unwrapped(next(iter(key))) if len(key) == 1 else None
        if name and isinstance(plain, str):
            dotted = f"{name}.{plain}"
            known = self._of_name(dotted)
            if known is not None:
                return frozenset(put_into(value, next(iter(key))) for value in known), dotted
        else:
            dotted = None
        if name and all(isinstance(value, Unknown) for value in values):
            values = lookup(self.names, name) or values
        return member(values, key), dotted

    def _call(self, values: Values, name: str | None, method: str) -> Values:
        """What a method answers, or a function of a class."""
        given = self._arguments()
        library = self._library()
        if name and library and (answer := library.call(f"{name}.{method}", given)) is not None:
            return answer
        if name == "String" and method == "format":
            return formatted(given)
        if name and given and method in ("get", "getAt", "getOrDefault", "containsKey"):
            return self._of_map(values, name, method, given)
        return called(values, method, *given)

    def _of_map(self, values: Values, name: str, method: str, given: Sequence[Values]) -> Values:
        """A method of a map that may be known by the names of its members alone."""
        known = None
        if all(isinstance(value, Unknown) for value in values):
            values = lookup(self.names, name) or values
        if method != "containsKey" and name == "params":  # in which any key can be set by a run
            known = next((lookup(self.names, f"params.{unwrapped(key)}") for key in given[0]), None)
            return known or (given[1] if len(given) > 1 else frozenset([None]))
        answer = called(values, method, *given)
        return answer - {False} or _unknown(f"{name}.{method}(…)") if name == "params" else answer

    def _function(self, name: str | None) -> Values:
        given = self._arguments()
        library = self._library()
        if name and library and (answer := library.call(name, given)) is not None:
            return answer
        return formatted(given) if name == "sprintf" else _unknown(f"{name or 'a value'}(…)")

    def _arguments(self) -> list[Values]:
        """What stands between the commas of the bracket that comes next."""
        given = arguments(self.tokens, self.at)
        self.at = closing(self.tokens, self.at) + 1
        return [self._of(part) for part in given]

    def _of(self, tokens: Sequence[Token]) -> Values:
        """The values of one whole expression."""
        inner = type(self)(tokens, 0, self.names)
        values = inner.expression()
        return values if skip_newlines(tokens, inner.at) >= len(tokens) else _unknown(
            "an expression too hard to read")

    def _library(self) -> Library | None:
        library: Library | None = next(iter(self.names.get(LIBRARY, ())), None)
        return library

    def _collection(self) -> Values:
        """A list, whose items have one value each, or a map."""
        start = self.at - 1
        parts = arguments(self.tokens, start)
        self.at = closing(self.tokens, start) + 1
        if not parts:
            return frozenset([()])
        if self.tokens[skip_newlines(self.tokens, start + 1)].is_op(":"):
            return frozenset([Record()])
        if any(entry_colon(part) is not None for part in parts):
            return self._map(parts)
        items: list[Any] = []
        for part in parts:
            values = self._of(part)
            if len(values) != 1:
                return _unknown("a list")
            items += values
        return frozenset([tuple(items)])

    def _map(self, parts: Sequence[Sequence[Token]]) -> Values:
        items: dict[Any, Values] = {}
        for part in parts:
            start = skip_newlines(part, 0)
            colon = entry_colon(part)
            if colon is None:
                return _unknown("a list or map")
            values = self._of(part[colon + 1:])
            if part[start].is_op("*"):
                spread = [unwrapped(value) for value in values]
                if len(spread) != 1 or not isinstance(spread[0], Record):
                    return _unknown("a map")
                items.update(spread[0].items)
                continue
            key = (frozenset([part[start].text]) if part[start].kind == NAME
                   else self._of(part[start:colon]))
            if len(key) != 1:
                return _unknown("a map")
            items[unwrapped(next(iter(key)))] = values
        return frozenset([Record(tuple(items.items()))])

    def _gstring(self, token: Token) -> Values:
        texts: Values = frozenset([""])
        for part in token.parts:
            if isinstance(part, str):
                texts = frozenset(joined(text, part) for text in texts)
                continue
            inner = type(self)(part, 0, self.names)
            values = inner.expression() if part else frozenset([None])
            if any(token.kind != NEWLINE for token in part[inner.at:]):
                values = self.block(without_parameters(part))
            if len(texts) * len(values) > MAX_VALUES:
                return _unknown(f"more than {MAX_VALUES} values")
            texts = frozenset(joined(text, value) for text in texts for value in values)
        return texts


def _unknown(why: str) -> Values:
    return frozenset([Unknown(why)])
