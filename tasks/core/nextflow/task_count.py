"""How far a run of Nextflow is: the tasks that are done, of those that it has begun or waits for.

Nextflow without its own display prints a line when a task begins and none when it ends; the trace
has a row for each that has ended, written at once (tried: 24.10.5).
"""

from __future__ import annotations

import logging
import re
import time
from pathlib import Path

from tasks.core import activity, nofollow
from tasks.core.errors import AirlockError

logger = logging.getLogger(__name__)

STARTED = re.compile(r"\] (Submitted|Cached|Re-submitted) process > (.*)")
DONE = re.compile(r"(\d+) of (\d+) tasks done")
"""As `TaskCount` logs it."""
INTERVAL = 1.0
"""Seconds between lines, where nobody shows what runs."""
UNIT = "tasks"


class TaskCount:
    """Logs the tasks of a step's run as they begin, and counts those that have ended.

    Without `is_logged` it only counts.
    """

    def __init__(self, step: str, trace: Path, *, is_logged: bool = True) -> None:
        self._step, self._trace, self._is_logged = step, trace, is_logged
        self._begun = self._done = 0
        self._size, self._logged_at = -1, time.monotonic()

    def line(self, line: str) -> None:
        """Take a line of Nextflow's log."""
        if match := STARTED.search(line):
            self._begun += 1
            if self._is_logged:
                logger.info("%s  %s: %s", self._step, match[1].lower(), match[2].rstrip())
            self._show()

    def look(self) -> None:
        """Look whether the trace has more rows."""
        try:
            size = self._trace.stat(follow_symlinks=False).st_size
            if size == self._size:
                return
            with nofollow.reading(self._trace.parent, self._trace.name) as trace:
                self._done = max(0, sum(1 for _ in trace) - 1)
            self._size = size
        except (OSError, AirlockError):  # not there yet; or the pipeline's code put something else
            return
        self._show()
        if (self._is_logged and self._done and activity.shown() is None
                and time.monotonic() - self._logged_at > INTERVAL):
            self._logged_at = time.monotonic()
            logger.info("%s  %d of %d tasks done", self._step, self._done, self._begun)

    def _show(self) -> None:
        show(self._done, self._begun)


def show(done: int, begun: int) -> None:
    """Let the step that this thread speaks for have so many tasks done."""
    if at := activity.shown():
        at.done, at.total, at.unit = done, max(done, begun), UNIT
