"""A lock's two files: what all sites share, and what one resolved at places of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core import lock_files
from tasks.core.config.load import load
from tasks.core.errors import SourceError
from tasks.core.graph import rooms
from tasks.core.lock_files import Entry, Locked, is_same
from tests.kit.graph import Build
from tests.kit.locks import lock_at

NAMES = st.sampled_from("abcde")
ENTRIES = st.dictionaries(NAMES, st.sampled_from("123").map(
    lambda digest: {"sha256": digest, "resolved": "then"}))
PLACES = st.dictionaries(NAMES, st.just("https://proxy.example.org"))


def plain(entries: dict[str, Entry]) -> dict[str, object]:
    return {name: entry["sha256"] for name, entry in entries.items()}


@given(shared=ENTRIES, own=ENTRIES, now=ENTRIES, places=PLACES, relock=st.booleans())
def test_what_is_written_holds_and_a_site_s_place_never_changes_what_all_share(
        shared: dict[str, Entry], own: dict[str, Entry], now: dict[str, Entry],
        places: dict[str, str], relock: bool) -> None:
    """Without relock=1 what is locked is what is found, as compare() has seen to."""
    locked = Locked(shared=shared, own=own)
    before = locked.entries
    if not relock:
        now = {name: before.get(name, entry) for name, entry in now.items()}
    fresh = [name for name in now if relock or name not in before]
    after = locked.renewed(now, fresh, places)
    assert plain(after.entries) == plain(now)
    for name, entry in after.shared.items():
        if name in shared and (name in places if name in fresh else True):
            assert is_same(entry, shared[name])
    for name in after.own:
        assert name in places if name in fresh else name in own
    again = after.renewed(now, [], {})
    assert (again.shared, again.own) == (after.shared, after.own)


def test_a_site_s_own_file_goes_with_its_last_entry(tmp_path: Path) -> None:
    at = lock_at(tmp_path, "data")

    def write(shared: dict[str, Entry], own: dict[str, Entry]) -> None:
        lock_files.write(at, Locked(shared=shared, own=own), dict)

    write({}, {"a": {"sha256": "1"}})
    assert (at.shared.exists(), at.own.exists()) == (False, True)
    write({}, {})
    assert (at.shared.exists(), at.own.exists()) == (True, False)


@pytest.mark.parametrize(("own", "where"), [([], ["p/data.json"]), (["a"], ["p/here/data.json"]), (
    ["b"], ["p/data.json", "p/here/data.json"])])
def test_a_change_names_the_file_that_holds_it_and_what_to_type(
        tmp_path: Path, own: list[str], where: list[str]) -> None:
    at = lock_at(tmp_path, "data")
    found = {"a": "2", "b": "1"} if own != ["b"] else {"a": "2", "b": "3"}
    with pytest.raises(SourceError) as caught:
        lock_files.compare({"a": "1", "b": "1"}, found, lock=at, relock=False, own=own)
    assert caught.value.where == ", ".join(f"{tmp_path}/{path}" for path in where)
    assert caught.value.todo is not None
    assert caught.value.todo.endswith("./doit site=here relock=1 mirror:data:p")


@pytest.mark.parametrize(("kind", "command"), [
    ("images", "./doit site=here relock=1 images:lock:p"),
    ("code", "./doit site=here relock=1 stage:p"),
    ("configs", "./doit site=here relock=1 stage:configs:p"),
    ("runtime", "./doit site=here relock=1 runtime:p"),
    ("plugins", "./doit site=here relock=1 plugins:cache:p"),
    ("own-cohort", "./doit site=here input=SHEET relock=1 mirror:data:p")])
def test_each_kind_is_renewed_by_its_step(tmp_path: Path, kind: str, command: str) -> None:
    assert lock_at(tmp_path, kind).renewing == command


@pytest.mark.parametrize(("path", "stale"), [
    ("config/locks/hello/images.json", True), ("config/locks/hello/local/images.json", True),
    ("config/locks/hello/nexus/images.json", False)])
def test_a_lock_that_a_colleague_changed_makes_its_step_stale_at_the_sites_that_use_it(
        project: Path, path: str, stale: bool) -> None:
    def build() -> Build:
        return Build(list(rooms.tasks(load({"site": "local"}))), project / "state.db")

    build().declare_done()
    (project / path).parent.mkdir(parents=True, exist_ok=True)
    (project / path).write_text("{}")
    states = build().states()
    assert (states["images:lock:hello"] == "stale") == stale
    assert (states["images:mirror:hello"] == "behind") == stale
    assert states["plugins:cache:hello"] == "fresh"
