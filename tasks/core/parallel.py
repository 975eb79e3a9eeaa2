"""Work on several values at a time, with one rule for what a fault does to the others."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from tasks.core.errors import AirlockError

Value = TypeVar("Value")
Result = TypeVar("Result")

Work = Callable[[], Iterable["Work"]]
"""Something to do, which returns what can be done once it is done."""

THREADS = 16
"""Values worked on at once. How much of that reaches one host is for the host's own limits."""


def run_all(work: Callable[[Value], Result], values: Iterable[Value], *,
            threads: int = THREADS) -> list[Result]:
    """Return what `work` makes of each value, in their order; the first fault ends it.

    After a fault or an interrupt nothing is begun any more; what is under way comes to its end.
    """
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(work, value) for value in values]
        try:
            done, waiting = wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        for future in waiting:
            future.cancel()
        _raise_first(done)
    return [future.result() for future in futures]


def try_all(work: Callable[[Value], Result], values: Iterable[Value], *,
            threads: int = THREADS) -> list[Result | AirlockError]:
    """Return what `work` makes of each value, or the AirlockError that it raised.

    So all faults of one kind can be reported at once. Any other exception ends it, as in `run_all`.
    """
    def attempt(value: Value) -> Result | AirlockError:
        try:
            return work(value)
        except AirlockError as error:
            return error

    return run_all(attempt, values, threads=threads)


def run_chains(light: Iterable[Work], heavy: Iterable[Work] = (), *, threads: int,
               heavy_at_once: int) -> None:
    """Do all work, and all that it returns; the first fault ends it as in `run_all`.

    Heavy work keeps few threads busy for long, so it begins first; what a work returns comes
    before all light work that waits.
    """
    chains = _Chains(light, heavy, heavy_at_once)
    with ThreadPoolExecutor(threads) as pool:
        try:
            done, _ = wait([pool.submit(chains.run) for _ in range(threads)])
        except BaseException:
            chains.end()
            raise
    _raise_first(done)


class _Chains:
    """What waits for a thread; each thread takes the next of it until nothing can come any more."""

    def __init__(self, light: Iterable[Work], heavy: Iterable[Work], heavy_at_once: int) -> None:
        self._light, self._heavy = deque(light), deque(heavy)
        self._heavy_left, self._busy, self._ended = heavy_at_once, 0, False
        self._changed = threading.Condition()

    def run(self) -> None:
        """Work until all is done, or a fault has ended it."""
        while (taken := self._take()) is not None:
            work, weight = taken
            following: list[Work] = []
            try:
                following = list(work())
            except BaseException:
                self.end()
                raise
            finally:
                with self._changed:
                    self._light.extendleft(reversed(following))
                    self._heavy_left += weight
                    self._busy -= 1
                    self._changed.notify_all()

    def end(self) -> None:
        """Let nothing begin any more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _take(self) -> tuple[Work, int] | None:
        """The next work, and of how many heavy ones it takes the place; None at the end."""
        with self._changed:
            while not self._ended:
                if self._heavy and self._heavy_left:
                    self._heavy_left -= 1
                    self._busy += 1
                    return self._heavy.popleft(), 1
                if self._light:
                    self._busy += 1
                    return self._light.popleft(), 0
                if not self._busy:
                    break
                self._changed.wait()
            return None


def _raise_first(done: Iterable[Future[Result]]) -> None:
    for future in done:
        if not future.cancelled() and (error := future.exception()):
            raise error
