"""What each step of a run is doing just now, for whoever shows it.

A step runs in a thread of its own, which says here how far it is. Where nobody shows it, as on a
pipe, the modules say it by plain lines instead.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tasks.core.errors import plain

TAIL = 2000
"""Bytes of a log in which its last line is looked for."""


@dataclass(kw_only=True)
class Part:
    """One of the things that a step transfers: bytes done, of all."""

    size: int
    done: int = 0
    began: float = field(default_factory=time.monotonic)


@dataclass(kw_only=True)
class Activity:
    """A running step: what it does, and how much of what it knows the total of.

    `unit` is what is counted, in the plural, or empty for bytes, whose count began at
    `began_count`. `parts` are those under way, by name. `log` is where a program that it runs
    writes, and `doc` what is said of a step that says nothing. `lines` are what it has printed
    while nobody showed that.
    """

    step: str
    began: float = field(default_factory=time.monotonic)
    began_count: float = field(default_factory=time.monotonic)
    text: str = ""
    doc: str = ""
    log: Path | None = None
    done: int = 0
    total: int = 0
    unit: str = ""
    parts: dict[str, Part] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)


    def now(self) -> str:
        """What it does now, in its own words, or in those of the program that it runs."""
        return self.text or (last_line(self.log) if self.log else "") or self.doc


def last_line(log: Path) -> str:
    """The last line of a log that says something, or nothing where it can't be read."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - TAIL))
            lines = map(plain, stream.read().decode(errors="replace").split("\n"))
    except OSError:
        return ""
    return next((line.strip() for line in reversed(list(lines)) if line.strip()), "")


@contextmanager
def logging_to(log: Path | None) -> Iterator[None]:
    """Let what the step does be what a program writes into `log` during the block."""
    at = shown()
    if at is None or log is None:
        yield
        return
    at.log = log
    try:
        yield
    finally:
        at.log = None


class Watcher(Protocol):
    """Who shows what runs."""

    def stop(self) -> None:
        """Leave the terminal as it was."""

    def apart(self) -> AbstractContextManager[None]:
        """Show nothing during the block: a program writes to the terminal itself."""


_here = threading.local()
_watchers: list[Watcher] = []


def watch(watcher: Watcher | None) -> None:
    """Let `watcher` be who shows what runs, or nobody any more."""
    _watchers[:] = [] if watcher is None else [watcher]


def begin(step: str) -> Activity:
    """Say that this thread runs the step from now on."""
    _here.activity = activity = Activity(step=step)
    return activity


def current() -> Activity | None:
    """The step that this thread runs."""
    activity: Activity | None = getattr(_here, "activity", None)
    return activity


def shown() -> Activity | None:
    """The step that this thread runs, where somebody shows what it does."""
    return current() if _watchers else None


@contextmanager
def as_step(activity: Activity | None) -> Iterator[None]:
    """Let this thread speak for a step during the block."""
    before = current()
    _here.activity = activity
    try:
        yield
    finally:
        _here.activity = before


def apart() -> AbstractContextManager[None]:
    """Let a program have the terminal during the block."""
    return _watchers[0].apart() if _watchers else nullcontext()


def leave() -> None:
    """Let nobody show anything any more: the process ends."""
    for watcher in list(_watchers):
        watcher.stop()
