"""What is current is signed too: a store can't go back, stand still for ever, or name others'."""

from __future__ import annotations

import dataclasses
import json
import shutil
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.config.settings import Signing
from tasks.core.errors import ConfigError, HostError, IntegrityError, StoreError
from tasks.core.offline_paths import OfflinePaths
from tasks.core.paths import SitePaths
from tasks.core.store.store import open_store
from tasks.core.trust import promotions, signature
from tasks.core.trust.promotions import Subject
from tasks.offline_host import freshness
from tasks.offline_host.fetch import fetch
from tasks.release import chain, promote, release, sign, tool
from tests.kit.releases import Staged, change_code, stage

POINTER = Path("store/releases/hello/current.json")
VALID = 90 * 86400


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Staged:
    """A host that trusts our key; nothing is pushed yet."""
    monkeypatch.chdir(tmp_path)
    made = stage()
    staged = dataclasses.replace(made, signing=dataclasses.replace(made.signing, valid=VALID))
    staged.publish()
    staged.trust_key()
    return staged


def at(monkeypatch: pytest.MonkeyPatch, module: object, ahead: timedelta) -> None:
    """Let a module's clock show another time."""
    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + ahead
    monkeypatch.setattr(module, "datetime", Clock)


def fresh_host(ready: Staged) -> Staged:
    """Another folder on the same host: nothing in place, but the user's state folder is there."""
    return dataclasses.replace(ready, prod=OfflinePaths(site="elsewhere", pipeline="hello"))


def test_a_pointer_that_stands_still_is_noticed(
        ready: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, freshness, timedelta(days=89))
    fetch(ready.fetch_spec())
    at(monkeypatch, freshness, timedelta(days=91))
    with pytest.raises(IntegrityError, match="may be kept from this host") as caught:
        fetch(ready.fetch_spec())
    assert f"release={ready.id()}" in str(caught.value)
    fetch(ready.fetch_spec(ready.id()))


