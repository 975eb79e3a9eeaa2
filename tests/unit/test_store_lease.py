"""Who may work on a store at the same time as whom, and how a dead one is told from a slow one."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import StoreError
from tasks.core.store import lease
from tasks.core.store.interface import Store
from tasks.core.store.store import open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(StoreAt(url=str(tmp_path / "store")))


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """Time that passes by pauses alone; what stands here happens in the next pause."""
    now = [1000.0]
    meanwhile: list[Callable[[], None]] = []

    def pause(seconds: float) -> None:
        now[0] += seconds
        if meanwhile:
            meanwhile.pop(0)()

    monkeypatch.setattr(lease, "DEAD", 20.0)
    monkeypatch.setattr(lease, "_pause", pause)
    monkeypatch.setattr(lease, "_awake", lambda: now[0])
    return meanwhile


def holders(store: Store) -> list[str]:
    return [entry["work"] for entry in json.loads(
        (Path(store.url) / lease.KEY).read_text())["holders"]]


def elsewhere(store: Store, work: str, beat: int = 0) -> None:
    """Somebody on another machine is at work."""
    holder = dataclasses.replace(lease._new_holder(work), id="0" * 16, machine="another",
                                 who="ada@there", beat=beat)
    store.put_bytes(lease.KEY, json.dumps({"holders": [dataclasses.asdict(holder)]}).encode())


def test_pushes_go_side_by_side_and_leave_nothing(store: Store) -> None:
    with lease.pushing(store) as one:
        with lease.pushing(store) as other:
            assert one is other
        assert holders(store) == ["push"]
        with pytest.raises(lease.Busy, match="at work on this store"), lease.pruning(store):
            pass
    assert holders(store) == []
    with lease.pruning(store) as held:
        held.see_held()
        assert holders(store) == ["prune"]
        with pytest.raises(lease.Busy), lease.pruning(store):
            pass
    assert holders(store) == []


def test_a_push_waits_for_a_prune(store: Store, passing: list[Callable[[], None]],
                                  caplog: pytest.LogCaptureFixture) -> None:
    pruned = lease._enter(store, lease.PRUNE)
    passing += [lambda: None, pruned.end]
    with lease.pushing(store):
        assert holders(store) == ["push"]
    assert caplog.text.count("waiting for") == 1


def test_one_elsewhere_that_gives_no_sign_of_life_is_dead_after_a_while(
        store: Store, passing: list[Callable[[], None]]) -> None:
    begun = lease._awake()
    for work in (lease.PRUNE, lease.PUSH):
        elsewhere(store, work)
        with lease.pushing(store) if work == lease.PRUNE else lease.pruning(store):
            assert len(holders(store)) == 1
        assert lease._awake() - begun > lease.DEAD
        begun = lease._awake()


def test_one_elsewhere_that_lives_keeps_a_prune_away_and_a_push_waiting(
        store: Store, passing: list[Callable[[], None]]) -> None:
    elsewhere(store, lease.PUSH)
    passing += [lambda: elsewhere(store, lease.PUSH, beat=1)]
    with pytest.raises(lease.Busy, match=r"ada@there is at work on this store \(push, since "), \
            lease.pruning(store):
        pass
    passing += [lambda: elsewhere(store, lease.PRUNE, beat=2)] * 1
    elsewhere(store, lease.PRUNE, beat=1)
    begun = lease._awake()
    with lease.pushing(store):
        assert lease._awake() - begun > lease.DEAD, "it lived once, so its time began anew"


def test_a_killed_one_of_this_machine_is_known_at_once(store: Store) -> None:
    child = os.fork()
    if not child:
        lease._enter(store, lease.PUSH)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert holders(store) == ["push"]
    with lease.pruning(store):
        assert holders(store) == ["prune"]


def test_who_slept_for_long_has_lost_it(store: Store, passing: list[Callable[[], None]]) -> None:
    with lease.pushing(store) as held:
        held.see_held()
        lease._pause(lease.SAFE + 1)
        with pytest.raises(StoreError, match="others may work on the store"):
            held.see_held()
        with lease.pushing(store) as again:
            again.see_held()
    assert holders(store) == []


def test_who_was_taken_for_dead_learns_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT", 0.01)
    with lease.pushing(store) as held:
        store.put_bytes(lease.KEY, b'{"holders": []}')
        waited = threading.Event()
        while not held.is_lost:
            assert not waited.wait(0.01)
        with pytest.raises(StoreError):
            held.see_held()
    assert holders(store) == []


def test_a_holder_gives_signs_of_life(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT", 0.01)
    with lease.pruning(store):
        waited = threading.Event()
        while json.loads((Path(store.url) / lease.KEY).read_text())["holders"][0]["beat"] < 2:
            assert not waited.wait(0.01)


def test_no_clock_is_asked_who_lives(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a holder's, which may be a year behind, nor the file's."""
    with lease.pushing(store):
        path = Path(store.url) / lease.KEY
        entries = json.loads(path.read_text())
        entries["holders"][0]["since"] = "1970-01-01T00:00:00Z"
        path.write_text(json.dumps(entries))
        os.utime(path, (1, 1))
        with pytest.raises(lease.Busy), lease.pruning(store):
            pass


def test_what_can_not_be_read_stops_everybody(store: Store) -> None:
    store.put_bytes(lease.KEY, b"{")
    with pytest.raises(StoreError, match="who is at work on the store can't be read"), \
            lease.pushing(store):
        pass


def test_a_file_goes_with_its_empty_folders_and_no_further(store: Store, tmp_path: Path) -> None:
    for key in ("blobs/sha256/a/f", "blobs/sha256/b/f", "blobs/sha256/b/g"):
        store.put_bytes(key, b"abc")
    (tmp_path / "store/blobs/sha256/c").symlink_to(tmp_path)
    (tmp_path / "kept").write_bytes(b"k")
    assert [store.delete(f"blobs/sha256/{name}") for name in ("a/f", "a/f", "b/f")] == [False] * 3
    assert {entry.key: entry.size for entry in store.entries("blobs/")} == {"blobs/sha256/b/g": 3}
    assert not (tmp_path / "store/blobs/sha256/a").exists()
    with pytest.raises(Exception, match="a link stands where"):
        store.delete("blobs/sha256/c/kept")
    assert (tmp_path / "kept").exists()
    assert store.sizes(["blobs/sha256/b/g", "blobs/sha256/b/f"]) == {"blobs/sha256/b/g": 3}
