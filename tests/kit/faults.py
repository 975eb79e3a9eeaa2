"""Faults that tests put in: a flipped bit, and a step that is killed while it works."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SPEC = "pickle.load(sys.stdin.buffer)"
"""In the code of `start`: what it was given."""


def flip(path: Path, *, alone: bool = False) -> bytes:
    """Change one bit in the middle of a file, and return it as it was.

    Its hard links change with it, unless it is to change `alone`.
    """
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.chmod(path.stat().st_mode | 0o200)
    if alone:
        path.unlink()
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1:])
    return whole


def start(code: str, spec: object) -> subprocess.Popen[bytes]:
    """Start a Python that runs `code`, in which SPEC is `spec`."""
    process = subprocess.Popen([sys.executable, "-c", f"import pickle, sys, time\n{code}"],
                               stdin=subprocess.PIPE,
                               env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert process.stdin is not None
    process.stdin.write(pickle.dumps(spec))
    process.stdin.close()
    return process


def kill(process: subprocess.Popen[bytes]) -> bool:
    """Kill a process, unless it has ended well; whether it was still at work."""
    process.send_signal(signal.SIGKILL)
    code = process.wait()
    assert code in (0, -signal.SIGKILL)
    return code != 0
