"""A bound on how long a transfer may take in all, not only between two bytes."""

from __future__ import annotations

import time

GRACE = 60.0
"""Seconds after which the rate is looked at."""
FLOOR = 10_000
"""Bytes in a second, on average: the slowest lines that a release can be carried over."""


class Pace:
    """Watches one transfer; `is_lost` once it is slower than FLOOR, on average, after GRACE."""

    def __init__(self) -> None:
        self._begun, self._size = time.monotonic(), 0

    def add(self, size: int) -> None:
        """Count bytes that have arrived."""
        self._size += size

    @property
    def is_lost(self) -> bool:
        """Whether the transfer would last for ever."""
        return time.monotonic() - self._begun > GRACE + self._size / FLOOR
