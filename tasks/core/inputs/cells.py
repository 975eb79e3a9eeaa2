"""The references in one text: a cell, a line or a param may hold several, with more around them.

Pipelines join them by `;`, `,`, `|` or spaces, write a name before them (`R1=https://…`), or a list
with brackets and quotes. A URL ends where the next begins, at what no URL holds, and before a joint
behind which another file stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

_AROUND = ";,| \t\r\n\"'()[]{}<>=`"
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*://"
_BEGIN = re.compile(rf"(?<![^\s;,|\"'(\[{{<=:])(?<!jar:)(?!(?<=:)(?i:file):){_SCHEME}")
"""Behind `name:` too, but not within a URL of another kind, such as `jar:file:///a.jar!/b`."""
_JOINT = r"(?<![;,|\s])[;,|\s]+"
"""A whole run, so that a long one before no URL is tried once, and not from each of its characters.
"""
_NEXT = re.compile(rf"{_JOINT}(?=(?:[A-Za-z_]\w{{0,63}}=)?{_SCHEME})")
_WEB_END = re.compile(r"[\s|\"'<>`]")
_KEY_END = re.compile(r"[|\"'<>`\r\n\t]")
"""What ends an address of the web; keys of buckets and names of files may hold spaces."""
_WHOLE = re.compile(r"[^\s;,|?{]*/[^/\s;,|?{]*\.[A-Za-z0-9]+(?=[;,][^=&]*\Z)")
"""What ends as a file's name does before a joint, behind which stands no part of a query."""
_LOCAL = re.compile(r"((?<![;,|\s])[;,|\s]+)")
_WORD = re.compile(r"(?<![^\s(\"'])[^\W\d_]{2,}(?![^\s,.:;)\"'])")
PROSE = 3
"""Words beside a URL from which on a text is a sentence for people."""
_STAGED = re.compile(rf"(?<![^{re.escape(_AROUND)}:])(?=(?:data/[0-9a-f]{{64}}|sheets|trees)/)")
_BOUNDARY = re.compile(rf"[{re.escape(_AROUND)}]")
MAX_ENDS = 100
"""Places at which a staged path may end that are tried."""


def parts(text: str) -> list[str]:
    """The references of a text, and what lies between them: one part where it holds no URL.

    At even places what is a URL or may be a path, at odd ones what joins them.
    """
    split: list[str] = []

    def between(gap: str) -> None:
        inner = gap.strip(_AROUND)
        lead = gap.find(inner) if inner else len(gap)
        _join(split, gap[:lead])
        if inner:
            _refer(split, inner)
            _join(split, gap[lead + len(inner):])

    at = 0
    for begin, end in _spans(text):
        between(text[at:begin])
        _refer(split, text[begin:end])
        at = end
    if not split:
        return [text]
    between(text[at:])
    return split


def _join(split: list[str], text: str) -> None:
    if text and split and len(split) % 2 == 0:
        split[-1] += text
    elif text:
        split += [text] if split else ["", text]


def _refer(split: list[str], text: str) -> None:
    split += ["", text] if len(split) % 2 else [text]


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Where each URL begins and ends."""
    at = 0
    while match := _BEGIN.search(text, at):
        at = _end(text, match.start(), match.end())
        yield match.start(), at


def _end(text: str, begin: int, behind: int) -> int:
    is_web = text[begin:begin + 4].lower() in ("http", "ftp:")
    stop = (_WEB_END if is_web else _KEY_END).search(text, behind)
    limit = stop.start() if stop else len(text)
    following = _NEXT.search(text, behind, limit + 1)
    following = following or _NEXT.match(text, limit)
    limit = min(limit, following.start()) if following else limit
    if whole := _WHOLE.match(text[behind:limit]):
        limit = behind + whole.end()
    closing = {mark: text.count(mark, begin, limit) - text.count(opening, begin, limit)
               for mark, opening in ((")", "("), ("]", "["), ("}", "{"))}
    while limit > behind:
        last = text[limit - 1]
        if closing.get(last, 0) > 0:
            closing[last] -= 1
        elif last not in ";," and not last.isspace():
            break
        limit -= 1
    return limit


def is_prose(text: str) -> bool:
    """Whether the URLs of a text stand in a sentence for people."""
    return len(_WORD.findall(" ".join(
        part for part in parts(text)[::2] if "://" not in part))) >= PROSE


def pieces(text: str, know: Callable[[str], T | None]) -> Iterator[tuple[str, T | None]]:
    """The text in pieces, each with what `know` makes of it; together they are the whole.

    A path with spaces or commas is one where `know` knows it, else its parts are tried.
    """
    for number, part in enumerate(parts(text)):
        known = know(part) if number % 2 == 0 and part else None
        if known is not None or number % 2 or "://" in part or not _LOCAL.search(part):
            yield part, known
            continue
        for place, word in enumerate(_LOCAL.split(part)):
            yield word, know(word) if place % 2 == 0 and word else None


def staged(text: str, change: Callable[[str], str | None]) -> str:
    """A staged sheet's cell with each path that `change` knows replaced."""
    known = change(text)
    if known is not None:
        return known
    begins = [match.start() for match in _STAGED.finditer(text)]
    if not begins:
        return text
    changed = [text[:begins[0]]]
    for begin, end in zip(begins, [*begins[1:], len(text)], strict=True):
        changed.append(_longest(text[begin:end], change))
    return "".join(changed)


def _longest(text: str, change: Callable[[str], str | None]) -> str:
    """A text that begins as a staged path does, with the longest known one replaced."""
    ends = [len(text), *reversed([match.start() for match in _BOUNDARY.finditer(text)])]
    for end in ends[:MAX_ENDS]:
        known = change(text[:end])
        if known is not None:
            return known + text[end:]
    return text
