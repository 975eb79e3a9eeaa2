"""Several values at a time: the order of results, and what a fault does to the others."""

from __future__ import annotations

import threading
import time

import pytest

from tasks.core.errors import AirlockError, StoreError
from tasks.core.parallel import Work, run_all, run_chains, try_all


def test_results_stand_in_the_order_of_the_values() -> None:
    def slow(value: int) -> int:
        time.sleep(0.01 * (5 - value))
        return value * 2

    assert run_all(slow, range(5)) == [0, 2, 4, 6, 8]


def test_as_many_are_under_way_as_threads() -> None:
    together = threading.Barrier(4, timeout=10)
    assert run_all(lambda _: together.wait(), range(4), threads=4)


def test_after_a_fault_nothing_is_begun() -> None:
    begun = []

    def work(value: int) -> None:
        begun.append(value)
        if value == 0:
            raise StoreError("full")
        time.sleep(0.05)

    with pytest.raises(StoreError, match="full"):
        run_all(work, range(1000), threads=2)
    assert len(begun) < 10


def test_faults_stand_in_the_place_of_results() -> None:
    def work(value: int) -> int:
        if value % 2:
            raise StoreError(f"no {value}")
        return value

    results = try_all(work, range(4))
    assert [str(result) if isinstance(result, AirlockError) else result
            for result in results] == [0, "no 1", 2, "no 3"]


def test_a_fault_of_our_own_code_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        try_all(lambda value: 1 // value, [1, 0])


def test_what_a_work_returns_is_done_before_what_waits() -> None:
    done: list[str] = []

    def work(name: str, *following: Work) -> Work:
        def run() -> tuple[Work, ...]:
            done.append(name)
            return following
        return run

    run_chains([work("a", work("a1", work("a11")), work("a2")), work("b")],
               [work("heavy", work("after"))], threads=1, heavy_at_once=1)
    assert done == ["heavy", "after", "a", "a1", "a11", "a2", "b"]


def test_heavy_work_leaves_threads_to_light_work() -> None:
    light_done = threading.Event()
    heavy_now: list[None] = []

    def heavy() -> tuple[Work, ...]:
        heavy_now.append(None)
        assert len(heavy_now) <= 2
        assert light_done.wait(10)
        heavy_now.pop()
        return ()

    def light() -> tuple[Work, ...]:
        light_done.set()
        return ()

    run_chains([light], [heavy] * 6, threads=3, heavy_at_once=2)


def test_a_fault_ends_the_chains() -> None:
    def again() -> tuple[Work, ...]:
        time.sleep(0.01)
        return (again,)

    def fail() -> tuple[Work, ...]:
        raise StoreError("full")

    with pytest.raises(StoreError, match="full"):
        run_chains([again, again, fail], threads=3, heavy_at_once=1)
