"""What the steps of one process share, such as connections and the pace at which hosts are asked.

It is made with the configuration and handed on in specs, so no module holds any of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Value = TypeVar("Value")


class Shared:
    """Values that are made once, by what they are for."""

    def __init__(self) -> None:
        self._values: dict[Hashable, Any] = {}
        self._lock = threading.RLock()

    def __reduce__(self) -> tuple[type[Shared], tuple[()]]:
        """Let a spec be handed to another process, which has nothing of this one's."""
        return Shared, ()

    def once(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return what was made for this key, now or before."""
        with self._lock:
            if key not in self._values:
                self._values[key] = make()
            value: Value = self._values[key]
            return value
