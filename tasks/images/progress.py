"""How far a transfer is: a bar on a terminal, else a plain line every few seconds."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

from tasks.core import files

if TYPE_CHECKING:
    import rich.progress

INTERVAL = 5.0


class Progress:
    """Counts bytes from any thread, and shows them on standard error."""

    def __init__(self, title: str, total: int) -> None:
        self._title, self._total, self._done = title, total, 0
        self._lock = threading.Lock()
        self._shown = time.monotonic()
        self._bar = self._make_bar() if sys.stderr.isatty() and total else None

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def add(self, count: int) -> None:
        """Count more bytes."""
        with self._lock:
            self._done += count
            if self._bar is not None:
                self._bar.update(self._bar.task_ids[0], completed=self._done)
            elif time.monotonic() - self._shown > INTERVAL:
                self._shown = time.monotonic()
                sys.stderr.write(f"{self._title}: {files.human_size(self._done)} of "
                                 f"{files.human_size(self._total)}\n")

    def _make_bar(self) -> rich.progress.Progress:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TransferSpeedColumn,
        )
        bar = Progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn(),
                  TransferSpeedColumn(), console=Console(stderr=True), transient=True)
        bar.add_task(self._title, total=self._total)
        return bar
