"""Where statements end and what they assign; and tokens written as Groovy again."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.core.source.groovy.tokens import GSTRING, NAME, NEWLINE, NUMBER, STRING, Token, closing

LEADING = ("&&", "||", "?", ":", "?:", ".", "?.", "*.", "==", "!=")
"""Operators by which a line goes on with the expression of the line before it."""
TRAILING = (*LEADING, "+", "=", "=~", "==~")
MAX_TYPE = 30
"""Tokens of modifiers and a type that may stand before a variable's name."""


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
    """Name and index of the value where `[def|final|Type] name = …` begins at `at`.

    A type can be generic, dotted or an array's; it can stand behind the name too, by a colon.
    """
    name = at
    while name + 1 < len(tokens) and tokens[name].kind == NAME:
        following = _behind_type(tokens, name + 1)
        if not (following < len(tokens) and tokens[following].kind == NAME):
            break
        name = following
    if name + 1 >= len(tokens) or tokens[name].kind != NAME:
        return None
    end = name + 1
    if name > at and tokens[at].is_name("def") and tokens[end].is_op(":"):
        end = _behind_type(tokens, end + 2)
    if end < len(tokens) and tokens[end].is_op("=") and name - at <= MAX_TYPE:
        return tokens[name].text, end + 1
    return None


def _behind_type(tokens: Sequence[Token], at: int) -> int:
    """The index behind what goes on with a type's name: `.Name`, `<…>`, `[]`, `?`."""
    while at + 1 < len(tokens):
        if tokens[at].is_op(".") and tokens[at + 1].kind == NAME:
            at += 2
        elif tokens[at].is_op("<"):
            end = at + 1
            while end < len(tokens) and (tokens[end].kind == NAME or tokens[end].is_op(
                    ",", "?", ".", "<", "[", "]")):
                end += 1
            if end >= len(tokens) or not tokens[end].is_op(">", ">>"):
                return at
            at = end + 1
        elif tokens[at].is_op("[") and tokens[at + 1].is_op("]"):
            at += 2
        elif tokens[at].is_op("?"):
            at += 1
        else:
            break
    return at


def arguments(tokens: Sequence[Token], at: int) -> list[Sequence[Token]]:
    """What stands between the commas of the bracket at `at`."""
    end = closing(tokens, at)
    given: list[Sequence[Token]] = []
    start = index = at + 1
    while index < end:
        if tokens[index].is_op("(", "[", "{"):
            index = closing(tokens, index)
        elif tokens[index].is_op(","):
            given.append(tokens[start:index])
            start = index + 1
        index += 1
    last = tokens[start:end]
    return [*given, last] if any(token.kind != NEWLINE for token in last) else given


def entry_colon(part: Sequence[Token]) -> int | None:
    """The index of the colon behind the key of a map's entry; None where this is none."""
    start = skip_newlines(part, 0)
    if start >= len(part):
        return None
    token = part[start]
    end = closing(part, start) + 1 if token.is_op("(") else start + 1
    is_key = token.kind in (NAME, STRING, GSTRING, NUMBER) or token.is_op("(", "*")
    return end if is_key and end < len(part) and part[end].is_op(":") else None


def without_parameters(tokens: Sequence[Token]) -> Sequence[Token]:
    """A closure's body without the `a, b ->` before it."""
    for at, token in enumerate(tokens):
        if token.is_op("->"):
            return tokens[at + 1:]
        if not (token.kind in (NAME, NEWLINE) or token.is_op(",", "(", ")", "<", ">", "=")):
            break
    return tokens


def begins_command(tokens: Sequence[Token], at: int) -> bool:
    """Whether a call without brackets stands here: `log.info "…"`, `list.each { … }`."""
    end = at
    while end + 1 < len(tokens) and tokens[end].kind == NAME and tokens[end + 1].is_op(".", "?."):
        end += 2
    return (end + 1 < len(tokens) and tokens[end].kind == NAME
            and not tokens[end].is_name("def", "new", "case") and (
                tokens[end + 1].kind in (NAME, NUMBER, STRING, GSTRING)
                or tokens[end + 1].is_op("{")))


def skip_newlines(tokens: Sequence[Token], at: int) -> int:
    """The index of the first token from `at` on that isn't a line end."""
    while at < len(tokens) and tokens[at].kind == NEWLINE:
        at += 1
    return at


def free_names(tokens: Sequence[Token]) -> set[str]:
    """The names that the tokens take from their surroundings, keywords and all."""
    named: set[str] = set()
    own: set[str] = set()
    before: Token | None = None
    for at, token in enumerate(tokens):
        if token.kind == NAME and not (before is not None and before.is_op(".", "?.", "*.")):
            named.add(token.text)
            if token.text == "def" and (value := assignment(tokens, at)):
                own.add(value[0])
        for part in token.parts:
            if not isinstance(part, str):
                named |= free_names(part)
        before = token
    return named - own


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
