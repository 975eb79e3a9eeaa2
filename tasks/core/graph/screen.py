"""What the live view of a run holds: what runs, what waits and for what, and how many are done.

Each row is a list of words with a meaning, which the view gives a colour; a row is cut to the
terminal's width, and never wrapped.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tasks.core import files
from tasks.core.activity import Activity
from tasks.core.errors import plain

PLAIN, MARK, NAME, QUIET, GOOD, WARN, BAD = "", "cyan", "bold", "dim", "green", "yellow", "bold red"
"""What a word means, by the style that shows it."""

Row = list[tuple[str, str]]

BAR = 16
"""Columns of a bar."""
NEXT = 3
"""Waiting steps that are named."""
PARTS = 3
"""Files or images under way that are named for a step."""
NARROW = 80
"""Columns below which there is no bar."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """How a run stands: `waiting` are the steps to come, in their order, each with those before it
    that aren't done."""

    running: Sequence[Activity] = ()
    waiting: Mapping[str, Sequence[str]] = field(default_factory=dict)
    failed: Sequence[str] = ()
    done: int = 0
    fresh: int = 0
    warnings: int = 0
    began: float = 0.0


def rows(status: Status, width: int, height: int, now: float | None = None) -> list[Row]:
    """The view's rows, `height` at most, cut to `width` columns."""
    now = time.monotonic() if now is None else now
    below = [*_waiting(status), *_failed(status), _sum(status, now)]
    room = max(1, height - len(below))
    steps = sorted(status.running, key=lambda activity: activity.began)
    if len(steps) > room:
        steps, more = steps[:room - 1], len(steps) - room + 1
        below.insert(0, [(f"       and {more} more", QUIET)])
    spare = room - len(steps)
    above: list[Row] = []
    for activity in steps:
        above.append(_step(activity, width, now))
        parts = _parts(activity, now)[:spare]
        above += parts
        spare -= len(parts)
    return [cut(row, width) for row in [*above, *below]]


def cut(row: Row, width: int) -> Row:
    """The row in `width` columns: what goes beyond is an ellipsis."""
    if sum(len(word) for word, _ in row) <= width:
        return row
    kept: Row = []
    left = width - 1
    for word, style in row:
        kept.append((word[:left], style))
        left -= len(word)
        if left <= 0:
            break
    return [*kept, ("…", PLAIN)]


def duration(seconds: float) -> str:
    """A time as the view shows it: 7 s, 2:05, 1:00:00."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _step(activity: Activity, width: int, now: float) -> Row:
    took = now - activity.began
    row: Row = [("run    ", MARK), (activity.step, NAME), (f"  {duration(took)}  ", QUIET)]
    if activity.total:
        share = min(1.0, activity.done / activity.total)
        if width >= NARROW:
            full = round(share * BAR)
            row += [("━" * full, GOOD), ("━" * (BAR - full), QUIET), ("  ", PLAIN)]
        row.append((amount(activity, now - activity.began_count) + "  ", PLAIN))
    return [*row, (plain(activity.now()), QUIET)]


def amount(activity: Activity, took: float) -> str:
    """How much is done of all: bytes, or things that are counted."""
    if activity.unit:
        return f"{activity.done} of {activity.total} {activity.unit}"
    return _bytes(activity.done, activity.total, took)


def _bytes(done: int, size: int, took: float) -> str:
    """Bytes, with rate and time left."""
    rate = done / max(took, 0.001)
    left = f", {duration((size - done) / rate)} left" if rate >= 1 else ""
    return (f"{files.human_size(done)} of {files.human_size(size)}, "
            f"{files.human_size(round(rate))}/s{left}")


def _parts(activity: Activity, now: float) -> list[Row]:
    """The largest of what is under way; one that is all of it stands in the row above."""
    parts = list(activity.parts.items())
    under_way = sorted(((name, part) for name, part in parts if 0 < part.done < part.size),
                       key=lambda named: (-named[1].size, named[0]))
    return [[(f"         {plain(name)}  ", QUIET),
             (_bytes(part.done, part.size, now - part.began), QUIET)]
            for name, part in under_way[:PARTS] if part.size < activity.total]


def _waiting(status: Status) -> list[Row]:
    if not status.waiting:
        return []
    running = {activity.step for activity in status.running}
    ready = [name for name, before in status.waiting.items() if set(before) <= running]
    named = [f"{name}, for {', '.join(status.waiting[name])}" if status.waiting[name] else name
             for name in (ready or list(status.waiting))[:NEXT]]
    count = len(status.waiting)
    return [[("waits  ", MARK), (f"{count} step{'s' * (count > 1)}", NAME),
             (f"  next: {'; '.join(named)}", QUIET)]]


def _failed(status: Status) -> list[Row]:
    return [[("FAILED ", BAD), (", ".join(status.failed), BAD)]] if status.failed else []


def _sum(status: Status, now: float) -> Row:
    row: Row = [("       ", PLAIN), (f"{status.done} done", GOOD)]
    if status.fresh:
        row.append((f", {status.fresh} fresh", QUIET))
    if status.failed:
        row.append((f", {len(status.failed)} failed", BAD))
    if status.warnings:
        row.append((f", {status.warnings} warning{'s' * (status.warnings > 1)}", WARN))
    return [*row, (f"  {duration(now - status.began)}", QUIET)]
