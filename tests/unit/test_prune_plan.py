"""Which releases stay and which go, by history, policy and clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

import pytest

from tasks.core.config.settings import Prune
from tasks.core.trust import promotions
from tasks.core.trust.promotions import Promotion, Withdrawn
from tasks.release.prune_plan import Held, History, Marks, judge, unless_asked

NOW = datetime(2026, 6, 1, tzinfo=timezone.utc)
DAY = 86400
POLICY = Prune(keep=2, recent=30 * DAY, grace=7 * DAY)


def held(name: str, age: int = 400) -> Held:
    return Held(pipeline="p", id=name, listed=NOW - timedelta(days=age), keys=frozenset({name}))


def history(*promoted: tuple[str, int], withdrawn: Mapping[str, str] | None = None,
            current: str | None = None, ran: Mapping[str, datetime] | None = None) -> History:
    """Ids with how many days ago each was promoted, the newest first."""
    entries = tuple(Withdrawn(id=name, reason=reason)
                    for name, reason in (withdrawn or {}).items())
    return History(current=current or promoted[0][0], ran=ran or {}, promotions=[
        Promotion(pipeline="p", id=name, number=len(promoted) - index, expires=None,
                  signed=(NOW - timedelta(days=age)).strftime(promotions.TIME_FORMAT),
                  withdrawn=entries)
        for index, (name, age) in enumerate(promoted)])


def why(names: str, past: History, policy: Prune = POLICY, now: datetime = NOW) -> dict[str, str]:
    verdicts = judge([held(name) for name in names], past, policy, now)
    return {one.held.id: f"{'stays' if one.stays else 'goes'}: {one.why}" for one in verdicts}


def test_the_last_stay_and_what_was_current_lately() -> None:
    past = history(("d", 10), ("c", 200), ("b", 300), ("a", 400))
    assert why("abcd", past) == {
        "d": "stays: current", "c": "stays: one of the last 2",
        "b": "goes: current until 2025-11-13", "a": "goes: current until 2025-08-05"}
    past = history(("d", 10), ("c", 20), ("b", 300), ("a", 400))
    assert why("abcd", past)["b"] == "stays: current until 2026-05-12", (
        "it was the current one for most of a year, until three weeks ago")


def test_what_came_and_was_never_current_stays_for_as_long() -> None:
    past = history(("c", 200))
    rows = judge([held("new", 3), held("old", 90), held("c")], past, POLICY, NOW)
    assert {one.held.id: (one.stays, one.why) for one in rows} == {
        "c": (True, "current"), "new": (True, "never current, came 2026-05-29"),
        "old": (False, "never current, came 2026-03-03")}


def test_who_went_back_keeps_what_he_went_back_to() -> None:
    past = history(("a", 1), ("c", 200), ("b", 300), ("a", 400))
    assert why("abc", past) == {"a": "stays: current", "c": "stays: one of the last 2",
                                "b": "goes: current until 2025-11-13"}


def test_the_current_one_stays_whatever_else_is_said_of_it() -> None:
    past = history(("b", 300), ("a", 400), withdrawn={"b": "no", "a": "wrong reads"})
    assert why("ab", past, Prune(keep=1, recent=DAY, grace=DAY)) == {
        "b": "stays: current", "a": "goes: withdrawn: wrong reads"}
    pointed = history(("b", 300), ("a", 400), current="a")
    assert why("ab", pointed, Prune(keep=1, recent=DAY, grace=DAY)) == {
        "a": "stays: current", "b": "stays: one of the last 1"}, "killed before its pointer"


def test_a_withdrawn_one_is_none_of_the_last_and_a_pin_beats_that() -> None:
    past = history(("d", 1), ("c", 2), ("b", 300), ("a", 400), withdrawn={"c": "leaks"})
    assert why("abcd", past) == {
        "d": "stays: current", "c": "goes: withdrawn: leaks", "b": "stays: one of the last 2",
        "a": "goes: current until 2025-08-05"}
    pinned = Prune(keep=2, recent=30 * DAY, grace=7 * DAY, pinned=("c", "a"))
    assert why("abcd", past, pinned)["c"] == why("abcd", past, pinned)["a"] == "stays: pinned"


def test_what_ran_lately_stays() -> None:
    past = history(("d", 200), ("c", 300), ("b", 350), ("a", 400),
                   ran={"a": NOW - timedelta(days=3), "b": NOW - timedelta(days=31)})
    assert why("abcd", past)["a"] == "stays: ran on 2026-05-29"
    assert why("abcd", past)["b"].startswith("goes")


@pytest.mark.parametrize("now", [NOW - timedelta(days=3650), NOW - timedelta(days=20600)])
def test_a_clock_that_is_behind_makes_nothing_old(now: datetime) -> None:
    past = history(("d", 10), ("c", 200), ("b", 300), ("a", 400))
    assert all(one.startswith("stays") for one in why("abcd", past, now=now).values())


def test_of_those_that_are_gone_none_counts_among_the_last() -> None:
    past = history(("d", 100), ("x", 150), ("c", 200), ("b", 300))
    assert why("bcd", past)["c"] == "stays: one of the last 2"


def test_nothing_goes_that_was_not_asked_about() -> None:
    verdicts = judge([held(name) for name in "ab"], history(("b", 200), ("a", 300)),
                     Prune(keep=1, recent=DAY, grace=DAY), NOW)
    assert [(one.stays, one.why) for one in unless_asked(verdicts, is_asked=False)] == [
        (True, "current"), (True, "not asked about")]


def test_a_mark_begins_anew_once_it_was_named_again() -> None:
    old = NOW - timedelta(days=9)
    marks = Marks(keys={"a": old, "b": old}, images={"i@sha256:1": old})
    again = marks.only({"a", "c"}, ()).also(["a", "b", "c"], ["i@sha256:1"], NOW)
    assert again == Marks(keys={"a": old, "b": NOW, "c": NOW}, images={"i@sha256:1": NOW})
    assert again.over(7 * DAY, NOW) == (frozenset("a"), frozenset())
    assert marks.over(7 * DAY, NOW)[1] == {"i@sha256:1"}
