"""The values that a Groovy expression can have when images are pulled by the Docker engine.

An expression has a *set* of possible values: where a condition can't be known, both branches
count, since a run may take either. What can't be known at all is an Unknown that says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tasks.images.tokens import GSTRING, NAME, NEWLINE, NUMBER, STRING, Token, closing
from tasks.images.values import Unknown, Values, combine, elvis, joined, truths

ENGINE = "docker"
PROJECT = "\0"
"""Stands for the pipeline's own folder in a path."""


COMPARISONS = ("==", "!=", "<", ">", "<=", ">=", "=~", "==~")
Names = Mapping[str, Values]
KNOWN: Names = {
    "workflow.containerEngine": frozenset([ENGINE]),
    "projectDir": frozenset([PROJECT]),
    "baseDir": frozenset([PROJECT]),
    "workflow.projectDir": frozenset([PROJECT]),
}

PLAIN_METHODS: Mapping[str, Callable[[str], str]] = {
    "toString": str, "trim": str.strip, "toLowerCase": str.lower}
ASKING_METHODS: Mapping[str, Callable[[str, str], bool]] = {
    "startsWith": lambda text, given: text.startswith(given),
    "endsWith": lambda text, given: text.endswith(given),
    "contains": lambda text, given: given in text}


def evaluate(tokens: Sequence[Token], start: int, names: Names) -> tuple[Values, int]:
    """The values of the expression that begins at `start`, and the index behind it."""
    reader = _Reader(tokens, start, {**KNOWN, **names})
    return reader.expression(), reader.at


def ends_statement(tokens: Sequence[Token], at: int) -> bool:
    """Whether a statement is over at `at`."""
    return at >= len(tokens) or tokens[at].kind == NEWLINE or tokens[at].is_op(";", "}")


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
            return self._unknown("a ternary without its second half")
        otherwise = self.expression()
        ways = truths(condition)
        return (then if True in ways else frozenset()) | (
            otherwise if False in ways else frozenset())

    def _either(self) -> Values:
        values = self._both()
        while self._take("||"):
            right = truths(self._both())
            ways = truths(values)
            values = frozenset(({True} if True in ways else set())
                               | (set(right) if False in ways else set()))
        return values

    def _both(self) -> Values:
        values = self._compared()
        while self._take("&&"):
            right = truths(self._compared())
            ways = truths(values)
            values = frozenset(({False} if False in ways else set())
                               | (set(right) if True in ways else set()))
        return values

    def _compared(self) -> Values:
        values = self._sum()
        while True:
            operator = self._peek()
            if operator is None:
                return values
            if operator.is_op(*COMPARISONS) or operator.is_name("in"):
                self._skip_newlines()
                self.at += 1
                values = combine(operator.text, values, self._sum())
            else:
                return values

    def _sum(self) -> Values:
        values = self._unary()
        while self._here("+", "-", "*", "/", "%", "<<"):
            operator = self.tokens[self.at].text
            self.at += 1
            values = combine(operator, values, self._unary())
        return values

    def _unary(self) -> Values:
        self._skip_newlines()
        if self._here("!"):
            self.at += 1
            return frozenset(not way for way in truths(self._unary()))
        if self._here("-", "+"):
            self.at += 1
            self._unary()
            return self._unknown("a number")
        return self._with_members(*self._primary())

    def _primary(self) -> tuple[Values, str | None]:
        """A value; and where it is a name that isn't set, the name."""
        if self.at >= len(self.tokens):
            return self._unknown("nothing where a value must stand"), None
        token = self.tokens[self.at]
        self.at += 1
        if token.kind == NAME:
            return self._named(token.text)
        values = self._unknown(f"{token.text!r}")
        if token.kind == STRING:
            values = frozenset([token.text])
        elif token.kind == GSTRING:
            values = self._gstring(token)
        elif token.kind == NUMBER:
            values = frozenset([int(token.text) if token.text.isdecimal() else token.text])
        elif token.is_op("["):
            values = self._list()
        elif token.is_op("(", "{"):
            end = closing(self.tokens, self.at - 1)
            if token.text == "{":
                values = block(self.tokens[self.at:end], self.names)
            else:
                values = self.expression()
                if not self._take(")"):
                    values = self._unknown("an expression too hard to read")
            self.at = end + 1
        return values, None

    def _named(self, name: str) -> tuple[Values, str | None]:
        constants: dict[str, Values] = {"true": frozenset([True]), "false": frozenset([False]),
                                       "null": frozenset([None])}
        if name in constants:
            return constants[name], None
        if name == "new":
            while self.at < len(self.tokens) and (
                    self.tokens[self.at].kind == NAME or self._here(".")):
                self.at += 1
            return self._unknown("an object made at run time"), "new"
        return self.names.get(name, self._unknown(name)), name

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
                    values = self.names.get(name or "", self._unknown(name or f".{member}"))
            elif self._here("(", "["):
                self.at = closing(self.tokens, self.at) + 1
                values, name = self._unknown(f"{name or 'a value'}(…)"), None
            else:
                return values

    def _call(self, values: Values, method: str) -> Values:
        """What a method of strings answers; other methods are unknown."""
        end = closing(self.tokens, self.at)
        inner = self.tokens[self.at + 1:end]
        self.at = end + 1
        given, _ = evaluate(inner, 0, self.names) if inner else (frozenset([None]), 0)
        found: set[Any] = set()
        for value in values:
            for argument in given:
                if isinstance(value, Unknown):
                    found.add(value)
                elif isinstance(value, str) and method in PLAIN_METHODS and not inner:
                    found.add(PLAIN_METHODS[method](value))
                elif isinstance(value, str) and method in ASKING_METHODS and isinstance(
                        argument, str):
                    found.add(ASKING_METHODS[method](value, argument))
                else:
                    found |= self._unknown(f"{method}(…)")
        return frozenset(found)

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
                return self._unknown("a list or map")
            items += values
        self.at = end + 1
        return frozenset([tuple(items)])

    def _gstring(self, token: Token) -> Values:
        texts: set[str | Unknown] = {""}
        for part in token.parts:
            if isinstance(part, str):
                texts = {text if isinstance(text, Unknown) else text + part for text in texts}
                continue
            values, end = evaluate(part, 0, self.names) if part else (frozenset([None]), 0)
            if any(each.kind != NEWLINE for each in part[end:]):
                values = block(part, self.names)
            texts = {joined(text, value) for text in texts for value in values}
        return frozenset(texts)

    def _peek(self) -> Token | None:
        """The next token that isn't a line end: an operator may stand on the next line."""
        return next((each for each in self.tokens[self.at:self.at + 200] if each.kind != NEWLINE),
                    None)

    def _here(self, *operators: str) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at].is_op(*operators)

    def _take(self, operator: str) -> bool:
        following = self._peek()
        if following is None or not following.is_op(operator):
            return False
        self._skip_newlines()
        self.at += 1
        return True

    def _skip_newlines(self) -> None:
        while self.at < len(self.tokens) and self.tokens[self.at].kind == NEWLINE:
            self.at += 1

    @staticmethod
    def _unknown(why: str) -> Values:
        return frozenset([Unknown(why)])


