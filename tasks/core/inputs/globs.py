"""Names that stand for several: brace groups, and patterns over listed names."""

from __future__ import annotations

import itertools
import re

from tasks.core.errors import SourceError

MAX_NAMES = 10_000
"""Names that one text may stand for."""


GROUPS, MAX_LENGTH = 100, 4096
"""Brace groups in a text, and characters of one that has some, or of a pattern."""


def is_several(text: str) -> bool:
    """Whether a text holds brace groups or a pattern."""
    return "{" in text or is_pattern(text)


def fixed(text: str) -> str:
    """What stands before the first group or wildcard of a text; all of one without any."""
    return re.split(r"[*?{]", text, maxsplit=1)[0]


def braces(text: str) -> list[str]:
    """What the groups `{a,b}` in `text` stand for, nested ones too, in the shell's order.

    A group without a comma, and a brace without its partner, are refused: they stand for
    nothing, and no public file's name has one.
    """
    if text.count("{") > GROUPS or ("{" in text and len(text) > MAX_LENGTH):
        raise SourceError(f"there are more than {GROUPS} brace groups, or more than {MAX_LENGTH} "
                          "characters with them")
    names = _alternatives(text)
    if any("{" in name or "}" in name for name in names):
        raise SourceError("a brace group needs a comma and both its braces: {a,b}")
    return names


def _alternatives(text: str) -> list[str]:
    start = text.find("{")
    if start < 0:
        return [text]
    parts, depth, begin, end = [], 0, start + 1, -1
    for at in range(start, len(text)):
        if text[at] == "{":
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                parts.append(text[begin:at])
                end = at + 1
                break
        elif text[at] == "," and depth == 1:
            parts.append(text[begin:at])
            begin = at + 1
    if len(parts) < 2:
        raise SourceError("a brace group needs a comma and both its braces: {a,b}")
    tails = _alternatives(text[end:])
    heads = [text[:start] + rest for part in parts for rest in _alternatives(part)]
    if len(heads) * len(tails) > MAX_NAMES:
        raise SourceError(f"the brace groups stand for more than {MAX_NAMES} names")
    return [head + tail for head in heads for tail in tails]


def is_pattern(path: str) -> bool:
    """Whether a path holds a wildcard."""
    return "*" in path or "?" in path


def matcher(pattern: str) -> re.Pattern[str]:
    """What a path must match: `*` and `?` stay within one folder, `**` does not.

    What follows a star is looked for at the nearest place, and nowhere else after that, as
    fnmatch.translate has it too: else a pattern of many stars would take for ever.
    """
    if len(pattern) > MAX_LENGTH:
        raise SourceError(f"a pattern has more than {MAX_LENGTH} characters")
    *before, last = pattern.split("**")
    groups = itertools.count()

    def nearest(inner: str) -> str:
        name = f"g{next(groups)}"
        return f"(?=(?P<{name}>{inner}))(?P={name})"

    def piece(text: str, *, is_last: bool) -> str:
        first, *others = ("".join("[^/]" if char == "?" else re.escape(char) for char in fixed)
                          for fixed in text.split("*"))
        after = [nearest(f"[^/]*?{part}") for part in others]
        if is_last and others:
            after[-1] = f"[^/]*{others[-1]}"
        return first + "".join(after)

    regexes = [piece(text, is_last=False) for text in before]
    regexes = [*regexes[:1], *(nearest(f".*?{part}") for part in regexes[1:])]
    return re.compile("".join([*regexes, ".*" if before else "", piece(last, is_last=True)]),
                      re.DOTALL)


def base(pattern: str) -> str:
    """The folder, with its slash, below which all that matches lies."""
    fixed = re.split(r"[*?]", pattern, maxsplit=1)[0]
    return fixed[:fixed.rfind("/") + 1]
