"""How far a transfer is: told to who shows what runs, on a terminal; else plain lines.

For each thing under way and for all: bytes, rate and time left.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType

from tasks.core import activity, files

logger = logging.getLogger(__name__)
INTERVAL = 5.0
"""Seconds between plain lines."""


class Progress:
    """Counts bytes from any thread, and shows them.

    `sizes` are the bytes that will be transferred, by the name of what they belong to; `kind` is
    what these are, in the plural: images, files.
    """

    def __init__(self, title: str, sizes: Mapping[str, int], *, kind: str = "images") -> None:
        self._title, self._kind = title, kind
        self._sizes, self._total = sizes, sum(sizes.values())
        self._done = dict.fromkeys(sizes, 0)
        self._lock = threading.Lock()
        self._begun = self._shown = time.monotonic()
        self._activity = activity.shown()

    def __enter__(self) -> Progress:
        if self._activity is not None:
            self._show(self._activity)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._activity is not None:
            self._activity.total, self._activity.parts = 0, {}

    def of(self, name: str) -> Callable[[int], None]:
        """Return what counts more bytes of this name."""
        return lambda count: self.add(name, count)

    def add(self, name: str, count: int) -> None:
        """Count more bytes of this name."""
        with self._lock:
            self._done[name] += count
            if self._activity is not None:
                self._show(self._activity)
                self._activity.parts.setdefault(
                    name, activity.Part(size=self._sizes[name])).done = self._done[name]
            elif time.monotonic() - self._shown > INTERVAL:
                self._shown = time.monotonic()
                for line in self._lines():
                    logger.info("%s", line)

    def _show(self, at: activity.Activity) -> None:
        whole = sum(self._done[name] >= size for name, size in self._sizes.items())
        at.began_count, at.unit = self._begun, ""
        at.done, at.total = sum(self._done.values()), self._total
        at.text = f"{whole} of {len(self._sizes)} {self._kind}"

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
