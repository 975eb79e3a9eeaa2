"""The `include` of scripts: names, aliases, and the file that is meant."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tasks.core.errors import ImageError
from tasks.core.source.files import Sources, local_path
from tasks.core.source.groovy.expression import evaluate
from tasks.core.source.groovy.syntax import begins_statement, skip_newlines, skip_statement
from tasks.core.source.groovy.tokens import NAME, Token, closing
from tasks.core.source.groovy.values import Names, Unknown, Values, shown


def is_include(tokens: Sequence[Token], at: int) -> bool:
    """Whether an include stands at `at`."""
    return tokens[at].is_name("include") and (
        begins_statement(tokens, at) or any(token.is_op("{") for token in tokens[at + 1:at + 2]))


REGISTRY_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*(?:/[a-z][a-z0-9._-]*)+")
"""`scope/name`: a module of a registry, installed below modules/ (26.04, ModuleReference)."""


def included_by(tokens: Sequence[Token], at: int, names: Names,
                ) -> tuple[list[tuple[str, str]], Values, Sequence[Token], int]:
    """`include { A; B as C } from PATH` at `at`: names with their aliases, the values that PATH
    can have, what stands behind it, and the index behind all. Without a `from` there are neither
    names nor values.
    """
    if at + 1 < len(tokens) and tokens[at + 1].is_op("{"):
        end = closing(tokens, at + 1)
        words = tokens[at + 2:end]
        at = end + 1
    else:
        end = at + 1
        while end < len(tokens) and not tokens[end].is_name("from") and tokens[end].kind == NAME:
            end += 1
        words, at = tokens[at + 1:end], end
    at = skip_newlines(tokens, at)
    if at >= len(tokens) or not tokens[at].is_name("from"):
        return [], frozenset(), (), at
    values, start = evaluate(tokens, at + 1, names)
    end = skip_statement(tokens, start)
    return _aliased(words), values, tokens[start:end], end


def _aliased(words: Sequence[Token]) -> list[tuple[str, str]]:
    """`A`, `B as C`, … with the names by which they are known."""
    pairs: list[tuple[str, str]] = []
    names = iter([word.text for word in words if word.kind == NAME])
    for name in names:
        if name == "as" and pairs:
            pairs[-1] = (pairs[-1][0], next(names, pairs[-1][0]))
        else:
            pairs.append((name, name))
    return pairs


def script_of(sources: Sources, value: object, file: str, line: int) -> str:
    """The script that an include of this value means; ImageError where that can't be known."""
    where = f"{file}:{line}"
    if not isinstance(value, str):
        why = value.why if isinstance(value, Unknown) else repr(value)
        raise ImageError(f"it can't be known which file is included here: it hangs on {shown(why)}",
                         where=where, todo="include files by a fixed path")
    path = local_path(value, file)
    names = [path, f"{path}.nf", f"{path}/main.nf"]
    if REGISTRY_NAME.fullmatch(value):
        names.insert(0, f"modules/{value}/main.nf")
    for name in names:
        if sources.has(name):
            return sources.real(name)
    raise ImageError(f"the included file {shown(value)!r} is not in the pipeline's code",
                     where=where,
                     todo="correct the include, then stage again")
