"""Pruning that is killed at any point, or at which others push and fetch at the same time."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.settings import Prune
from tasks.core.errors import AirlockError
from tasks.core.store import lease
from tasks.core.store.interface import Store
from tasks.offline_host import fetch as fetching
from tasks.offline_host.fetch import fetch
from tasks.release import prune, push
from tests.kit import pruning
from tests.kit.pruning import keys, releases, revisions, spec, torn
from tests.kit.releases import change_code


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


def kill_at(store_at: StoreAt, name: str, number: int) -> bool:
    """Apply in a process that is killed once it has done so many requests; whether it was."""
    child = os.fork()
    if not child:
        asked = 0

        def count(_: int, request: str, key: str) -> None:
            nonlocal asked
            if asked == number:
                os.kill(os.getpid(), signal.SIGKILL)
            asked += request == name

        try:
            with pruning.watched(prune, count):
                prune.apply(spec(store_at))
        finally:
            os._exit(1 if sys.exc_info()[0] else 0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_killed_after_each_deletion_every_release_is_whole(store_at: StoreAt) -> None:
    _, ids = revisions(3, store_at)
    killed = 0
    while kill_at(store_at, "delete", 1):
        killed += 1
        assert torn(store_at) == {}
        assert ids[2] in releases(store_at)
    assert killed > 5
    prune.apply(spec(store_at))
    assert releases(store_at) == {ids[2]}
    assert len(keys(store_at, "blobs/")) == 20


def test_killed_at_any_request_every_release_is_whole() -> None:
    _, ids = revisions(3, StoreAt(url="before"))
    prune.apply(spec(StoreAt(url="before"), Prune(keep=2, recent=0, grace=0)))
    store_at = StoreAt(url="store")
    for number in itertools.count():
        shutil.rmtree("store", ignore_errors=True)
        shutil.copytree("before", "store")
        if not kill_any(store_at, number):
            break
        assert torn(store_at) == {}
        assert ids[2] in releases(store_at)
        if number % 4 == 0:
            for _ in range(2):
                prune.apply(spec(store_at))
            assert releases(store_at) == {ids[2]}
            assert len(keys(store_at, "blobs/")) == 20
    assert number > 20


def kill_any(store_at: StoreAt, number: int) -> bool:
    """Apply in a process that is killed before the next request of any kind."""
    child = os.fork()
    if not child:
        def count(asked: int, request: str, key: str) -> None:
            if asked > number:
                os.kill(os.getpid(), signal.SIGKILL)

        with pruning.watched(prune, count):
            prune.apply(spec(store_at))
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


class Blocked(Exception):
    """Somebody would wait."""


def interleaved(outer: Callable[[], object], module: object, inner: Callable[[], object],
                at_request: int) -> bool:
    """Do `inner` before the given request of `outer`; whether `outer` had so many.

    Who would have to wait for the other comes after it.
    """
    state = {"reached": False, "left": False}

    def before(number: int, name: str, key: str) -> None:
        if number == at_request and not state["reached"]:
            state["reached"] = True
            try:
                inner()
            except (Blocked, lease.Busy):
                state["left"] = True

    with pruning.watched(module, before):
        outer()
    if state["left"]:
        inner()
    return state["reached"]


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    def block(seconds: float) -> None:
        raise Blocked

    monkeypatch.setattr(lease, "_pause", block)


@pytest.mark.parametrize("first", ["prune", "push"])
def test_a_push_at_any_step_of_a_prune_and_a_prune_at_any_step_of_a_push(
        first: str, no_waiting: None) -> None:
    """What is pushed again is what the prune is about to take, for its time of grace is over.

    As doit does, it pushes by the receipts of its first time.
    """
    staged, ids = revisions(1, StoreAt(url="before"))
    shutil.copytree("build", "again")
    change_code(staged, b"another\n")
    staged.publish()
    prune.apply(spec(StoreAt(url="before")))  # the older one's list goes; its blobs are marked
    shutil.rmtree("build")
    shutil.copytree("again", "build")
    for number in itertools.count(1):
        shutil.rmtree("store", ignore_errors=True)
        shutil.copytree("before", "store")
        shutil.copytree("again/here/hello/push", "build/here/hello/push", dirs_exist_ok=True)
        store_at = StoreAt(url="store")

        def sent(store_at: StoreAt = store_at) -> None:
            push.push_release(pruning.replaced(staged, store_at).push_spec("release"))

        def pruned(store_at: StoreAt = store_at) -> None:  # what was pushed just now isn't old
            prune.apply(spec(store_at, Prune(keep=1, recent=3600, grace=0)))

        done = (interleaved(sent, push, pruned, number) if first == "push"
                else interleaved(pruned, prune, sent, number))
        assert torn(store_at) == {}, f"at request {number}"
        if not done:
            break
        assert ids[0] in releases(store_at), f"at request {number}"
    assert number > 20


def test_a_fetch_that_had_begun_ends_well_within_the_grace(
        store_at: StoreAt, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host can't tell the store that it fetches: it has read the list when the prune comes."""
    staged, ids = revisions(2, store_at)
    staged.trust_key()
    week = Prune(keep=1, recent=0, grace=7 * 86400)
    fetch_all = fetching._fetch_all
    counted: list[int] = []

    def slowly(store: Store, *arguments: object) -> int:
        prune.apply(spec(store_at, week))
        prune.apply(spec(store_at, week))
        counted.append(fetch_all(store, *arguments))  # type: ignore[arg-type]
        return counted[0]

    monkeypatch.setattr(fetching, "_fetch_all", slowly)
    assert ids[0] in fetch(staged.fetch_spec(ids[0]))
    assert counted[0] > 5
    assert releases(store_at) == {ids[1]}
    with pytest.raises(AirlockError, match=f"there is no release '{ids[0]}'"):
        fetch(staged.fetch_spec(ids[0]))
