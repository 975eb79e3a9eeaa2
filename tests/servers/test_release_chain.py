"""The chain of promotions: two clones and one store, a folder or a bucket; nobody is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.settings import Signing
from tasks.core.errors import AirlockError, IntegrityError, StoreError
from tasks.core.parallel import try_all
from tasks.core.store.interface import Overtaken, bring
from tasks.core.trust import promotions, signature
from tasks.core.trust.promotions import Promotion, Withdrawn
from tasks.release import chain
from tasks.release.chain import Chain
from tests.kit.chains import HELLO, Killed, clone, killed, promote


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def ours(store_at: StoreAt) -> Iterator[Chain]:
    with clone("ours", store_at) as made:
        yield made


@pytest.fixture
def theirs(store_at: StoreAt) -> Iterator[Chain]:
    with clone("theirs", store_at) as made:
        yield made


def links(here: Chain) -> list[Promotion]:
    """All that the pointer leads to, the newest first, by predecessors alone."""
    there = {link.sha256: link for number in promotions.numbers(here.store, HELLO)
             if (link := _signed(here, number))}
    found = [promotions.current(here.store, HELLO, here.trust)]
    while found[-1].predecessor:
        found.append(there[found[-1].predecessor])
    return found


def _signed(here: Chain, number: int) -> Promotion | None:
    try:
        return promotions.signed(here.store, HELLO, number, here.trust)
    except IntegrityError:
        return None


def test_each_link_names_the_one_before_and_carries_on_what_was_withdrawn(
        ours: Chain, theirs: Chain) -> None:
    bad = Withdrawn(id="y-2", reason="a leak")
    promote(ours, "x-1")
    promote(theirs, "y-2")
    promote(ours, "x-1", back="it fails", withdrawing=bad)
    promote(theirs, "z-3")
    assert [(link.number, link.id, link.back, link.withdrawn) for link in links(ours)] == [
        (4, "z-3", None, (bad,)), (3, "x-1", "it fails", (bad,)), (2, "y-2", None, ()),
        (1, "x-1", None, ())]
    with pytest.raises(IntegrityError, match=r"y-2 was withdrawn.*: a leak"):
        promote(theirs, "y-2")
    assert chain.remembered(theirs) == links(ours)[0]


def test_who_has_not_looked_at_the_newest_gets_both_shown(ours: Chain, theirs: Chain) -> None:
    first = promote(ours, "x-1")
    promote(theirs, "y-2")
    both = r"y-2, promotion 2 of .* is x-1, promotion 1 of"
    with pytest.raises(StoreError, match=both) as caught:
        chain.append(ours, "x-1", after=first)
    assert "release:list:hello" in str(caught.value)
    assert [link.id for link in links(ours)] == ["y-2", "x-1"]


def test_a_store_that_has_gone_back_is_no_place_to_go_on_from(ours: Chain, store_at: StoreAt
                                                              ) -> None:
    promote(ours, "x-1")
    before = bring(ours.store, HELLO.pointer)
    newest = promote(ours, "y-2")
    ours.store.put_bytes(HELLO.pointer, before)
    assert chain.tip(ours).promotion == newest  # the pointer alone is behind: as after a kill
    with clone("ours", StoreAt(url="other")) as empty, \
            pytest.raises(IntegrityError, match=r"the newest in the store is none, and .* y-2"):
        chain.tip(empty)


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_killed_one_is_done_by_the_next_try_or_leaves_nothing(
        ours: Chain, theirs: Chain, writes: int) -> None:
    first = promote(ours, "x-1")
    with pytest.raises(Killed):
        chain.append(killed(ours, writes), "y-2", after=first)
    assert [link.id for link in links(theirs)] == ["x-1"]
    done = chain.append(ours, "y-2", after=first)
    assert done.number == {0: 2, 1: 3, 2: 2}[writes]
    assert [link.id for link in links(theirs)] == ["y-2", "x-1"]


def test_what_a_killed_one_has_signed_is_not_passed_over(ours: Chain, theirs: Chain) -> None:
    first = promote(ours, "x-1")
    with pytest.raises(Killed):
        chain.append(killed(ours, 2), "x-1", after=first,
                     withdrawing=Withdrawn(id="w-0", reason="a leak"))
    with pytest.raises(StoreError, match="looked at"):
        chain.append(theirs, "z-3", after=first)
    promote(theirs, "z-3")
    assert [(link.id, len(link.withdrawn)) for link in links(ours)] == [
        ("z-3", 1), ("x-1", 1), ("x-1", 0)]


def test_two_at_once_never_both_succeed_after_the_same_one(ours: Chain, theirs: Chain) -> None:
    promote(ours, "x-0")
    for turn in range(1, 6):
        before, ready = chain.tip(ours).promotion, threading.Barrier(2)

        def one(pair: tuple[Chain, str]) -> Promotion:
            ready.wait()  # noqa: B023
            return chain.append(pair[0], pair[1], after=before)  # noqa: B023

        results = try_all(one, [(ours, f"x-{turn}"), (theirs, f"y-{turn}")])
        done = [result for result in results if isinstance(result, Promotion)]
        assert len(done) <= 1
        assert all(isinstance(result, (Overtaken, StoreError)) for result in results
                   if not isinstance(result, Promotion)), results
        if done:
            assert links(ours)[0] == done[0]
            assert links(ours)[1] == before
        assert isinstance(chain.tip(theirs).promotion, Promotion)


def test_what_nobody_trusted_signed_is_passed_over(ours: Chain, store_at: StoreAt) -> None:
    promote(ours, "x-1")
    ours.store.put_bytes(HELLO.key(99999999), b"junk")
    ours.store.put_bytes(HELLO.key(3), b"{}")
    other = Signing(key=Path("keys/other"), identity="airlock", create=True)
    with clone("strangers", store_at, other) as strangers, \
            pytest.raises(AirlockError, match="does not name for 'airlock/hello'"):
        promote(strangers, "z-9")
    assert [promote(ours, name).number for name in ("y-2", "z-3")] == [2, 4]
    assert [link.number for link in links(ours)] == [4, 2, 1]


def test_a_colleagues_key_is_believed_where_the_trust_folder_names_it(
        ours: Chain, store_at: StoreAt) -> None:
    promote(ours, "x-1")
    other = Signing(key=Path("keys/other"), identity="airlock", create=True)
    Path("signers").write_text(signature.allowed_line("airlock", signature.public_key(
        ours.signing.key)))
    with clone("theirs", store_at, other) as theirs:
        assert promote(theirs, "y-2").number == 2
