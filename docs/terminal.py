"""Draw docs/terminal.svg, the picture of a terminal in the README, from a real run.

    python docs/terminal.py --title "~/nf-airlock $ ./doit" -- ./doit
    python docs/terminal.py --at 25 -- ./doit      # as it stands after 25 seconds

The command runs on a terminal of 100 columns, so it shows what a person sees: colours, and a view
that draws over itself. What is on the screen is drawn by rich, without a font from the web.
"""

from __future__ import annotations

import argparse
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path

WIDTH, HEIGHT = 100, 40
"""Columns and lines of the terminal."""

TOKEN = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b[()][A-Z0-9]|\x1b\][^\x07]*\x07|(.)", re.DOTALL)
FONT_OF_THE_WEB = re.compile(r"@font-face \{.*?\}\n?", re.DOTALL)


class Screen:
    """What stands on a terminal: lines of cells, each a character with the colours before it."""

    def __init__(self) -> None:
        self.lines: list[list[tuple[str, str]]] = [[]]
        self._row = self._column = 0
        self._colours = ""

    def write(self, text: str) -> None:
        """Take what a program wrote: text, colours, and the movements that rich's Live makes."""
        for match in TOKEN.finditer(text):
            given, kind, character = match.groups()
            if character == "\n":
                self._down(1)
                self._column = 0
            elif character == "\r":
                self._column = 0
            elif character is not None and character.isprintable():
                self._put(character)
            elif kind == "m":
                self._colours = "" if given in ("", "0") else f"{self._colours}\x1b[{given}m"
            elif kind == "A":
                self._row = max(0, self._row - int(given or 1))
            elif kind == "B":
                self._down(int(given or 1))
            elif kind == "K":
                line = self.lines[self._row]
                self.lines[self._row] = [] if given == "2" else line[:self._column]
            elif kind == "J":
                del self.lines[self._row + 1:]

    def shown(self, most: int) -> list[str]:
        """The last lines, with their colours."""
        lines = ["".join(f"\x1b[0m{colours}{''.join(character for _, character in cells)}"
                         for colours, cells in groupby(line, key=itemgetter(0)))
                 for line in self.lines]
        while lines and not lines[-1]:
            lines.pop()
        return lines[-most:]

    def _down(self, count: int) -> None:
        self._row += count
        self.lines += [[] for _ in range(self._row + 1 - len(self.lines))]

    def _put(self, character: str) -> None:
        if self._column >= WIDTH:
            self._down(1)
            self._column = 0
        line = self.lines[self._row]
        line += [("", " ")] * (self._column - len(line))
        line[self._column:self._column + 1] = [(self._colours, character)]
        self._column += 1


def written(command: Sequence[str], *, until: float | None) -> Iterator[str]:
    """What a command writes on a terminal; to its end, and no longer after `until` seconds."""
    here, there = pty.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    process = subprocess.Popen(
        command, stdin=there, stdout=there, stderr=there, start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": str(WIDTH), "LINES": str(HEIGHT)})
    os.close(there)
    begun, rest = time.monotonic(), b""
    with open(here, "rb", buffering=0) as terminal:  # noqa: PTH123 - a descriptor
        while True:
            try:
                data = terminal.read(1 << 16)
            except OSError:  # the terminal's other end is closed
                data = b""
            if not data:
                break
            if until is None or time.monotonic() - begun < until:
                text = (rest + data).decode(errors="ignore")
                rest = (rest + data)[len(text.encode()):]
                yield text
    process.wait()


def picture(lines: Sequence[str], title: str) -> str:
    """The lines as an SVG that asks for nothing."""
    from rich.console import Console
    from rich.text import Text
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True,
                      color_system="truecolor", legacy_windows=False)
    for line in lines:
        console.print(Text.from_ansi(line), no_wrap=True, overflow="crop", soft_wrap=False)
    svg = console.export_svg(title=title, unique_id="airlock")
    return FONT_OF_THE_WEB.sub("", svg).replace("Fira Code, monospace", "monospace")


def main() -> None:
    parser = argparse.ArgumentParser(description="draw a run on a terminal as an SVG")
    parser.add_argument("--at", type=float, metavar="SECONDS", help="after so long, not at the end")
    parser.add_argument("--lines", type=int, default=HEIGHT, help="the last so many")
    parser.add_argument("--title", help="what stands above it, instead of the command")
    parser.add_argument("--out", type=Path, default=Path("docs/terminal.svg"))
    parser.add_argument("command", nargs="+")
    asked = parser.parse_args()
    screen = Screen()
    for text in written(asked.command, until=asked.at):
        screen.write(text)
    asked.out.write_text(picture(screen.shown(asked.lines),
                                 asked.title or " ".join(asked.command)))
    sys.stderr.write(f"{asked.out} is drawn\n")


if __name__ == "__main__":
    main()
