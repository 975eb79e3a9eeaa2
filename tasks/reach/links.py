"""Addresses in code that only tell of something: a tool's home page, a citation's DOI."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tasks.core.source.groovy.tokens import GSTRING, NAME, STRING, Token, closing

TELLING = re.compile(r"(?:.*_)?(?:home_?page|web_?site|doi|docs?_?url|docs|help_?url|citation"
                     r"|manual|publication|authors?|authors_short|title|description|licen[cs]e)",
                     re.IGNORECASE)
"""Names of what people read. A map with one of them describes something."""
LINK = re.compile(r"(?:url|link|href)", re.IGNORECASE)
"""Names of addresses that are such links in a map that describes something."""
NO_DATA = re.compile(r"https?://(?:(?:dx\.)?doi\.org|zenodo\.org/badge|orcid\.org)/",
                     re.IGNORECASE)
"""What leads to a page, never to a file."""


def links(tokens: Sequence[Token]) -> set[int]:
    """The strings, by their identity, that are links by the name that they are given to."""
    linked: set[int] = set()
    for at, token in enumerate(tokens):
        if token.kind == NAME and TELLING.fullmatch(token.text) and _is_value(tokens, at, "="):
            linked.add(id(tokens[at + 2]))
        elif token.is_op("[", "("):
            entries = list(_entries(tokens, at))
            describes = any(TELLING.fullmatch(key) for key, _ in entries)
            linked |= {id(value) for key, value in entries
                       if TELLING.fullmatch(key) or (describes and LINK.fullmatch(key))}
    return linked


def _entries(tokens: Sequence[Token], start: int) -> Iterator[tuple[str, Token]]:
    """The keys with a string as value, of a map or a call's arguments."""
    at, end = start + 1, closing(tokens, start)
    while at < end:
        if (tokens[at].kind in (NAME, STRING) and _is_value(tokens, at, ":")):
            yield tokens[at].text, tokens[at + 2]
        at = closing(tokens, at) + 1 if tokens[at].is_op("[", "(", "{") else at + 1


def _is_value(tokens: Sequence[Token], at: int, operator: str) -> bool:
    return (at + 2 < len(tokens) and tokens[at + 1].is_op(operator)
            and tokens[at + 2].kind in (STRING, GSTRING))
