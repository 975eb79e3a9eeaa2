"""Names that stand for several: brace groups, and patterns over listed names."""

from __future__ import annotations

import re

from tasks.core.errors import SourceError

MOST = 10_000
"""Names that one text may stand for."""


def braces(text: str) -> list[str]:
    """What the groups `{a,b}` in `text` stand for, nested ones too, in the shell's order.

    A group without a comma, and a brace without its partner, are refused: they stand for
    nothing, and no public file's name has one.
    """
    found = _alternatives(text)
    if any("{" in each or "}" in each for each in found):
        raise SourceError("a brace group needs a comma and both its braces: {a,b}")
    return found


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
    heads = [text[:start] + each for part in parts for each in _alternatives(part)]
    if len(heads) * len(tails) > MOST:
        raise SourceError(f"the brace groups stand for more than {MOST} names")
    return [head + tail for head in heads for tail in tails]


def is_pattern(path: str) -> bool:
    """Whether a path holds a wildcard."""
    return "*" in path or "?" in path


def matcher(pattern: str) -> re.Pattern[str]:
    """What a path must match: `*` and `?` stay within one folder, `**` does not."""
    parts = re.split(r"(\*\*|\*|\?)", pattern)
    meaning = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meaning.get(part, re.escape(part)) for part in parts), re.DOTALL)


def base(pattern: str) -> str:
    """The folder, with its slash, below which all that matches lies."""
    fixed = re.split(r"[*?]", pattern, maxsplit=1)[0]
    return fixed[:fixed.rfind("/") + 1]