def block(tokens: Sequence[Token], names: Names) -> Values:
    """What a closure's body returns: its `return`, else its last expression."""
    values, _ = _statements(tokens, dict(names))
    return values


def _statements(tokens: Sequence[Token], names: dict[str, Values]) -> tuple[Values, bool]:
    """The values of the last statement or of a `return`, and whether one surely returned."""
    values: Values = frozenset([None])
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if token.kind == NEWLINE or token.is_op(";"):
            at += 1
        elif token.is_name("if"):
            ways, then, otherwise, at = branches(tokens, at, names)
            found: Values = frozenset()
            for way, body in ((True, then), (False, otherwise)):
                if way in ways:
                    more, returned = _statements(body, names)
                    found |= more
                    if returned and len(ways) == 1:
                        return more, True
            values = found
        elif token.is_name("return"):
            values, _ = evaluate(tokens, at + 1, names)
            return values, True
        else:
            assigned = assignment(tokens, at)
            result, end = evaluate(tokens, assigned[1] if assigned else at, names)
            if not ends_statement(tokens, end):
                return frozenset([Unknown(f"the code in line {token.line}")]), True
            if assigned:
                names[assigned[0]] = result
            values, at = result, max(end, at + 1)
    return values, False


def assignment(tokens: Sequence[Token], at: int) -> tuple[str, int] | None:
    """Name and index of the value where `[def|final|Type] name = …` begins at `at`."""
    found = at
    while found + 1 < len(tokens) and tokens[found].kind == NAME and tokens[found + 1].kind == NAME:
        found += 1
    if (found + 1 < len(tokens) and tokens[found].kind == NAME and tokens[found + 1].is_op("=")
            and found - at <= 2):
        return tokens[found].text, found + 2
    return None


def branches(tokens: Sequence[Token], at: int, names: Names,
             ) -> tuple[frozenset[bool], Sequence[Token], Sequence[Token], int]:
    """An `if` at `at`: the ways that it can go, its two bodies, and the index behind it."""
    start = at + 1
    end = closing(tokens, start)
    values, read = evaluate(tokens[start + 1:end], 0, names)
    rest = tokens[start + 1 + read:end]
    ways = truths(values)
    if any(each.kind != NEWLINE for each in rest):
        ways = frozenset({True, False})
    then, at = _body(tokens, end + 1)
    otherwise: Sequence[Token] = []
    following = at
    while following < len(tokens) and (tokens[following].kind == NEWLINE
                                       or tokens[following].is_op(";")):
        following += 1
    if following < len(tokens) and tokens[following].is_name("else"):
        otherwise, at = _body(tokens, following + 1)
    return ways, then, otherwise, at


def _body(tokens: Sequence[Token], at: int) -> tuple[Sequence[Token], int]:
    """A block in braces, or the single statement that stands instead of one."""
    while at < len(tokens) and tokens[at].kind == NEWLINE:
        at += 1
    if at < len(tokens) and tokens[at].is_op("{"):
        end = closing(tokens, at)
        return tokens[at + 1:end], end + 1
    if at < len(tokens) and tokens[at].is_name("if"):
        _, _, _, end = branches(tokens, at, {})
        return tokens[at:end], end
    end = skip_statement(tokens, at)
    return tokens[at:end], end


def skip_statement(tokens: Sequence[Token], at: int) -> int:
    """The index behind the statement at `at`: its line's end outside of all brackets."""
    while not ends_statement(tokens, at):
        at = closing(tokens, at) + 1 if tokens[at].is_op("(", "[", "{") else at + 1
    return min(at, len(tokens))
