"""The values that an expression or code of several statements can have, without running it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tasks.core.source.groovy.grammar import Expressions
from tasks.core.source.groovy.narrowing import narrowed
from tasks.core.source.groovy.syntax import (
    assignment,
    begins_command,
    ends_statement,
    skip_newlines,
    skip_statement,
)
from tasks.core.source.groovy.tokens import NAME, NEWLINE, Token, closing
from tasks.core.source.groovy.values import Names, Unknown, Values, combine, truths, unwrapped


def evaluate(tokens: Sequence[Token], start: int, names: Names) -> tuple[Values, int]:
    """The values of the expression that begins at `start`, and the index behind it.

    `names` holds the values of names, dotted ones among them; those of `known` are its base.
    """
    reader = _Reader(tokens, start, names)
    return reader.expression(), reader.at


class _Reader(Expressions):
    def block(self, tokens: Sequence[Token]) -> Values:
        return block(tokens, self.names)


def block(tokens: Sequence[Token], names: Names) -> Values:
    """What a closure's or function's body returns: its `return`, else its last expression."""
    code = _Code(tokens, dict(names))
    code.run()
    return code.returns if code.is_over else code.returns | code.values


class _Code:
    """Statements, run in all ways that they can go.

    `values` are those of the last statement, `returns` those of each `return`; `is_over` says that
    nothing behind them is ever run, `has_left` that only a `break` or `continue` kept it from that.
    """

    def __init__(self, tokens: Sequence[Token], names: dict[str, Values]) -> None:
        self.tokens, self.names = tokens, names
        self.values: Values = frozenset([None])
        self.returns: Values = frozenset()
        self.is_over = self.has_left = False

    def run(self) -> None:
        at = 0
        while at < len(self.tokens) and not self.is_over and not self.has_left:
            token = self.tokens[at]
            following = self.tokens[at + 1] if at + 1 < len(self.tokens) else None
            has_bracket = following is not None and following.is_op("(")
            if token.kind == NEWLINE or token.is_op(";"):
                at += 1
            elif token.is_name("if") and has_bracket:
                at = self._if(at)
            elif token.is_name("switch") and has_bracket:
                at = self._switch(at)
            elif token.is_name("for", "while") and has_bracket:
                at = self._loop(at)
            elif token.is_name("try") and following is not None and following.is_op("{"):
                at = self._try(at)
            elif token.is_name("return"):
                self.returns |= evaluate(self.tokens, at + 1, self.names)[0]
                self.is_over = True
            elif token.is_name("throw"):
                self.is_over = True
            elif token.is_name("break", "continue"):
                self.has_left = True
            else:
                at = self._statement(at)

    def _statement(self, at: int) -> int:
        """A variable's new value, an expression, or a call whose arguments have no brackets."""
        tokens, names = self.tokens, self.names
        name, sign, start = _target(tokens, at)
        values, end = evaluate(tokens, start, names)
        if name and ends_statement(tokens, end):
            values = combine(sign, names.get(name, frozenset([Unknown(name)])), values) if (
                sign != "=") else values
            names[name] = values
        elif not name and begins_command(tokens, at):
            values, end = frozenset([Unknown(tokens[at].text)]), skip_statement(tokens, at)
            self._forget(tokens[at:end])
        if not ends_statement(tokens, end):
            self.returns |= frozenset([Unknown(f"the code in line {tokens[at].line}")])
            self.is_over = True
        self.values = values
        return max(end, at + 1)

    def _forget(self, tokens: Sequence[Token]) -> None:
        """What a closure may have set is not known behind it."""
        for token, following in pairwise(tokens):
            if token.text in self.names and following.is_op("=", "+=", "<<"):
                self.names[token.text] = frozenset([Unknown(token.text)])

    def _if(self, at: int) -> int:
        branch = branches(self.tokens, at, self.names)
        self._merge([self._way(body, narrowed(branch.condition, way, self.names)
                               if len(branch.ways) > 1 else self.names)
                     for way, body in branch.bodies()])
        return branch.end

    def _way(self, body: Sequence[Token], names: Names) -> _Code:
        code = _Code(body, dict(names))
        code.run()
        return code

    def _merge(self, ways: Sequence[_Code]) -> None:
        """Go on behind several ways, of which one was taken."""
        self.returns |= frozenset().union(*(way.returns for way in ways))
        going = [way for way in ways if not way.is_over]
        self.is_over = bool(ways) and not going
        self.values = frozenset().union(*(way.values for way in going))
        self.has_left = bool(going) and all(way.has_left for way in going)
        if going:
            self.names = merged([way.names for way in going])

    def _loop(self, at: int) -> int:
        """A body that is run any number of times; what it changes at each is not known."""
        end = closing(self.tokens, at + 1)
        head = self.tokens[at + 2:end]
        body, after = _body(self.tokens, end + 1)
        names = {**self.names, **{token.text: frozenset([Unknown(token.text)])
                                  for token in head[:2] if token.kind == NAME}}
        once = self._way(body, names)
        both = merged([names, once.names])
        twice = self._way(body, both)
        for name in [name for name, values in twice.names.items() if values != once.names.get(name)
                     and not values <= both.get(name, frozenset())]:
            both[name] = frozenset([Unknown(name)])
        self.returns |= once.returns | twice.returns
        self.names, self.values = both, frozenset([None])
        return after

    def _try(self, at: int) -> int:
        """The body, or what stands in a `catch`; `finally` has no values of its own."""
        body, at = _body(self.tokens, at + 1)
        ways = [self._way(body, self.names)]
        while (following := skip_newlines(self.tokens, at)) < len(self.tokens):
            if self.tokens[following].is_name("catch"):
                body, at = _body(self.tokens, closing(self.tokens, following + 1) + 1)
                ways.append(self._way(body, merged([self.names, ways[0].names])))
            elif self.tokens[following].is_name("finally"):
                at = _body(self.tokens, following + 1)[1]
            else:
                break
        self._merge(ways)
        return at

    def _switch(self, at: int) -> int:
        """Each case that the value can be, and those that it falls through to."""
        end = closing(self.tokens, at + 1)
        subject, _ = evaluate(self.tokens[at + 2:end], 0, self.names)
        body, after = _body(self.tokens, end + 1)
        ways: list[_Code] = []
        through: _Code | None = None
        is_open = True
        for labels, statements, is_alone in _cases(body):
            fits = frozenset([True]) if labels is None else _fit(subject, labels, self.names)
            starts = [self.names] if is_open and True in fits else []
            is_open = is_open and False in fits
            if through is not None:
                starts.append(through.names)
            if not starts:
                continue
            through = self._way(statements, merged(starts))
            self.returns |= through.returns
            if is_alone or through.is_over or through.has_left:
                through.has_left = False
                ways.append(through)
                through = None
        ways += [] if through is None else [through]
        if is_open:
            ways.append(_Code([], dict(self.names)))
        self._merge(ways)
        return after


