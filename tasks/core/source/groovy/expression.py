"""The values that a Groovy expression can have, as far as the sources tell.

An expression has a *set* of possible values: where a condition can't be known, both branches
count, since a run may take either. What can't be known at all is an Unknown that says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.core import parsing
from tasks.core.source.groovy.syntax import (
    assignment,
    ends_statement,
    skip_newlines,
    skip_statement,
)
from tasks.core.source.groovy.tokens import GSTRING, NAME, NEWLINE, NUMBER, STRING, Token, closing
from tasks.core.source.groovy.values import (
    MAX_VALUES,
    Names,
    Unknown,
    Unset,
    Values,
    called,
    combine,
    elvis,
    joined,
    truths,
)

COMPARISONS = ("==", "!=", "<", ">", "<=", ">=", "=~", "==~")
CONSTANTS: Mapping[str, Values] = {"true": frozenset([True]), "false": frozenset([False]),
                                   "null": frozenset([None])}
CLOSURE = "{}"
"""Stands for the name of a closure, whose value is taken to be what it returns."""


def evaluate(tokens: Sequence[Token], start: int, names: Names) -> tuple[Values, int]:
    """The values of the expression that begins at `start`, and the index behind it.

    `names` holds the values of names, dotted ones among them; those of `known` are its base.
    """
    reader = _Reader(tokens, start, names)
    return reader.expression(), reader.at


class _Reader:
    """Recursive descent in the order of Groovy's operator precedence."""

    def __init__(self, tokens: Sequence[Token], at: int, names: Names) -> None:
        self.tokens, self.at, self.names = tokens, at, names

    def expression(self) -> Values:
        condition = self._either()
        if self._take("?:"):
            return elvis(condition, self.expression())
        if not self._take("?"):
            return condition
        then = self.expression()
        if not self._take(":"):
            return _unknown("a ternary without its second half")
        otherwise = self.expression()
        ways = truths(condition)
        return (then if True in ways else frozenset()) | (
            otherwise if False in ways else frozenset())

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
            if operator is None or not (operator.is_op(*COMPARISONS) or operator.is_name("in")):
                return values
            self._skip_newlines()
            self.at += 1
            values = combine(operator.text, values, self._sum())

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
            self._unary()
            return _unknown("a number")
        self._skip_newlines()
        return self._with_members(*self._primary())

    def _primary(self) -> tuple[Values, str | None]:
        """A value; and where it is a name that isn't set, the name."""
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
            values = self._list()
        elif token.is_op("(", "{"):
            end = closing(self.tokens, self.at - 1)
            inner = skip_newlines(self.tokens, self.at - 1 + (token.text == "("))
            name = (CLOSURE if inner < len(self.tokens) and self.tokens[inner].is_op("{")
                    else None)
            if token.text == "{":
                values = block(self.tokens[self.at:end], self.names)
            else:
                values = self.expression()
                if not self._take(")"):
                    values = _unknown("an expression too hard to read")
            self.at = end + 1
            return values, name
        return values, None

    def _named(self, name: str) -> tuple[Values, str | None]:
        if name in CONSTANTS:
            return CONSTANTS[name], None
        if name == "new":
            while self.at < len(self.tokens) and (
                    self.tokens[self.at].kind == NAME or self._here(".")):
                self.at += 1
            return _unknown("an object made at run time"), "new"
        return self.names.get(name, _unknown(name)), name

    def _with_members(self, values: Values, name: str | None) -> Values:
        """Follow `.member`, `?.member`, calls and subscripts."""
        while True:
            following = self._peek()
            if following is not None and following.is_op(".", "?.", "*."):
                self._skip_newlines()
                self.at += 1
                member = self.tokens[self.at].text if self.at < len(self.tokens) else ""
                self.at += 1
                if self._here("("):
                    values, name = self._call(values, member), None
                else:
                    name = f"{name}.{member}" if name else None
                    values = self._member(name, member)
            elif name == CLOSURE and self._here("("):
                self.at, name = closing(self.tokens, self.at) + 1, None
            elif self._here("(", "["):
                self.at = closing(self.tokens, self.at) + 1
                values, name = _unknown(f"{name or 'a value'}(…)"), None
            else:
                return values

    def _member(self, name: str | None, member: str) -> Values:
        """The value of a dotted name; a task's `ext` that no config sets is unset in every run."""
        if name is not None and name in self.names:
            return self.names[name]
        if name and name.startswith("task.ext."):
            return frozenset([Unset(name)])
        return _unknown(name or f".{member}")

    def _call(self, values: Values, method: str) -> Values:
        """What a method of strings answers; other methods are unknown."""
        end = closing(self.tokens, self.at)
        inner = self.tokens[self.at + 1:end]
        self.at = end + 1
        given = [evaluate(inner, 0, self.names)[0]] if inner else []
        return called(values, method, *given)

    def _list(self) -> Values:
        """A list literal whose items have one value each; maps are unknown."""
        end = closing(self.tokens, self.at - 1)
        items: list[Any] = []
        while self.at < end:
            self._skip_newlines()
            if self.at >= end:
                break
            values = self.expression()
            self._skip_newlines()
            if len(values) != 1 or not (self.at >= end or self._take(",")):
                self.at = end + 1
                return _unknown("a list or map")
            items += values
        self.at = end + 1
        return frozenset([tuple(items)])

    def _gstring(self, token: Token) -> Values:
        texts: Values = frozenset([""])
        for part in token.parts:
            if isinstance(part, str):
                texts = frozenset(joined(text, part) for text in texts)
                continue
            values, end = evaluate(part, 0, self.names) if part else (frozenset([None]), 0)
            if any(each.kind != NEWLINE for each in part[end:]):
                values = block(part, self.names)
            if len(texts) * len(values) > MAX_VALUES:
                return _unknown(f"more than {MAX_VALUES} values")
            texts = frozenset(joined(text, value) for text in texts for value in values)
        return texts

    def _peek(self) -> Token | None:
        """The next token that isn't a line end: an operator may stand on the next line."""
        at = skip_newlines(self.tokens, self.at)
        return self.tokens[at] if at < len(self.tokens) else None

    def _here(self, *operators: str) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at].is_op(*operators)

    def _take(self, *operators: str) -> bool:
        following = self._peek()
        if following is None or not following.is_op(*operators):
            return False
        self._skip_newlines()
        self.at += 1
        return True

    def _skip_newlines(self) -> None:
        self.at = skip_newlines(self.tokens, self.at)


