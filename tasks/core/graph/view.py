"""The one live view of a run on a terminal, above which all lines scroll.

Everything that a run shows there goes through it: lines of steps, notices, and what steps print.
"""

from __future__ import annotations

import os
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TextIO

from tasks.core import activity
from tasks.core.graph import output, screen

if TYPE_CHECKING:
    from rich.text import Text

REFRESHES = 5
"""How often the view is drawn anew, in a second."""
LEAST_COLUMNS = 20


def fits(stream: object) -> bool:
    """Whether a live view can be shown: both streams are a terminal that moves its cursor."""
    moves = os.environ.get("TERM") not in (None, "", "dumb", "unknown")
    return moves and sys.stdout.isatty() and sys.stderr.isatty() and stream is sys.stdout


class View:
    """Shows `status` as it is, until it is stopped; `printed` gets what is printed meanwhile."""

    def __init__(self, stream: TextIO, status: Callable[[], screen.Status],
                 printed: Callable[[str], None]) -> None:
        from rich.console import Console
        from rich.live import Live
        # Whether colours are wanted (NO_COLOR), and how many there are, rich takes from the
        # environment.
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._status = status
        self._live = Live(get_renderable=self._drawn, console=self._console, transient=True,
                          refresh_per_second=REFRESHES, redirect_stdout=False,
                          redirect_stderr=False, vertical_overflow="crop")
        self._printed = printed
        self._stack = ExitStack()
        self._lock = threading.RLock()

    @property
    def width(self) -> int:
        """The terminal's columns, now."""
        return max(LEAST_COLUMNS, self._console.width)

    def start(self) -> None:
        """Begin to show."""
        with self._lock:
            self._stack.enter_context(output.taken(self._printed, self._printed))
            self._live.start()
            activity.watch(self)

    def stop(self) -> None:
        """Leave the terminal as it was; it is no fault where the view is stopped already."""
        with self._lock:
            activity.watch(None)
            # What was printed without an end of line comes before the view goes.
            self._stack.close()
            self._live.stop()

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Leave the terminal to a program that writes there itself."""
        with output.lock:
            self._live.stop()
        try:
            yield
        finally:
            with output.lock:
                self._live.start(refresh=True)

    def row(self, row: screen.Row, *, whole: bool = False) -> None:
        """Let one line scroll above, cut to the terminal's width; or whole, on several."""
        with output.lock:
            if not whole:
                self._console.print(_text(screen.cut(row, self.width)), soft_wrap=True)
                return
            for line in _text(row).wrap(self._console, self.width, no_wrap=False):
                self._console.print(line, soft_wrap=True)

    def whole(self, text: str, style: str = "") -> None:
        """Let text scroll above as it is, whatever its width."""
        from rich.text import Text
        with output.lock:
            self._console.print(Text(text.removesuffix("\n"), style=style), soft_wrap=True)

    def wrapped(self, text: str, style: str = "") -> None:
        """Let text scroll above, broken between words where it is wider than the terminal."""
        self.whole("\n".join(wrapped(text, self.width)), style)

    def _drawn(self) -> Text:
        height = max(3, min(16, self._console.height // 2))
        rows = screen.rows(self._status(), self.width - 1, height)
        return _text([word for row in rows for word in [*row, ("\n", "")]][:-1])


def wrapped(text: str, width: int) -> list[str]:
    """The lines of a text, broken between words; a word that is wider, such as a path, is left."""
    lines = []
    for line in text.splitlines():
        indent = line[:len(line) - len(line.lstrip(" |"))]
        lines += textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False,
                               break_on_hyphens=False) or [""]
    return lines


def _text(row: screen.Row) -> Text:
    from rich.text import Text
    return Text.assemble(*row, no_wrap=True, overflow="ignore")
