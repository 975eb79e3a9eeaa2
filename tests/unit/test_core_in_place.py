"""Who is at work on what is in place: locks between the processes of a host."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
import time
from pathlib import Path

import pytest

from tasks.core import files, in_place
from tasks.core.in_place import InPlace
from tasks.core.offline_paths import OfflinePaths
from tasks.core.paths import SitePaths
from tasks.core.process_shared import Shared

AT = OfflinePaths(site="s", pipeline="p")
NAME, OTHER = "1.0-0123456789ab", "2.0-0123456789ab"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def hold(kind: str, begun: object, step: str) -> None:
    """What another process does until it is killed."""
    if kind == "placing":
        with in_place.placing(SitePaths(site="s"), step):
            begun.set()  # type: ignore[attr-defined]
            time.sleep(60)
    place = InPlace(AT)
    place.use(NAME, step)
    begun.set()  # type: ignore[attr-defined]
    time.sleep(60)


class Other:
    """Another process, which holds something."""

    def __init__(self, kind: str, step: str = "prod:fetch:q") -> None:
        context = multiprocessing.get_context("fork")
        begun = context.Event()
        self.process = context.Process(target=hold, args=(kind, begun, step), daemon=True)
        self.process.start()
        assert begun.wait(20)

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


def test_a_release_is_used_by_many_and_removed_by_nobody_meanwhile() -> None:
    assert not in_place.in_use(AT, NAME)
    other, mine = Other("using"), InPlace(AT)
    mine.use(NAME, "prod:fetch:p")
    for left in (other.kill, lambda: mine.use(OTHER, "prod:fetch:p")):
        assert in_place.in_use(AT, NAME)
        with in_place.unused(AT, NAME) as is_free:
            assert not is_free
        left()
    assert not in_place.in_use(AT, NAME) and in_place.in_use(AT, OTHER)
    with in_place.unused(AT, NAME) as is_free:
        assert is_free


def test_who_would_use_a_release_waits_for_who_removes_it() -> None:
    used = threading.Event()

    def use() -> None:
        InPlace(AT).use(NAME, "prod:fetch:p")
        used.set()

    with in_place.unused(AT, NAME) as is_free:
        assert is_free
        thread = threading.Thread(target=use)
        thread.start()
        assert not used.wait(0.5)
    assert used.wait(10)
    thread.join()


def test_one_places_at_a_time_and_the_next_says_for_whom_it_waits(
        caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    other, placed = Other("placing"), threading.Event()

    def place() -> None:
        with in_place.placing(SitePaths(site="s"), "prod:bootstrap:p"):
            placed.set()

    thread = threading.Thread(target=place)
    thread.start()
    assert not placed.wait(0.5)
    assert caplog.messages == [f"prod:bootstrap:p  waits for process {other.process.pid}, "
                               f"{SitePaths(site='s').placing_lock.read_text().split(' ', 1)[1]}"
                               .rstrip()]
    assert "prod:fetch:q since " in caplog.text
    other.kill()
    assert placed.wait(10)
    thread.join()
    with in_place.placing(SitePaths(site="s"), "again"):
        assert SitePaths(site="s").placing_lock.read_text().split()[1] == "again"
    assert SitePaths(site="s").placing_lock.read_text() == ""


def test_using_a_release_keeps_nobody_from_placing() -> None:
    InPlace(AT).use(NAME, "prod:run:p")
    with in_place.placing(SitePaths(site="s"), "prod:fetch:q"):
        pass


def test_what_this_process_has_chosen_and_made_ready_is_not_what_others_wrote() -> None:
    process, other = Shared(), Shared()
    mine = in_place.shared(process, AT)
    assert in_place.shared(process, OfflinePaths(site="s", pipeline="p")) is mine
    assert in_place.shared(other, AT) is not mine
    assert mine.digest() == "" and mine.holds == ()
    mine.use(NAME, "prod:fetch:p")
    files.write_json(AT.current, {"pipeline": "p", "id": OTHER})
    assert mine.name == NAME and InPlace(AT).name == OTHER
    assert len(mine.holds) == 1
    mine.receipt = {"release": NAME}
    files.write_json(AT.bootstrap, {"release": OTHER})
    assert mine.bootstrapped() == {"release": NAME}
    assert mine.digest() == files.sha256_bytes(files.json_bytes({"release": NAME}))
    assert InPlace(AT).digest() == files.sha256(AT.bootstrap) != mine.digest()
    assert pickle.loads(pickle.dumps(mine)).name == OTHER  # noqa: S301 - our own