def _unknown(why: str) -> Values:
    return frozenset([Unknown(why)])


def block(tokens: Sequence[Token], names: Names) -> Values:
    """What a closure's body returns: its `return`, else its last expression."""
    values, _ = _statements(tokens, dict(names))
    return values


def _statements(tokens: Sequence[Token], names: dict[str, Values]) -> tuple[Values, bool]:
    """The values of the last statement or of a `return`, and whether one surely returned."""
    values: Values = frozenset([None])
    returns: Values = frozenset()
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if token.kind == NEWLINE or token.is_op(";"):
            at += 1
        elif token.is_name("if"):
            branch = branches(tokens, at, names)
            at = branch.end
            before, values = returns, frozenset()
            outcomes: list[dict[str, Values]] = []
            for _, body in branch.bodies():
                outcomes.append(dict(names))
                more, returned = _statements(body, outcomes[-1])
                if returned and len(branch.ways) == 1:
                    return before | more, True
                if returned:
                    returns |= more
                else:
                    values |= more
            names.update(merged(outcomes))
        elif token.is_name("return"):
            values, _ = evaluate(tokens, at + 1, names)
            return returns | values, True
        else:
            assigned = assignment(tokens, at)
            result, end = evaluate(tokens, assigned[1] if assigned else at, names)
            if not ends_statement(tokens, end):
                return _unknown(f"the code in line {token.line}"), True
            if assigned:
                names[assigned[0]] = result
            values, at = result, max(end, at + 1)
    return returns | values, False


def merged(outcomes: Sequence[Names]) -> dict[str, Values]:
    """The values that names can have after one of several ways was taken."""
    return {name: frozenset().union(*(each.get(name, frozenset()) for each in outcomes))
            for name in {name for each in outcomes for name in each}}


@dataclass(frozen=True, kw_only=True)
class Branch:
    """An `if`: its condition, the ways that it can go, its two bodies, and the index behind it."""

    condition: Sequence[Token]
    ways: frozenset[bool]
    then: Sequence[Token]
    otherwise: Sequence[Token]
    end: int

    def bodies(self) -> Iterator[tuple[bool, Sequence[Token]]]:
        """What can be run, with the way that the condition went."""
        if True in self.ways:
            yield True, self.then
        if False in self.ways:
            yield False, self.otherwise


def branches(tokens: Sequence[Token], at: int, names: Names) -> Branch:
    """The `if` that stands at `at`."""
    start = at + 1
    end = closing(tokens, start)
    values, read = evaluate(tokens[start + 1:end], 0, names)
    rest = tokens[start + 1 + read:end]
    ways = truths(values)
    if any(each.kind != NEWLINE for each in rest):
        ways = frozenset({True, False})
    then, at = _body(tokens, end + 1)
    otherwise: Sequence[Token] = []
    following = skip_newlines(tokens, at)
    while following < len(tokens) and tokens[following].is_op(";"):
        following = skip_newlines(tokens, following + 1)
    if following < len(tokens) and tokens[following].is_name("else"):
        otherwise, at = _body(tokens, following + 1)
    return Branch(condition=tokens[start + 1:end], ways=ways, then=then, otherwise=otherwise,
                  end=at)


def _body(tokens: Sequence[Token], at: int) -> tuple[Sequence[Token], int]:
    """A block in braces, or the single statement that stands instead of one."""
    at = skip_newlines(tokens, at)
    if at < len(tokens) and tokens[at].is_op("{"):
        end = closing(tokens, at)
        return tokens[at + 1:end], end + 1
    if at < len(tokens) and tokens[at].is_name("if"):
        end = branches(tokens, at, {}).end
        return tokens[at:end], end
    end = skip_statement(tokens, at)
    return tokens[at:end], end
