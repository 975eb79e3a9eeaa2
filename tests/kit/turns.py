"""Several people's work on one store, interleaved at each of its operations by a seed.

Each works in a thread of their own, of which one runs at a time: it goes on to its next operation,
then another may have its turn. An operation can be the last of a process (kill -9), or fail for who
asked, before the store has done it or after (a cut connection).
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.core.errors import StoreError
from tasks.core.store.interface import Store

DONE_BY_STORE = ("head", "get", "put", "put_bytes", "replace", "list", "tags")
MEETING = ("/promotions/", "current.json")
"""Parts of keys that several people read and write."""
WRITES = ("put", "put_bytes", "replace")


class Killed(BaseException):
    """The process ends here: nothing of it catches that."""


@dataclass(kw_only=True)
class Luck:
    """How often somebody's operation is cut or the last, and how often each kind was met."""

    dice: random.Random
    kill: float
    cut: float
    met: Counter[str]

    def draw(self) -> str | None:
        """What happens at this operation: nothing, as a rule."""
        number = self.dice.random()
        place = self.dice.choice(("before", "after"))
        if number < self.kill:
            return f"kill -9 {place}"
        return f"cut {place}" if number < self.kill + self.cut else None


class Turns:
    """Who may go on: all start at once, and one after the other does one operation.

    `seldom` has a turn less often than others.
    """

    def __init__(self, dice: random.Random, *, seldom: str) -> None:
        self._dice = dice
        self._seldom = seldom
        self._parked = threading.Semaphore(0)
        self._go: dict[str, threading.Semaphore] = {}
        self._waiting: set[str] = set()

    def wait(self, name: str) -> None:
        """Stand still until it is this one's turn."""
        self._waiting.add(name)
        self._parked.release()
        self._go[name].acquire()

    def run(self, work: Mapping[str, Callable[[], None]]) -> None:
        """Do all work; what one raises is raised once all have ended."""
        faults: list[BaseException] = []

        def begin(name: str) -> None:
            try:
                self.wait(name)
                work[name]()
            except BaseException as error:
                faults.append(error)
            finally:
                self._parked.release()

        self._go = {name: threading.Semaphore(0) for name in work}
        threads = {name: threading.Thread(target=begin, args=[name], name=name, daemon=True)
                   for name in work}
        for name, thread in threads.items():
            thread.start()
            self._stand_still(name)
        while self._waiting:
            often = sorted(self._waiting - {self._seldom} if self._dice.random() < 0.7 else
                           self._waiting) or sorted(self._waiting)
            name = self._dice.choice(often)
            self._waiting.discard(name)
            self._go[name].release()
            self._stand_still(name)
        for thread in threads.values():
            thread.join()
        if faults:
            raise faults[0]

    def _stand_still(self, name: str) -> None:
        if not self._parked.acquire(timeout=60):
            raise AssertionError(f"{name} neither asks the store nor ends")


def shared(store: Store, name: str, turns: Turns | None, luck: Luck) -> Store:
    """The store as one of several sees it; without turns, as the only one."""

    class Shared:
        # Two who send one file must not wait for each other where one of them can't go on.
        url = f"{store.url}/{name}"

        def pause(self, count: int) -> None:
            """Let others have their turns, as often as that."""
            if turns is not None:
                for _ in range(count):
                    turns.wait(name)

        def __getattr__(self, asked: str) -> Any:
            real = getattr(store, asked)
            if asked not in DONE_BY_STORE:
                return real

            def operation(*given: Any, **named: Any) -> Any:
                # Where people can meet, all orders are tried; elsewhere some.
                meet = any(place in str(given[:1]) for place in MEETING)
                if turns is not None and (meet or luck.dice.random() < 0.15):
                    turns.wait(name)
                fate = luck.draw()
                if fate is not None:
                    luck.met[f"{fate} a {'write' if asked in WRITES else 'read'}"] += 1
                if fate is not None and fate.endswith("before"):
                    raise _end(fate)
                answer = real(*given, **named)
                if fate is not None:
                    raise _end(fate)
                return answer
            return operation

    made: Any = Shared()
    store_of_one: Store = made
    return store_of_one


def _end(fate: str) -> BaseException:
    return Killed() if fate.startswith("kill") else StoreError(
        "no connection to the store", todo="run the same command again")
