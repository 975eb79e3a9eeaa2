"""The folder store, and what every store is sent through."""

from __future__ import annotations

import fcntl
import stat
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tasks.core import files, nofollow
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import IntegrityError, StoreError
from tasks.core.store.interface import Entry, Store, Stored, is_immutable
from tasks.core.store.send import Upload, send
from tasks.core.store.store import open_store
from tests.kit import replacing

MOST = 2**20
FILE = "releases/p/id/SHA256SUMS"


def upload(path: Path, data: bytes, key: str) -> Upload:
    path.write_bytes(data)
    return Upload(key=key, path=path, sha256=files.sha256_bytes(data), size=len(data))


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_there_and_back(tmp_path: Path, form: str) -> None:
    store = open_store(StoreAt(url=form.format(tmp_path / "a store")))
    sent = upload(tmp_path / "f", b"abc", "blobs/x/f")
    assert store.head(sent.key) is None
    assert send(store, [sent]) == [Stored(key=sent.key, size=3, sha256=sent.sha256)]
    store.get(sent.key, tmp_path / "back", most=MOST)
    assert (tmp_path / "back").read_bytes() == b"abc"
    assert store.list("blobs/") == ["blobs/x/f"]
    assert store.list("blobs/y") == []


def test_what_is_there_is_not_sent_and_what_has_rotted_is(tmp_path: Path) -> None:
    store = open_store(StoreAt(url=str(tmp_path / "store")))
    sent = upload(tmp_path / "f", b"abc", "blobs/x/f")
    send(store, [sent])
    place = tmp_path / "store/blobs/x/f"
    before = place.stat().st_ino
    send(store, [sent])
    assert place.stat().st_ino == before
    place.write_bytes(b"abd")
    send(store, [sent])
    assert place.read_bytes() == b"abc"


def test_a_file_that_changed_since_is_not_sent(tmp_path: Path) -> None:
    store = open_store(StoreAt(url=str(tmp_path / "store")))
    sent = upload(tmp_path / "f", b"abc", "blobs/x/f")
    sent.path.write_bytes(b"abd")
    with pytest.raises(IntegrityError, match="has changed"):
        send(store, [sent])
    assert store.list("") == []


@pytest.mark.parametrize(("key", "fixed"), [
    ("releases/p/id/SHA256SUMS", True), ("releases/p/current.json", False),
    ("tool/id/airlock.tar", True), ("tool/id/airlock.tar.sig", False),
    ("releases/p/id/SHA256SUMS.sig", False), ("blobs/sha256/x/f", False),
    ("releases/p/promotions/00000001.json", True), ("tool/promotions/00000001.json", True),
    ("tool/current.json", False),
    ("smoke/p/id/smoke.log", False)])
def test_what_never_changes(key: str, fixed: bool, tmp_path: Path) -> None:
    store = open_store(StoreAt(url=str(tmp_path / "store")))
    send(store, [upload(tmp_path / "f", b"first", key)])
    second = upload(tmp_path / "g", b"second", key)
    assert is_immutable(key) is fixed
    if fixed:
        with pytest.raises(StoreError, match="never changes"):
            send(store, [second])
    else:
        assert send(store, [second])[0].sha256 == second.sha256


def test_only_the_store_s_own_lock_is_no_entry(tmp_path: Path) -> None:
    store = open_store(StoreAt(url=str(tmp_path / "store")))
    store.put_bytes("blobs/x/conda.lock", b"locked")
    store.replace("tool/current.json", b"1", None)
    assert list((tmp_path / "store/tool").glob(".*.lock"))
    assert {entry.key for entry in store.entries("")} == {"blobs/x/conda.lock", "tool/current.json"}


@pytest.mark.parametrize("key", ["../out", "/etc/passwd", "a/../../b", "a\nb"])
def test_a_key_cannot_leave_the_store(key: str, tmp_path: Path) -> None:
    store = open_store(StoreAt(url=str(tmp_path / "store")))
    with pytest.raises(IntegrityError):
        store.put_bytes(key, b"")
    with pytest.raises(IntegrityError):
        store.get(key, tmp_path / "x", most=MOST)


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    store = open_store(StoreAt(url=str(tmp_path / "none")))
    with pytest.raises(StoreError, match="folder is missing") as caught:
        store.get("blobs/f", tmp_path / "x", most=MOST)
    assert "mount the disk" in str(caught.value)
    (tmp_path / "none").mkdir()
    with pytest.raises(StoreError, match="lacks a file"):
        store.get("blobs/f", tmp_path / "x", most=MOST)
    (tmp_path / "none/blobs").write_text("a file where a folder should be")
    with pytest.raises(StoreError, match=r"Not a directory|File exists"):
        store.put_bytes("blobs/f", b"")


@pytest.mark.parametrize("url", ["ftp://host/x", "file://host/x"])
def test_an_unknown_address(url: str) -> None:
    with pytest.raises(StoreError):
        open_store(StoreAt(url=url))


