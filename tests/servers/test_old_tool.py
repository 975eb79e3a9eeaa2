"""A tool that is older than a release needs is told so, and what to do; push:tool says the newest.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.errors import IntegrityError, OldToolError
from tasks.core.paths import SitePaths
from tasks.core.schema import read_json
from tasks.core.store.store import open_store
from tasks.core.tool_version import RELEASE_FORMAT, TOOL_VERSION
from tasks.core.trust.promotions import Subject
from tasks.offline_host.fetch import fetch
from tasks.release import push, release, release_name, sign, tool
from tests.kit.releases import Staged, change_code, trusted

LATER = RELEASE_FORMAT + 3


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Staged:
    """A host that has a release of today's form in place."""
    monkeypatch.chdir(tmp_path)
    return trusted()


@pytest.fixture
def later(ready: Staged, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of the next release, as a version to come makes it; this one can't read it."""
    push_tool(ready, "this one")
    fetch_by(ready, "this one")
    change_code(ready, b"workflow { later }\n")
    with monkeypatch.context() as patch:
        patch.setattr(release, "TOOL_VERSION", "7.1.0")
        return published(ready, patch, LATER, {"what only that version knows": True})


def published(ready: Staged, patch: pytest.MonkeyPatch, number: object,
              more: Mapping[str, object]) -> str:
    """The id of a release in the store by a version that writes what ours can't."""
    def to_come(about: dict[str, object], name: str, *, where: object) -> None:
        about.update(more)

    patch.setattr(release, "RELEASE_FORMAT", number)
    patch.setattr(release, "check", to_come)
    for module in (push, release_name):
        patch.setattr(module, "read_json", lambda path, name: json.loads(path.read_bytes()))
    return ready.publish()


def name_of(word: str) -> str:
    return files.sha256_bytes(word.encode())[:12]


def push_tool(ready: Staged, word: str) -> str:
    """A tool in the store, as the newest; what push:tool says."""
    layout = SitePaths(site="here")
    files.write_bytes(layout.tool / "airlock.tar", word.encode())
    files.write_bytes(layout.tool / "wheels/a.whl", b"x")
    files.write_json(layout.tool / "tool.json", {
        "kind": "tool", "id": name_of(word), "site": "here",
        "wheels": [{"name": "a.whl", "sha256": files.sha256_bytes(b"x"), "size": 1}]})
    sign.sign_tool(sign.SignToolSpec(layout=layout, signing=ready.signing))
    return tool.push(tool.PushToolSpec(layout=layout, store=ready.store, signing=ready.signing))


def fetch_by(ready: Staged, word: str | None, release_id: str | None = None) -> str:
    """What a fetch by that tool says; None is a checkout."""
    Path("tool.json").unlink(missing_ok=True)
    if word:
        files.write_json(Path("tool.json"), {
            "kind": "tool", "id": name_of(word), "site": "here",
            "wheels": [{"name": "a.whl", "sha256": "0" * 64, "size": 1}]})
    return fetch(dataclasses.replace(ready.fetch_spec(release_id), asked=bool(word)))


def test_a_release_says_which_tools_read_it(ready: Staged) -> None:
    about = read_json(ready.layout.release / "release.json", "release")
    assert (about["format"], about["tool"]) == (RELEASE_FORMAT, TOOL_VERSION)


def test_a_host_is_told_of_the_newer_tool_that_the_release_needs(
        ready: Staged, later: str) -> None:
    before = ready.prod.current.read_bytes()
    push_tool(ready, "the newer one")
    with pytest.raises(OldToolError) as caught:
        fetch_by(ready, "this one")
    newer = name_of("the newer one")
    assert caught.value.what == (
        f"this tool is too old: nf-airlock {TOOL_VERSION} reads releases up to format "
        f"{RELEASE_FORMAT}, and this one is of format {LATER}, as nf-airlock 7.1.0 makes them")
    assert caught.value.todo == (
        f"copy tool/{newer}/ out of the store into an empty folder, as you did with this one, and "
        f"go on there: ./doit tool={newer} …")
    assert f"releases/hello/{later}/release.json" in str(caught.value.where)
    assert ready.prod.current.read_bytes() == before  # what is in place stays so


def test_where_the_store_has_no_newer_tool_it_is_to_be_pushed(ready: Staged, later: str) -> None:
    with pytest.raises(OldToolError) as caught:
        fetch_by(ready, "this one")
    assert "this is the newest tool of the store" in str(caught.value)
    assert "`./doit push:tool` on the online side" in str(caught.value)


def test_a_checkout_and_a_store_without_tools_are_told_how(ready: Staged, later: str) -> None:
    with pytest.raises(OldToolError, match="this tool is too old") as caught:
        fetch_by(ready, None)
    assert "`git pull`" in str(caught.value)
    open_store(ready.store).delete(Subject(pipeline=None).pointer)
    with pytest.raises(OldToolError, match="this tool is too old") as caught:
        fetch_by(ready, "this one")
    assert "tool/ID/" in str(caught.value)


def test_what_is_in_place_still_runs_by_its_name(ready: Staged, later: str) -> None:
    standing = json.loads(ready.prod.current.read_bytes())["id"]
    assert f"{standing} is in place" in fetch_by(ready, "this one", standing)


def test_a_release_without_a_number_is_read_as_before(
        ready: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    describe = release.describe

    def without(*given: object) -> dict[str, object]:
        about = describe(*given)  # type: ignore[arg-type]
        about.pop("format")
        return about

    monkeypatch.setattr(release, "describe", without)
    change_code(ready, b"workflow { older }\n")
    name = ready.publish()
    assert f"{name} is in place" in fetch_by(ready, None)


@pytest.mark.parametrize("number", ["2", 0, -1, 1.5, None, [9]])
def test_a_number_that_is_none_is_no_release(
        ready: Staged, number: object, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        published(ready, patch, number, {})
    with pytest.raises(IntegrityError, match="this is no release that this version"):
        fetch_by(ready, None)


def test_push_tool_says_which_is_the_newest_and_what_it_reads(ready: Staged) -> None:
    first = push_tool(ready, "one")
    assert first.startswith(
        f"3 files in store: tool/{name_of('one')}/, nf-airlock {TOOL_VERSION}, which reads "
        f"releases up to format {RELEASE_FORMAT}\n{name_of('one')} is the current tool in store")
    second = push_tool(ready, "two")
    assert f"{name_of('two')} is the current tool in store: promotion 2" in second
    assert f"after {name_of('one')}" in second
