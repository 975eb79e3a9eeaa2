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

STEPS = 10**6
"""What may be matched here, at worst: the name's length, to the power of the repeats."""
SECONDS = 20.0
"""For all that is matched elsewhere, in one run."""
_CLASS = re.compile(r"\\.|\[\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_MATCH = ("import json, re, sys\npattern, name = json.load(sys.stdin)\n"
          "print(re.fullmatch(pattern, name) is not None)")
_spent = 0.0


@cache
def fullmatch(pattern: str, name: str) -> bool:
    """Whether `pattern` matches all of `name`. re.error where it is none, ImageError where it takes
    too long."""
    re.compile(pattern)
    if not _may_be_costly(pattern, name):
        return re.fullmatch(pattern, name) is not None
    import subprocess

    from tasks.core import processes

    global _spent  # noqa: PLW0603 - what all selectors together have cost
    began = time.monotonic()
    try:
        told = processes.run([sys.executable, "-I", "-S", "-c", _MATCH],
                             stdin=json.dumps([pattern, name]).encode(),
                             timeout=max(SECONDS - _spent, 0.1))
    except subprocess.TimeoutExpired as error:
        raise ImageError(f"the selector {pattern[:200]!r} takes too long to match",
                         where="the pipeline's config",
                         todo="write it without repeats within repeats") from error
    finally:
        _spent += time.monotonic() - began
    return told.strip() == "True"


def _may_be_costly(pattern: str, name: str) -> bool:
    """Whether there are repeats within repeats, alternatives in them, or many repeats."""
    plain = _CLASS.sub("x", pattern)
    repeats = len(re.findall(r"[*+{]", plain))
    return re.search(r"\)[*+{]", plain) is not None or max(len(name), 2) ** repeats > STEPS
