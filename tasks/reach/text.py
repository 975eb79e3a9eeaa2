"""Where a text names an address, and whether that is used or only tells of one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from tasks.core.source.files import Sources
from tasks.core.source.groovy.syntax import ends_statement, groovy, skip_newlines
from tasks.core.source.groovy.tokens import GSTRING, STRING, Token, closing

URL = re.compile(r"(?<![A-Za-z0-9+.-])(?:https?|ftp|s3|gs|az)://[^\s'\"`<>\\|)\]]*", re.IGNORECASE)
SHOWN_BEFORE = re.compile(r"(?:href\s*=\s*\\?['\"]?|\]\(|src\s*=\s*\\?['\"]?|section_href\b.*"
                  r"|(?:^|[\s;{(])(?:echo|printf|print|cat|message|warning|stop)\b.*)$",
                  re.IGNORECASE)
"""What stands before an address that is written for people: a link, or a message."""
PUNCTUATION = ".,;:!?*"
MAX_URL_LENGTH = 200
MESSAGE_CALLS = ("info", "warn", "error", "debug", "println", "print", "exit", "printf",
                 "Exception", "IllegalArgumentException", "RuntimeException")
"""Calls whose texts are read by people."""
CONTEXT_LENGTH = 2000
"""Characters of a line, before an address and behind it, that tell what it is there for."""
COMPARING_CALLS = ("contains", "equals", "startsWith", "endsWith", "matches", "replace",
                   "replaceAll", "replaceFirst", "tokenize", "split")
"""Calls that compare a text with another, or look for it there."""


@dataclass(frozen=True, kw_only=True)
class Mention:
    """An address in a text, at `start`; `whole` where the text is that and nothing else."""

    url: str
    start: int
    whole: bool


def printable(sources: Sources, path: str) -> str:
    """A file's text; none where it is a binary."""
    text = sources.text(path)
    return "" if "\0" in text[:8192] else text


def mentions(text: str) -> list[Mention]:
    """The addresses of a string's text."""
    whole = URL.match(text) is not None and not re.search(r"\s", text)
    return [Mention(url=match[0].rstrip(PUNCTUATION)[:MAX_URL_LENGTH], start=match.start(),
                    whole=whole) for match in URL.finditer(text)]


def is_shown(text: str, start: int) -> bool:
    """Whether the address at `start` is part of a link or a message on its line."""
    line = text[max(text.rfind("\n", 0, start) + 1, start - CONTEXT_LENGTH):start]
    return SHOWN_BEFORE.search(line) is not None


def flattened(tokens: Sequence[Token]) -> Iterator[Token]:
    """The tokens, and those inside of strings."""
    for token in tokens:
        yield token
        for part in token.parts:
            if not isinstance(part, str):
                yield from flattened(part)


def strings(tokens: Sequence[Token]) -> Iterator[Token]:
    """The strings among the tokens, those inside of strings too."""
    return (token for token in flattened(tokens) if token.kind in (STRING, GSTRING))


def spoken(tokens: Sequence[Token], *, prose: bool = True,
           is_spoken: bool = False) -> Iterator[tuple[Token, bool]]:
    """Each string, and whether it names nothing that is used: it is said or compared.

    With `prose`, a text of several words is said too; so it isn't where texts are commands.
    """
    until = chain_end = 0
    prosaic = False
    for at, token in enumerate(tokens):
        if token.is_name(*MESSAGE_CALLS, *COMPARING_CALLS):
            until = max(until, _behind_arguments(tokens, at + 1))
        string = token.kind in (STRING, GSTRING)
        if prose and string and at >= chain_end:
            chain_end, prosaic = _chain(tokens, at)
        here = is_spoken or at < until or (string and (prosaic or _compared(tokens, at)))
        if string:
            yield token, here
        for part in token.parts:
            if not isinstance(part, str):
                yield from spoken(part, prose=prose, is_spoken=here)


def _behind_arguments(tokens: Sequence[Token], at: int) -> int:
    """The index behind a call's arguments, with or without brackets."""
    if at < len(tokens) and tokens[at].is_op("("):
        return closing(tokens, at)
    end = at
    while (at < len(tokens) and tokens[at].kind in (STRING, GSTRING) and end < len(tokens)
           and not ends_statement(tokens, end)):
        end += 1
    return end


def _compared(tokens: Sequence[Token], at: int) -> bool:
    return any(token.is_op("==", "!=", "=~", "==~") for token in
               (*tokens[max(at - 1, 0):at], *tokens[at + 1:at + 2]))


def _chain(tokens: Sequence[Token], at: int) -> tuple[int, bool]:
    """The index behind the strings that `+` joins from `at` on; and whether one of them is a text
    of several words.
    """
    prosaic = False
    while True:
        prosaic = prosaic or re.search(r"\S\s+\S", flat(tokens[at])) is not None
        plus = skip_newlines(tokens, at + 1)
        following = skip_newlines(tokens, plus + 1)
        if (following >= len(tokens) or not tokens[plus].is_op("+")
                or tokens[following].kind not in (STRING, GSTRING)):
            return at + 1, prosaic
        at = following


def flat(token: Token) -> str:
    """A string's text, with `${name}` for a name in it and `${…}` for an expression."""
    if token.kind == STRING:
        return token.text
    shown = []
    for part in token.parts:
        if isinstance(part, str):
            shown.append(part)
        else:
            text = groovy(part)
            shown.append(f"${{{text}}}" if re.fullmatch(r"[\w.]+", text) else "${…}")
    return "".join(shown)


def params_of(tokens: Sequence[Token], names: Collection[str] = ("params",)) -> list[str]:
    """The params that an expression names, in strings too, each once.

    The forms are `params.NAME`, `params['NAME']` and `params.get('NAME')`; `names` are those that
    stand for `params` there.
    """
    named: dict[str, None] = {}
    for at, token in enumerate(tokens):
        if token.is_name(*names) and not (at and tokens[at - 1].is_op(".")):
            named |= dict.fromkeys(_member(tokens[at + 1:at + 5]))
        for part in token.parts:
            if not isinstance(part, str):
                named |= dict.fromkeys(params_of(part, names))
    return list(named)


def _member(tokens: Sequence[Token]) -> Iterator[str]:
    """What the tokens behind a map take of it, where they name it."""
    if len(tokens) > 1 and tokens[0].is_op(".", "?."):
        by_call = len(tokens) > 3 and tokens[1].is_name("get") and tokens[2].is_op("(")
        if not by_call:
            yield tokens[1].text
        elif tokens[3].kind == STRING:
            yield tokens[3].text
    elif len(tokens) > 1 and tokens[0].is_op("[") and tokens[1].kind == STRING:
        yield tokens[1].text
