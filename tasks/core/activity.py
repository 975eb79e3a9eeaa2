"""What each step of a run is doing just now, for whoever shows it.

A step runs in a thread of its own, which says here how far it is. Where nobody shows it, as on a
pipe, the modules say it by plain lines instead.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(kw_only=True)
class Activity:
    """A running step: what it does, and how much of what it knows the total of.

    `unit` is what is counted, in the plural, or empty for bytes, whose count began at
    `began_count`. `parts` are those under way, as
    done and size by name. `lines` are what it has printed while nobody showed that.
    """

    step: str
    began: float = field(default_factory=time.monotonic)
    began_count: float = field(default_factory=time.monotonic)
    text: str = ""
    done: int = 0
    total: int = 0
    unit: str = ""
    parts: dict[str, tuple[int, int]] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)


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
