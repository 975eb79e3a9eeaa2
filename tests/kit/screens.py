"""A program in a pseudo-terminal, and what its screen holds at each moment."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyte

LIMIT = 60.0
"""Seconds after which a program is ended that still writes."""
ROWS, COLUMNS = 40, 100


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What was seen: every byte, the screen after each write, and how the program ended."""

    status: int
    written: bytes
    frames: list[list[str]] = field(default_factory=list)
    end: list[str]
    scrolled: int
    cursor_hidden: bool

    @property
    def text(self) -> str:
        return "\n".join(self.end)

    def once(self, *words: str) -> list[str]:
        """The first frame that holds all the words at once; the last one is shown where none does.
        """
        for frame in self.frames:
            if all(any(word in line for line in frame) for word in words):
                return frame
        raise AssertionError(f"never at once: {words}\n" + "\n".join(self.end))


def watch(command: Sequence[str], *, cwd: Path, columns: int = COLUMNS, rows: int = ROWS,
          env: Mapping[str, str] | None = None, limit: float = LIMIT,
          when: Callable[[list[str]], bool] | None = None) -> Shown:
    """Run a command in a terminal of that size; it is interrupted (SIGINT) once `when` holds.

    It is killed after `limit` seconds.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    kept = {key: value for key, value in os.environ.items()
            if key not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "COLORTERM")}
    process = subprocess.Popen(command, cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs,
                               env={**kept, "TERM": "xterm-256color", **(env or {})},
                               start_new_session=True)
    os.close(theirs)
    screen = pyte.HistoryScreen(columns, rows, history=10000, ratio=0.5)
    stream = pyte.ByteStream(screen)
    written, frames, begun = b"", [], time.monotonic()
    while time.monotonic() - begun < limit:
        if not select.select([ours], [], [], 0.1)[0]:
            continue
        time.sleep(0.01)  # a screenful comes in several blocks
        try:
            block = b""
            while not block or select.select([ours], [], [], 0)[0]:
                block += os.read(ours, 1 << 16)
        except OSError:  # Linux ends a terminal without a writer by EIO
            if not block:
                break
        written += block
        stream.feed(block)
        frames.append([line.rstrip() for line in screen.display])
        if when and when(frames[-1]):
            process.send_signal(signal.SIGINT)
            when = None
    else:
        os.killpg(process.pid, signal.SIGKILL)
    os.close(ours)
    return Shown(status=process.wait(), written=written, frames=frames,
                 end=[line.rstrip() for line in screen.display if line.strip()],
                 scrolled=len(screen.history.top), cursor_hidden=screen.cursor.hidden)
