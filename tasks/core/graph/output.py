"""Both streams of a run, in whole lines: no thread and no stream runs into another's line."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

lock = threading.RLock()
"""Held by who writes a line, on whichever stream."""


class Lines:
    """Stands for a stream; gives what is written to `take`, in whole lines, by thread."""

    def __init__(self, stream: TextIO, take: Callable[[str], None]) -> None:
        self._stream, self._take = stream, take
        self._begun: dict[int, str] = {}

    def write(self, text: str) -> int:
        """Keep what is no whole line yet."""
        with lock:
            whole, newline, rest = (
                self._begun.pop(threading.get_ident(), "") + text).rpartition("\n")
            if rest:
                self._begun[threading.get_ident()] = rest
            if newline:
                self._take(whole + newline)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write them."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Write what stands; a line that is no whole one waits for its end."""
        self._stream.flush()

    def end(self, thread: int | None = None) -> None:
        """Write what was left without an end of line, by a thread or by all."""
        with lock:
            for left in list(self._begun) if thread is None else {thread} & {*self._begun}:
                self._take(f"{self._begun.pop(left)}\n")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def taken(out: Callable[[str], None] | None = None,
          err: Callable[[str], None] | None = None) -> Iterator[None]:
    """Have all that is printed during the block given to `out` and `err`, else written as it is."""
    real = sys.stdout, sys.stderr
    lines = [Lines(stream, take or _writer(stream))
             for stream, take in zip(real, (out, err), strict=True)]
    sys.stdout, sys.stderr = lines
    try:
        yield
    finally:
        for both in lines:
            both.end()
            both.flush()
        sys.stdout, sys.stderr = real


def end_lines() -> None:
    """End the lines that this thread has begun."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, Lines):
            stream.end(threading.get_ident())


def _writer(stream: TextIO) -> Callable[[str], None]:
    def write(text: str) -> None:
        stream.write(text)
        stream.flush()
    return write
