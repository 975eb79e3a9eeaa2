"""Code that meets an attack, run in a process of its own with bounds on memory, disk and time."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BEFORE = """
import resource, sys
from pathlib import Path
from tasks.core.errors import AirlockError
resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))
try:
"""
AFTER = """
except AirlockError as error:
    print(type(error).__name__, error)
"""


def limited(code: str, *words: str | Path, memory: int = 400_000_000, size: int = 50_000_000,
            seconds: float = 20) -> str:
    """What `code` prints, given `words` as sys.argv[1:]; `size` bounds each file that it writes.

    An error of the project is printed as its class's name and its text; any other one fails the
    test, and so does a process that takes longer.
    """
    done = subprocess.run(
        [sys.executable, "-c", BEFORE.format(memory=memory, size=size)
         + textwrap.indent(code, "    ") + AFTER, *words],
        cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