def _target(tokens: Sequence[Token], at: int) -> tuple[str, str, int]:
    """What a statement sets, by which sign, and where its value begins; an empty name for nothing.
    """
    assigned = assignment(tokens, at)
    if assigned:
        return assigned[0], "=", assigned[1]
    end = at
    while end + 2 < len(tokens) and tokens[end].kind == NAME and tokens[end + 1].is_op("."):
        end += 2
    if (end + 1 < len(tokens) and tokens[end].kind == NAME
            and tokens[end + 1].is_op("=", "+=", "<<")):
        return "".join(token.text for token in tokens[at:end + 1]), tokens[end + 1].text.replace(
            "+=", "+"), end + 2
    return "", "", at


def _fit(subject: Values, labels: Sequence[Token], names: Names) -> frozenset[bool]:
    """Which ways the question can go whether a `switch` takes this case."""
    values, end = evaluate(labels, 0, names)
    if end < len(labels):
        return frozenset([True, False])
    choices = {choice for value in values
               for choice in (unwrapped(value) if isinstance(unwrapped(value), tuple) else [value])}
    return truths(combine("in", subject, frozenset([tuple(sorted(choices, key=str))])))


def _cases(body: Sequence[Token],
           ) -> Iterator[tuple[Sequence[Token] | None, Sequence[Token], bool]]:
    """The cases of a `switch`, None for its default, with the statements of each, and whether it
    stands by itself (`case 'a' -> …`).
    """
    starts: list[tuple[int, int, Sequence[Token] | None]] = []
    at = 0
    while at < len(body):
        if body[at].is_op("(", "[", "{"):
            at = closing(body, at)
        elif body[at].is_name("case", "default"):
            colon = at + 1
            while colon < len(body) and not body[colon].is_op(":", "->"):
                colon = closing(body, colon) + 1 if body[colon].is_op("(", "[", "{") else colon + 1
            starts.append((at, colon + 1,
                           body[at + 1:colon] if body[at].is_name("case") else None))
            at = colon
        at += 1
    for index, (_, start, labels) in enumerate(starts):
        end = starts[index + 1][0] if index + 1 < len(starts) else len(body)
        yield labels, body[start:end], body[start - 1].is_op("->")


def merged(outcomes: Sequence[Names]) -> dict[str, Values]:
    """The values that names can have after one of several ways was taken."""
    if len(outcomes) == 1:
        return dict(outcomes[0])
    return {name: frozenset().union(*(names.get(name, frozenset()) for names in outcomes))
            for name in {name for names in outcomes for name in names}}


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
    if any(token.kind != NEWLINE for token in rest):
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
