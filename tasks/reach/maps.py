"""Where code takes a member of a map that a param holds, by the member's own name.

`params.sets` may hold addresses of many data sets; which of them a run asks for hangs on where the
code takes them: `params.sets[params.set].index`, or, with `sets = params.sets`, `sets.get('index')`
in a workflow that this was handed down to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tasks.core.source.groovy.tokens import NAME, STRING, Token
from tasks.core.source.scripts import Definition

BRACKETS = {")": "(", "]": "["}


@dataclass(frozen=True, kw_only=True)
class Read:
    """A place that takes the member `key` of what stands behind `root`.

    `anchor` is the token that names the member; `via` are the names between.
    """

    key: str
    root: str
    via: tuple[str, ...]
    anchor: Token
    definition: Definition


def reads(definitions: Iterable[Definition], keys: Collection[str]) -> Iterator[Read]:
    """Every place that takes a member of one of these names."""
    for definition in definitions:
        for tokens in _lists(definition.body):
            for at, token in enumerate(tokens):
                if token.kind in (NAME, STRING) and token.text in keys and at:
                    chain = _chain(tokens, at)
                    if chain:
                        yield Read(key=token.text, root=chain[0], via=tuple(chain[1:]),
                                   anchor=token, definition=definition)


def _lists(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """The tokens, and those of each `${…}` in their strings."""
    yield tokens
    for token in tokens:
        for part in token.parts:
            if not isinstance(part, str):
                yield from _lists(part)


def _chain(tokens: Sequence[Token], at: int) -> list[str]:
    """The names before a member at `at`, the first one first; empty where it is none's member."""
    before = tokens[at - 1]
    if before.is_op(".", "?.") and tokens[at].kind == NAME:
        return _names(tokens, at - 2)
    if before.is_op("[") and tokens[at].kind == STRING:
        return _names(tokens, at - 2)
    if (before.is_op("(") and tokens[at].kind == STRING and at > 2
            and tokens[at - 2].is_name("get", "getAt") and tokens[at - 3].is_op(".", "?.")):
        return _names(tokens, at - 4)
    return []


def _names(tokens: Sequence[Token], at: int) -> list[str]:
    """The names of an expression that ends at `at`: `a.b(…)[…].c` gives a, b, c."""
    names: list[str] = []
    while at >= 0:
        while at >= 0 and tokens[at].is_op(*BRACKETS):
            at = _opening(tokens, at) - 1
        if at < 0 or tokens[at].kind != NAME:
            break
        names.append(tokens[at].text)
        if at == 0 or not tokens[at - 1].is_op(".", "?."):
            break
        at -= 2
    return names[::-1]


def _opening(tokens: Sequence[Token], at: int) -> int:
    """The index of the bracket that the one at `at` closes."""
    depth = 0
    while at >= 0:
        depth += tokens[at].is_op(")", "]", "}") - tokens[at].is_op("(", "[", "{")
        if depth == 0:
            break
        at -= 1
    return at
