"""How far a transfer is: bars on a terminal, else plain lines.

For each thing under way and for all: bytes, rate and time left.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from tasks.core import files

if TYPE_CHECKING:
    import rich.progress

logger = logging.getLogger(__name__)
INTERVAL = 5.0
"""Seconds between plain lines."""


class Progress:
    """Counts bytes from any thread, and shows them on standard error.

    `sizes` are the bytes that will be transferred, by the name of what they belong to; `kind` is
    what these are, in the plural: images, files.
    """

    def __init__(self, title: str, sizes: Mapping[str, int], *, kind: str = "images") -> None:
        self._title, self._kind = title, kind
        self._sizes, self._total = sizes, sum(sizes.values())
        self._done = dict.fromkeys(sizes, 0)
        self._lock = threading.Lock()
        self._begun = self._shown = time.monotonic()
        is_shown = sys.stderr.isatty() and self._total and logger.isEnabledFor(logging.INFO)
        self._bars = _Bars(title, self._total) if is_shown else None

    def __enter__(self) -> Progress:
        if self._bars is not None:
            self._bars.shown.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._bars is not None:
            self._bars.shown.stop()

    def of(self, name: str) -> Callable[[int], None]:
        """Return what counts more bytes of this name."""
        return lambda count: self.add(name, count)

    def add(self, name: str, count: int) -> None:
        """Count more bytes of this name."""
        with self._lock:
            self._done[name] += count
            if self._bars is not None:
                self._bars.update(name, self._done[name], self._sizes[name],
                                  sum(self._done.values()))
            elif time.monotonic() - self._shown > INTERVAL:
                self._shown = time.monotonic()
                for line in self._lines():
                    logger.info("%s", line)

    def _lines(self) -> list[str]:
        """All, then what is under way."""
        done = sum(self._done.values())
        rate = done / max(self._shown - self._begun, 0.001)
        left = max(0.0, self._total - done) / max(rate, 1.0)
        whole = sum(self._done[name] >= size for name, size in self._sizes.items())
        return [
            f"{self._title}: {whole} of {len(self._sizes)} {self._kind}, "
            f"{files.human_size(done)} of {files.human_size(self._total)}, "
            f"{files.human_size(round(rate))}/s, {left:.0f} s left",
            *(f"  {name}: {files.human_size(self._done[name])} of {files.human_size(size)}"
              for name, size in self._sizes.items() if 0 < self._done[name] < size)]


class _Bars:
    """A bar for all, and one below it for each name under way."""

    def __init__(self, title: str, total: int) -> None:
        from rich import progress
        from rich.console import Console
        self.shown: rich.progress.Progress = progress.Progress(
            progress.TextColumn("{task.description}"), progress.BarColumn(bar_width=20),
            progress.DownloadColumn(), progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(), console=Console(stderr=True), transient=True)
        self._all = self.shown.add_task(title, total=total)
        self._rows: dict[str, rich.progress.TaskID] = {}

    def update(self, name: str, done: int, size: int, total_done: int) -> None:
        self.shown.update(self._all, completed=total_done)
        if name not in self._rows:
            self._rows[name] = self.shown.add_task(f"  {name}", total=size)
        self.shown.update(self._rows[name], completed=done, visible=done < size)