def test_a_release_is_signed_anew_when_half_of_its_time_is_over(
        ready: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    before = POINTER.read_bytes()
    at(monkeypatch, promote, timedelta(days=44))
    ready.publish()
    assert POINTER.read_bytes() == before
    assert not Path("store/releases/hello/promotions/00000002.json").exists()
    for module in (promote, chain):
        at(monkeypatch, module, timedelta(days=46))
    name = ready.publish()
    assert json.loads(POINTER.read_text()) == {"pipeline": "hello", "id": name, "number": 2}
    at(monkeypatch, freshness, timedelta(days=130))
    fetch(ready.fetch_spec())


def test_without_an_end_it_holds_for_ever(ready: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = dataclasses.replace(ready, signing=dataclasses.replace(ready.signing, valid=None))
    endless.publish()
    at(monkeypatch, freshness, timedelta(days=10_000))
    fetch(endless.fetch_spec())


def test_going_back_is_noticed_from_a_fresh_folder_too(ready: Staged) -> None:
    before = POINTER.read_bytes()
    change_code(ready, b"workflow { 2 }\n")
    ready.publish()
    fetch(ready.fetch_spec())
    POINTER.write_bytes(before)
    with pytest.raises(IntegrityError, match="seen number 2: it is older"):
        fetch(fresh_host(ready).fetch_spec())


def test_asking_for_an_older_release_forgets_nothing(ready: Staged) -> None:
    first, before = ready.id(), POINTER.read_bytes()
    change_code(ready, b"workflow { 2 }\n")
    second = ready.publish()
    fetch(ready.fetch_spec())
    fetch(ready.fetch_spec(first))
    assert json.loads(ready.prod.current.read_text())["id"] == first
    fetch(ready.fetch_spec())
    assert json.loads(ready.prod.current.read_text())["id"] == second
    POINTER.write_bytes(before)
    with pytest.raises(IntegrityError, match="it is older"):
        fetch(ready.fetch_spec())


def test_what_was_seen_is_the_users_own_and_can_t_be_broken_unnoticed(ready: Staged) -> None:
    fetch(ready.fetch_spec())
    memory = ready.host.seen / "releases/hello.json"
    assert memory.stat().st_mode & 0o777 == 0o600
    memory.write_text("{}")
    with pytest.raises(HostError, match="what this host has seen can't be read"):
        fetch(ready.fetch_spec())


def test_an_administrators_minimum_holds_on_a_fresh_host(ready: Staged) -> None:
    first, before = ready.id(), POINTER.read_bytes()
    change_code(ready, b"workflow { 2 }\n")
    second = ready.publish()
    files.write_json(ready.trust / "minimum.json", {"pipelines": {"hello": 2}})
    POINTER.write_bytes(before)
    with pytest.raises(IntegrityError, match="promoted as number 1") as caught:
        fetch(ready.fetch_spec())
    assert "the administrator asks for number 2 at least" in str(caught.value)
    with pytest.raises(IntegrityError, match="promoted as number 1"):
        fetch(ready.fetch_spec(first))
    fetch(ready.fetch_spec(second))
    files.write_json(ready.trust / "minimum.json", {"hello": 2})
    with pytest.raises(ConfigError, match="hello"):
        fetch(ready.fetch_spec())


def test_a_promotion_of_a_release_says_nothing_of_another(ready: Staged) -> None:
    twin = stage("twin")
    twin.publish()
    shutil.copytree("store/releases/twin/promotions", "store/releases/hello/promotions",
                    dirs_exist_ok=True)
    with pytest.raises(IntegrityError, match="this is promotion 1 of twin"):
        fetch(ready.fetch_spec())


@pytest.mark.parametrize("change", [{"number": 2}, {"id": "dev-000000000000"},
                                    {"number": 99999999}, {"number": -1}, {"id": "../../x"},
                                    {"more": 1}])
def test_a_pointer_that_was_written_by_somebody_else(
        ready: Staged, change: dict[str, object]) -> None:
    POINTER.write_text(json.dumps({**json.loads(POINTER.read_text()), **change}))
    with pytest.raises(IntegrityError) as caught:
        fetch(ready.fetch_spec())
    assert "releases/hello" in str(caught.value)
    assert not ready.prod.root.exists()


def test_a_signer_may_be_limited_to_a_pipeline(ready: Staged) -> None:
    key = signature.public_key(ready.signing.key)
    kinds = 'namespaces="airlock-release,airlock-promotion"'
    signers = ready.trust / "allowed_signers"
    signers.write_text(f"airlock/hello {kinds} {key}\n")
    fetch(ready.fetch_spec())
    signers.write_text(f"airlock/twin {kinds} {key}\n")
    with pytest.raises(IntegrityError, match="does not name for 'airlock/hello'"):
        fetch(ready.fetch_spec())
    signers.write_text(f'airlock/hello namespaces="airlock-release" {key}\n')
    with pytest.raises(IntegrityError, match=r"promotions/00000001\.json|does not name"):
        fetch(ready.fetch_spec())
    with pytest.raises(IntegrityError, match="does not name for 'airlock'"):
        signature.verify(b"x", signature.sign(ready.signing.key, b"x", namespace=signature.TOOL),
                         namespace=signature.TOOL, allowed=signers, signer="airlock", where="here")


def test_two_colleagues_who_promote_at_the_same_time(ready: Staged, tmp_path: Path) -> None:
    """The second one's push is an error that shows both; after=NUMBER then follows theirs."""
    change_code(ready, b"workflow { mine }\n")
    theirs = ready.publish()  # number 2
    ready.layout.promoted.unlink()  # from another clone
    ready.layout.promoted.with_name("promoted.signed.json").unlink()
    change_code(ready, b"workflow { ours }\n")
    release.make(ready.release_spec())
    ready.bring()
    with pytest.raises(StoreError, match="not looked at") as caught:
        promote.promote_release(ready.promote_spec())
    for shown in (theirs, "promotion 2", ready.id(), "after=2"):
        assert shown in str(caught.value)
    assert json.loads(POINTER.read_text())["number"] == 2
    assert not Path("store/releases/hello/promotions/00000003.json").exists()
    promote.promote_release(ready.promote_spec(after=2))
    assert json.loads(POINTER.read_text())["number"] == 3
    fetch(ready.fetch_spec())


@pytest.fixture
def tools(ready: Staged) -> list[str]:
    """Two tools in the store, the second the current one."""
    made = []
    layout = SitePaths(site="here")
    for word in ("one", "two"):
        name = files.sha256_bytes(word.encode())[:12]
        files.write_bytes(layout.tool / "airlock.tar", word.encode())
        files.write_bytes(layout.tool / "wheels/a.whl", b"x")
        files.write_json(layout.tool / "tool.json", {
            "kind": "tool", "id": name, "site": "here",
            "wheels": [{"name": "a.whl", "sha256": files.sha256_bytes(b"x"), "size": 1}]})
        sign.sign_tool(sign.SignToolSpec(layout=layout, signing=ready.signing))
        tool.push(tool.PushToolSpec(layout=layout, store=ready.store,
                                    signing=ready.signing))
        made.append(name)
    return made


def running(ready: Staged, name: str, *, asked: bool = False) -> str:
    """What a fetch by a tool of that name says."""
    own = files.json_bytes({"kind": "tool", "id": name, "site": "here", "wheels": [
        {"name": "a.whl", "sha256": "0" * 64, "size": 1}]})
    files.write_bytes(Path("tool.json"), own)
    return fetch(dataclasses.replace(ready.fetch_spec(), asked=asked))


def test_a_tool_that_is_older_than_one_this_host_has_run_is_refused(
        ready: Staged, tools: list[str]) -> None:
    first, second = tools
    assert f"a newer tool is in the store: tool/{second}/" in running(ready, first)
    assert "newer" not in running(ready, second)
    with pytest.raises(IntegrityError, match=f"this tool, {first}, is older") as caught:
        running(ready, first)
    assert f"tool={first}" in str(caught.value)
    running(ready, first, asked=True)
    with pytest.raises(IntegrityError, match="never the current one"):
        running(ready, "0123456789ab")


def test_a_minimum_and_an_end_hold_for_the_tool_too(
        ready: Staged, tools: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tools
    files.write_json(ready.trust / "minimum.json", {"tool": 2})
    for asked in (False, True):
        with pytest.raises(IntegrityError, match=f"{first} was promoted as number 1"):
            running(ready, first, asked=asked)
    running(ready, second)
    pointer = Path("store/tool/current.json")
    before = pointer.read_bytes()
    pointer.unlink()
    with pytest.raises(IntegrityError, match="doesn't say which tool is the current one"):
        running(ready, second)
    pointer.write_bytes(before)
    at(monkeypatch, freshness, timedelta(days=91))
    with pytest.raises(IntegrityError, match=f"the promotion of {second} ended"):
        running(ready, second)


def test_numbers_of_promotions_are_taken_from_their_names_alone(ready: Staged) -> None:
    folder = POINTER.parent / "promotions"
    for name in ("x.json", "1.json", "-0000001.json", "00000009.txt", "٠٠٠٠٠٠٠٩.json"):
        (folder / name).write_text("junk")
    store, subject = open_store(ready.store), Subject(pipeline="hello")
    assert promotions.numbers(store, subject) == [1]
    (folder / "00000008.json").write_text("junk")
    trust = ready.host.signers
    found = promotions.naming(store, subject, ready.id(), trust)
    assert found and found.number == 1
    assert promotions.naming(store, subject, "dev-000000000000", trust) is None


def test_another_key_than_the_trusted_one_promotes_nothing(ready: Staged) -> None:
    other = Signing(key=Path("keys/other"), identity="airlock", create=True)
    dataclasses.replace(ready, signing=other).publish()
    with pytest.raises(IntegrityError, match="does not name for 'airlock/hello'"):
        fetch(ready.fetch_spec())