class Counting:
    """A store that notes how many transfers run at a time, in all and for one key."""

    url = "counting:"

    def __init__(self) -> None:
        self.held: dict[str, Stored] = {}
        self.running: list[str] = []
        self.most = self.most_of_a_key = self.puts = 0
        self.order: list[int] = []
        self._lock = threading.Lock()

    def head(self, key: str) -> Stored | None:
        return self.held.get(key)

    def put(self, key: str, path: Path, sha256: str) -> None:
        with self._lock:
            self.running.append(key)
            self.puts += 1
            self.order.append(path.stat().st_size)
            self.most = max(self.most, len(self.running))
            self.most_of_a_key = max(self.most_of_a_key, self.running.count(key))
        time.sleep(0.01)
        with self._lock:
            self.running.remove(key)
            self.held[key] = Stored(key=key, size=path.stat().st_size, sha256=sha256)

    def put_bytes(self, key: str, data: bytes) -> None:
        raise NotImplementedError

    def replace(self, key: str, data: bytes, before: bytes | None) -> None:
        raise NotImplementedError

    def get(self, key: str, path: Path, *, most: int) -> None:
        raise NotImplementedError

    def list(self, prefix: str) -> Sequence[str]:
        return [key for key in self.held if key.startswith(prefix)]

    def tags(self, keys: Collection[str]) -> Mapping[str, Stored] | None:
        return None

    def sizes(self, keys: Collection[str]) -> Mapping[str, int]:
        raise NotImplementedError

    def entries(self, prefix: str) -> Iterator[Entry]:
        raise NotImplementedError

    def delete(self, key: str) -> bool:
        raise NotImplementedError


def test_sixteen_at_a_time_for_the_process_and_one_for_a_key(tmp_path: Path) -> None:
    counting = Counting()
    store: Store = counting
    uploads = [upload(tmp_path / f"f{n}", b"x" * n, f"blobs/{n}/f") for n in range(1, 61)]
    threads = [threading.Thread(target=send, args=(store, uploads)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 < counting.most <= 16
    assert counting.most_of_a_key == 1
    assert counting.puts == 60
    assert min(counting.order[:5]) > max(counting.order[-5:])


def test_a_store_that_loses_what_it_was_sent_is_found_out(tmp_path: Path) -> None:
    class Losing(Counting):
        def head(self, key: str) -> Stored | None:
            held = super().head(key)
            return held and Stored(key=key, size=held.size - 1, sha256=held.sha256)

    with pytest.raises(IntegrityError, match="does not hold what was sent"):
        send(Losing(), [upload(tmp_path / "f", b"abc", "blobs/x/f")])


def test_no_more_is_taken_than_was_asked_for(tmp_path: Path) -> None:
    store = open_store(StoreAt(url=str(tmp_path / "store")))
    store.put_bytes("k", bytes(1000))
    store.get("k", tmp_path / "back", most=1000)
    with (tmp_path / "store/k").open("r+b") as stream:
        stream.truncate(10**12)
    (tmp_path / "back").unlink()
    with pytest.raises(IntegrityError, match=r"more than the 1\.0 MB") as caught:
        store.get("k", tmp_path / "back", most=10**6)
    assert "/store: k" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_listing_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(StoreAt(url=str(tmp_path / "store")))
    for number in range(6):
        store.put_bytes(f"a/{number}", b"")
    monkeypatch.setattr("tasks.core.store.interface.MAX_LISTED", 5)
    with pytest.raises(StoreError, match="more than 5 files"):
        store.list("a/")


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    store = open_store(StoreAt(url=str(tmp_path / "store")))
    store.put_bytes("a/k", b"before")
    (tmp_path / "f").write_bytes(b"after")
    with pytest.raises(IntegrityError, match="has changed"):
        store.put("a/k", tmp_path / "f", "0" * 64)
    assert [path.name for path in (tmp_path / "store/a").iterdir()] == ["k"]
    assert (tmp_path / "store/a/k").read_bytes() == b"before"


def test_who_may_enter_the_store_may_read_what_is_in_it(tmp_path: Path) -> None:
    for mode, of_file in ((0o750, 0o640), (0o700, 0o600), (0o755, 0o644), (0o2770, 0o640)):
        root = tmp_path / f"{mode:o}"
        root.mkdir()
        root.chmod(mode)
        open_store(StoreAt(url=str(root))).put_bytes(FILE, b"x")
        assert stat.S_IMODE((root / FILE).stat().st_mode) == of_file
        assert {stat.S_IMODE(folder.stat().st_mode) for folder in (root / FILE).parents
                if folder.is_relative_to(root)} == {mode}


def test_only_who_has_seen_what_is_there_replaces_it(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    replacing.see_that_nobody_is_overtaken_unasked(
        open_store(StoreAt(url=str(tmp_path / "store"))), tmp_path, writers=6)


def test_a_lock_ends_with_its_process_and_is_not_waited_for_for_ever(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "store"
    store = open_store(StoreAt(url=str(root)))
    store.replace("a/current.json", b"0", None)
    with (root / "a/.airlock.lock").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        monkeypatch.setattr(nofollow, "LOCK_WAIT", 0.2)
        begun = time.monotonic()
        with pytest.raises(StoreError, match="temporarily unavailable"):
            store.replace("a/current.json", b"1", b"0")
        assert 0.2 <= time.monotonic() - begun < 10
    store.replace("a/current.json", b"1", b"0")


def test_a_link_in_the_locks_place_is_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "store"
    (root / "a").mkdir(parents=True)
    (root / "a/.airlock.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError):
        open_store(StoreAt(url=str(root))).replace("a/current.json", b"0", None)
    assert not (tmp_path / "elsewhere").exists()
