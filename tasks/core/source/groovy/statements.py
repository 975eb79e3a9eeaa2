"""The statements that scripts and configs are made of: settings and includes."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from tasks.core.source.groovy.expression import PROJECT, Names, evaluate
from tasks.core.source.groovy.syntax import skip_newlines, skip_statement
from tasks.core.source.groovy.tokens import GSTRING, NAME, NEWLINE, STRING, Token, closing
from tasks.core.source.groovy.values import Values


def setting(tokens: Sequence[Token], at: int) -> tuple[tuple[str, ...], int]:
    """The name that a setting of a config begins with, in parts, and the index behind it.

    A selector is one part, `withName:PATTERN`.
    """
    token = tokens[at]
    following = tokens[at + 1] if at + 1 < len(tokens) else None
    if token.is_name("withName", "withLabel") and following is not None and following.is_op(":"):
        at += 2
        pattern = ""
        while at < len(tokens) and not tokens[at].is_op("{", ";") and tokens[at].kind != NEWLINE:
            pattern += tokens[at].text
            at += 1
        return (f"{token.text}:{pattern}",), _to_brace(tokens, at)
    parts: list[str] = []
    while at < len(tokens) and tokens[at].kind in (NAME, STRING, GSTRING):
        parts.append(tokens[at].text)
        at += 1
        if at < len(tokens) and tokens[at].is_op("."):
            at += 1
            continue
        break
    if parts and parts[0] == "catch" and at < len(tokens) and tokens[at].is_op("("):
        at = closing(tokens, at) + 1
    return tuple(parts), _to_brace(tokens, at)


def _to_brace(tokens: Sequence[Token], at: int) -> int:
    """The index of an opening brace that only line ends keep from `at`, else `at`."""
    end = skip_newlines(tokens, at)
    return end if end < len(tokens) and tokens[end].is_op("{") else at


def included_by(tokens: Sequence[Token], at: int,
                names: Names) -> tuple[list[tuple[str, str]], Values, int]:
    """`include { A; B as C } from PATH` at `at`: names with their aliases, the values that PATH
    can have, and the index behind it. Without a `from` there are neither names nor values.
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
        return [], frozenset(), at
    values, end = evaluate(tokens, at + 1, names)
    return _names(words), values, skip_statement(tokens, end)


def _names(words: Sequence[Token]) -> list[tuple[str, str]]:
    """`A`, `B as C`, … with the names by which they are known."""
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(words):
        if words[at].kind == NAME:
            renamed = at + 2 < len(words) and words[at + 1].is_name("as")
            found.append((words[at].text, words[at + 2].text if renamed else words[at].text))
            at += 3 if renamed else 1
        else:
            at += 1
    return found


def candidates(file: str, value: str) -> list[str]:
    """The files that an include of `value` in the script `file` can mean, the first that is there.
    """
    path = local_path(value, file)
    return [path, f"{path}.nf", f"{path}/main.nf"]


def local_path(value: str, file: str) -> str:
    """The path in the code of what `file` includes by this value: from $projectDir, or beside it.
    """
    return value[len(PROJECT) + 1:] if value.startswith(PROJECT) else beside(file, value)


def beside(file: str, path: str) -> str:
    """`path`, as it stands in `file`, from the pipeline's folder."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(file), path))
