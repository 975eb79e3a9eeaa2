"""Where statements end and what they assign; and tokens written as Groovy again."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.core.source.groovy.tokens import GSTRING, NAME, NEWLINE, STRING, Token, closing

LEADING = ("&&", "||", "?", ":", "?:", ".", "?.", "*.", "==", "!=")
"""Operators by which a line goes on with the expression of the line before it."""
TRAILING = (*LEADING, "+", "=", "=~", "==~")


def ends_statement(tokens: Sequence[Token], at: int) -> bool:
    """Whether a statement is over at `at`."""
    return at >= len(tokens) or tokens[at].kind == NEWLINE or tokens[at].is_op(";", "}")


def begins_statement(tokens: Sequence[Token], at: int) -> bool:
    """Whether a statement can begin here."""
    return at == 0 or tokens[at - 1].kind == NEWLINE or tokens[at - 1].is_op(";", "{", "}", ":")


def skip_statement(tokens: Sequence[Token], at: int) -> int:
    """The index behind the statement at `at`: its line's end outside of all brackets."""
    while not ends_statement(tokens, at):
        at = closing(tokens, at) + 1 if tokens[at].is_op("(", "[", "{") else at + 1
    return min(at, len(tokens))


def skip_value(tokens: Sequence[Token], at: int) -> int:
    """The index behind the value at `at`, which goes on where an operator ends or begins a line."""
    while True:
        at = skip_statement(tokens, at)
        following = skip_newlines(tokens, at)
        if following in (at, len(tokens)) or not (
                tokens[following].is_op(*LEADING) or (at and tokens[at - 1].is_op(*TRAILING))):
            return at
        at = following


def assignment(tokens: Sequence[Token], at: int) -> tuple[str, int] | None:
    """Name and index of the value where `[def|final|Type] name = …` begins at `at`."""
    found = at
    while found + 1 < len(tokens) and tokens[found].kind == NAME and tokens[found + 1].kind == NAME:
        found += 1
    if (found + 1 < len(tokens) and tokens[found].kind == NAME and tokens[found + 1].is_op("=")
            and found - at <= 2):
        return tokens[found].text, found + 2
    return None


def skip_newlines(tokens: Sequence[Token], at: int) -> int:
    """The index of the first token from `at` on that isn't a line end."""
    while at < len(tokens) and tokens[at].kind == NEWLINE:
        at += 1
    return at


def free_names(tokens: Sequence[Token]) -> set[str]:
    """The names that the tokens take from their surroundings, keywords and all."""
    found: set[str] = set()
    own: set[str] = set()
    before: Token | None = None
    for at, token in enumerate(tokens):
        if token.kind == NAME and not (before is not None and before.is_op(".", "?.", "*.")):
            found.add(token.text)
            if token.text == "def" and (value := assignment(tokens, at)):
                own.add(value[0])
        for part in token.parts:
            if not isinstance(part, str):
                found |= free_names(part)
        before = token
    return found - own


def groovy(tokens: Sequence[Token]) -> str:
    """Source text that means what the tokens mean."""
    text = ""
    for token in tokens:
        word = _word(token)
        tight = (not text or text.endswith((".", "(", "[", "!", "\n"))
                 or word in (".", "?.", "*.", "(", "[", ")", "]", ",", "\n"))
        text += word if tight else f" {word}"
    return text.strip()


def _word(token: Token) -> str:
    if token.kind == STRING:
        return f"'{_escaped(token.text, quote=chr(39))}'"
    if token.kind == GSTRING:
        parts = (_escaped(part, quote='"') if isinstance(part, str) else f"${{{groovy(part)}}}"
                 for part in token.parts)
        return f'"{"".join(parts)}"'
    return token.text


def _escaped(text: str, *, quote: str) -> str:
    for plain, escape in (("\\", "\\\\"), (quote, f"\\{quote}"), ("\n", "\\n"), ("\r", "\\r"),
                          ("$", "\\$")):
        text = text.replace(plain, escape)
    return text
