"""When a promotion is over, when it is signed anew, and that asking costs the graph nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.trust import promotions
from tasks.core.trust.promotions import Subject, Withdrawn

NOW = datetime(2026, 11, 25, 12, tzinfo=timezone.utc)
DAY = timedelta(days=1)
HELLO = Subject(pipeline="hello")


def test_the_next_one_has_the_next_number_and_half_of_its_time_is_due() -> None:
    made = promotions.plan(HELLO, "1.0-0123456789ab", before=6, valid=10 * 86400, now=NOW)
    assert (made.number, made.expires) == (7, "2026-12-05T12:00:00Z")
    assert [made.is_due(NOW + days * DAY) for days in (0, 4, 5, 9)] == [False, False, True, True]
    assert [made.is_over(NOW + days * DAY) for days in (0, 9, 10, 99)] == [False, False, True, True]


def test_without_an_end_it_is_never_due_nor_over() -> None:
    made = promotions.plan(HELLO, "x", before=0, valid=None, now=NOW)
    assert not made.is_due(NOW + 99999 * DAY)
    assert not made.is_over(NOW + 99999 * DAY)


def test_only_one_that_was_not_proven_says_so() -> None:
    """Tools of before the key was there take the others."""
    proven = promotions.plan(HELLO, "x", before=0, valid=None, now=NOW)
    unproven = promotions.plan(HELLO, "x", before=0, valid=None, now=NOW, unproven="why")
    assert b"unproven" not in proven.data()
    assert b'"unproven": "why"' in unproven.data()
    assert unproven.pointer() == proven.pointer()


def test_all_that_a_promotion_says_is_signed_and_read_again(tmp_path: Path) -> None:
    first = promotions.plan(HELLO, "x", before=0, valid=None, now=NOW)
    whole = replace(first, number=2, predecessor=first.sha256, proof="0" * 64, back="it is broken",
                    withdrawn=(Withdrawn(id="y", reason="a leak"),))
    files.write_bytes(tmp_path / "promotion.json", whole.data())
    assert promotions.read(tmp_path / "promotion.json") == whole
    assert len({replace(whole, **{field: getattr(first, field)}).sha256
                for field in promotions.OPTIONAL} | {whole.sha256}) == len(promotions.OPTIONAL)


def test_places_and_signers() -> None:
    assert (HELLO.pointer, HELLO.key(7)) == ("releases/hello/current.json",
                                             "releases/hello/promotions/00000007.json")
    tool = Subject(pipeline=None)
    assert (tool.pointer, tool.key(7)) == ("tool/current.json", "tool/promotions/00000007.json")
    assert (HELLO.signer("airlock"), tool.signer("airlock")) == ("airlock/hello", "airlock")


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"null", b"{", b'{"expires": 1}', b"\xff"])
def test_a_file_that_says_no_such_thing_is_left_to_the_push(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "promotion.json").write_bytes(data)
    assert promotions.read(tmp_path / "promotion.json") is None
    assert promotions.read(tmp_path / "none") is None
