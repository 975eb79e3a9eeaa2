"""Why a run failed, out of what Nextflow printed.

Its last lines are a tip and the place of its log. The cause stands before them: `ERROR ~` and, of a
task, the process, its command, its exit status and what it said last (tried: 24.10 to 26.04).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from tasks.core.errors import plain

MAX_LINES = 40
"""Lines of a cause that are shown; the log has all."""
MAX_LENGTH = 400
"""Characters of a line that are shown."""
WITHOUT_ERROR = 12
"""Lines that are shown where none says that it is the error, the last ones."""
SECTIONS = {"Command executed": (8, 0), "Source block": (8, 0), "Command output": (0, 4),
            "Command error": (0, 12), "Command wrapper": (0, 12)}
"""How many lines of a section are shown, the first ones and the last ones."""
COMMANDS = ("Command executed", "Source block", "Command wrapper")
"""The sections that show what was executed."""

_NOISE = re.compile(
    r"N E X T F L O W |Nextflow \S+ is available|Launching `|Tip: |WARN: | *-- Check '[^']*' file|"
    r"\[[0-9a-f]{2}/[0-9a-f]{6}\] |\[(?:skipped|-) *\] |executor > |Execution cancelled |"
    r"Downloading plugin |-\[.*-$")
_STARTED = re.compile(r"\[[0-9a-f]{2}/[0-9a-f]{6}\] ")
_SECTION = re.compile(rf"({'|'.join(SECTIONS)})(?: \[.*\])?:")
"""With a template, its file stands behind the title."""
_TASK = re.compile(r"(?:ERROR ~ )?Error executing process")
_PLACED = re.compile(r"Error \S+:\d+:\d+: ")
_ERROR = re.compile(rf"ERROR ~ |{_PLACED.pattern}|Error executing process")


def quoted(output: bytes) -> list[str]:
    """Return the lines of the cause in what Nextflow wrote."""
    return cause(lines_of(output.decode(errors="replace")))


def lines_of(text: str) -> list[str]:
    """Return the lines of what was printed. A carriage return ends none: progress bars hold it."""
    return text.split("\n")


def cause(lines: Iterable[str]) -> list[str]:
    """Return the lines that say why a run failed, without escape codes and empty lines.

    They begin with the first task that failed, else with the first error; where no line says that
    it is one, they are the last lines that say something.
    """
    kept = [line for line in map(_plain, lines) if line and not _NOISE.match(line)]
    starts = [number for number, line in enumerate(kept) if _ERROR.match(line)]
    tasks = [number for number in starts if _TASK.match(kept[number])]
    if not starts:
        return kept[-WITHOUT_ERROR:]
    start = (tasks or starts)[0]
    end = next((number for number in tasks if number > start), len(kept))
    return bounded(_shortened(kept[start:end]))


def without_commands(lines: Iterable[str]) -> list[str]:
    """Return the lines of a cause but for what was executed, which may hold a token."""
    kept, is_command = [], False
    for line in lines:
        if section := _SECTION.fullmatch(line):
            is_command = section[1] in COMMANDS
        elif not line.startswith("  "):
            is_command = False
        if not is_command:
            kept.append(line)
    return kept


def errors(lines: Iterable[str]) -> list[str]:
    """Return what the strict parser says of a file: the place of each error, and its lines."""
    return [line for line in map(_plain, lines)
            if _PLACED.match(line) or line.startswith(("│", "╰"))]


def bounded(lines: Iterable[str]) -> list[str]:
    """Return the first lines that say something, without escape codes."""
    kept = [line for line in map(_plain, lines) if line]
    left = len(kept) - MAX_LINES
    return kept if left <= 0 else [*kept[:MAX_LINES], f"… {left} more lines in the log"]


def last(lines: Iterable[str]) -> str:
    """Return the last line that says what a run was at, or an empty text."""
    kept = [line for line in map(_plain, lines)
            if line and (_STARTED.match(line) or not _NOISE.match(line))]
    return kept[-1] if kept else ""


def _plain(line: str) -> str:
    """A line as a terminal ends up showing it, bounded; what stands in a section stays indented."""
    text = plain(line.rstrip()).rstrip()
    if "\r" in line.rstrip() and plain(line.partition("\r")[0]).startswith("  "):
        text = f"  {text.lstrip()}"
    return text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}…"


def _shortened(lines: list[str]) -> Iterator[str]:
    """The lines, with as much of each section as is shown; an empty one is left out."""
    place = 0
    while place < len(lines):
        title, end = lines[place], place + 1
        section = _SECTION.fullmatch(title)
        while section and end < len(lines) and lines[end].startswith("  "):
            end += 1
        body, place = lines[place + 1:end], end
        if body == ["  (empty)"]:
            continue
        yield title
        first, last = SECTIONS[section[1]] if section else (0, 0)
        left = len(body) - first - last
        yield from body if left <= 0 else [
            *body[:first], f"  … {left} lines are left out", *body[len(body) - last:]]
