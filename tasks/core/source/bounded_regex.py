"""Regular expressions of a pipeline's config, held against names without trusting their cost.

A selector such as `(a+)+` takes Python's matcher longer than anyone lives, for some 40 letters.
What may be so is matched in a process of its own, which is ended when its time is over.
"""

from __future__ import annotations

import json
import re
import sys
import time
from functools import cache

from tasks.core.errors import ImageError

MAX_STEPS = 10**6
"""Steps that a match in this process may take, at worst: the name's length to the power of the
repeats.
"""
MAX_SECONDS = 20.0
"""Seconds for all matches in processes of their own, in one run."""
_CLASS = re.compile(r"\\.|\[\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_MATCH = ("import json, re, sys\nhow, pattern, text = json.load(sys.stdin)\n"
          "print(getattr(re, how)(pattern, text) is not None)")
_spent = 0.0


@cache
def fullmatch(pattern: str, name: str) -> bool:
    """Whether `pattern` matches all of `name`. re.error where it is none, ImageError where it takes
    too long."""
    return _matches("fullmatch", pattern, name, _may_be_costly(pattern, name))


@cache
def search(pattern: str, text: str) -> bool:
    """Whether `pattern` matches anywhere in a text; the same errors."""
    return _matches("search", pattern, text, _may_be_costly(f".*{pattern}", text))


def _matches(how: str, pattern: str, text: str, is_costly: bool) -> bool:
    compiled = re.compile(pattern)
    if not is_costly:
        return (compiled.search if how == "search" else compiled.fullmatch)(text) is not None
    import subprocess

    from tasks.core import processes

    global _spent  # noqa: PLW0603 - what all patterns together have cost
    began = time.monotonic()
    try:
        answer = processes.run([sys.executable, "-I", "-S", "-c", _MATCH],
                             stdin=json.dumps([how, pattern, text]).encode(),
                             timeout=max(MAX_SECONDS - _spent, 0.1))
    except subprocess.TimeoutExpired as error:
        raise ImageError(f"the pattern {pattern[:200]!r} takes too long to match",
                         where="the pipeline's config",
                         todo="write it without repeats within repeats") from error
    finally:
        _spent += time.monotonic() - began
    return answer.strip() == "True"


def _may_be_costly(pattern: str, name: str) -> bool:
    """Whether there are repeats within repeats, alternatives in them, or many repeats."""
    plain = _CLASS.sub("x", pattern)
    repeats = len(re.findall(r"[*+{]", plain))
    return re.search(r"\)[*+{]", plain) is not None or max(len(name), 2) ** repeats > MAX_STEPS
