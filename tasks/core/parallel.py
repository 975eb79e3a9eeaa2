"""Work on several values at a time, with one rule for what a fault does to the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from tasks.core.errors import AirlockError

Value = TypeVar("Value")
Result = TypeVar("Result")

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

    So all faults of one kind can be told at once. Any other exception ends it, as in `run_all`.
    """
    def attempt(value: Value) -> Result | AirlockError:
        try:
            return work(value)
        except AirlockError as error:
            return error

    return run_all(attempt, values, threads=threads)


def _raise_first(done: Iterable[Future[Result]]) -> None:
    for future in done:
        if not future.cancelled() and (error := future.exception()):
            raise error
