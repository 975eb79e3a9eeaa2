"""Params in scripts: what a script sets by itself, and what an include hands on.

A script sets a param only where a run, a config or the including script has not; a module has
params of its own, beginning with those that its includer had at that place (tried, 24.10).
`addParams(…)` is stronger than the config, and `params(…)` takes the place of all params.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tasks.core.source.groovy.expression import evaluate
from tasks.core.source.groovy.syntax import skip_newlines, skip_value
from tasks.core.source.groovy.tokens import NAME, NEWLINE, OP, STRING, Token, closing
from tasks.core.source.groovy.values import Names, Record, Unset, Values, unwrapped


@dataclass(frozen=True, kw_only=True)
class Given:
    """Params that a script gets from the one that includes it, by their dotted names.

    `is_all` where there are no others: those of the config are not known to it. Unset among the
    values says that another includer does not give this one.
    """

    params: Mapping[str, Values] = field(default_factory=dict)
    is_all: bool = False

    def names(self, base: Names) -> dict[str, Values]:
        """The names that the script knows, over those that hold in all scripts."""
        kept = ({name: values for name, values in base.items() if not name.startswith("params.")}
                if self.is_all else dict(base))
        for name, values in self.params.items():
            sure = frozenset(value for value in values if not isinstance(value, Unset))
            if sure:
                kept[name] = sure
        return kept

    def handed_on(self, set_here: Mapping[str, Values], options: Sequence[Token],
                  names: Names) -> Given:
        """What an include with these options gives, where `set_here` are the params by scripts."""
        word = next((token for token in options if token.is_name("addParams", "params")), None)
        start = skip_newlines(options, options.index(word) + 1) if word else len(options)
        own = {**self.params, **set_here}
        if word is None or start >= len(options) or not options[start].is_op("("):
            return Given(params=own, is_all=self.is_all)
        added = _named(options[start + 1:closing(options, start)], names)
        if added is None:
            return Given(params=own, is_all=self.is_all)
        return (Given(params=added, is_all=True) if word.text == "params"
                else Given(params={**own, **added}, is_all=self.is_all))

    def joined(self, other: Given) -> Given:
        """What a script gets that both give something."""
        both = {name: (self._values(name) | other._values(name))
                for name in {**self.params, **other.params}}
        return Given(params=both, is_all=self.is_all and other.is_all)

    def _values(self, name: str) -> Values:
        return self.params.get(name, frozenset([Unset(name)]))


def _named(tokens: Sequence[Token], names: Names) -> dict[str, Values] | None:
    """Params by the map in an include's brackets; None where it can't be known."""
    listed = [Token(OP, "[", 0), *tokens, Token(OP, "]", 0)]
    values = [unwrapped(value) for value in evaluate(listed, 0, names)[0]]
    if len(values) == 1 and isinstance(values[0], tuple) and len(values[0]) == 1:
        values = [unwrapped(values[0][0])]
    if len(values) != 1 or not isinstance(values[0], Record):
        return None
    return {f"params.{key}": item for key, item in values[0].items}


def param_set(tokens: Sequence[Token], at: int) -> tuple[tuple[str, ...], int] | None:
    """The param that `params.a.b = …` sets at `at`, and where its value begins."""
    if not tokens[at].is_name("params"):
        return None
    path: list[str] = []
    at += 1
    while at + 2 < len(tokens):
        if tokens[at].is_op(".") and tokens[at + 1].kind in (NAME, STRING):
            path.append(tokens[at + 1].text)
            at += 2
        elif (tokens[at].is_op("[") and tokens[at + 1].kind == STRING
              and tokens[at + 2].is_op("]")):
            path.append(tokens[at + 1].text)
            at += 3
        else:
            break
    is_set = bool(path) and at + 1 < len(tokens) and tokens[at].is_op("=")
    return (tuple(path), at + 1) if is_set else None


def declared(tokens: Sequence[Token], at: int) -> Iterator[tuple[str, Sequence[Token]]]:
    """The params with a default of a block `params { name: Type = default }` whose brace is at
    `at`.
    """
    body = tokens[at + 1:closing(tokens, at)]
    at = 0
    while at < len(body):
        if body[at].kind == NEWLINE or body[at].is_op(";"):
            at += 1
            continue
        end = max(skip_value(body, at), at + 1)
        equal = next((index for index in range(at, end) if body[index].is_op("=")), None)
        if body[at].kind == NAME and equal is not None:
            yield body[at].text, body[equal + 1:end]
        at = end
