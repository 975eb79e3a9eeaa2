"""Licences as files from outside name them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

MOST, LONGEST = 20, 300
"""Licences of one part, and characters of one's name, that are taken."""


def named(texts: Iterable[object]) -> tuple[str, ...]:
    """Those that are names, in one line each; whole texts of licences are none."""
    lines = (" ".join(text.split()) for text in texts if isinstance(text, str))
    names = (line for line in lines if line and len(line) <= LONGEST and line.isprintable())
    return tuple(itertools.islice(dict.fromkeys(names), MOST))
