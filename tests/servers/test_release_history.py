"""release:list, release:back and release:withdraw, by two clones on one store, folder or bucket."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.settings import Signing
from tasks.core.errors import ConfigError, IntegrityError, StoreError
from tasks.core.paths import PipelinePaths
from tasks.core.schema import read_json
from tasks.core.store.interface import bring
from tasks.core.store.store import open_store
from tasks.core.trust import signature
from tasks.offline_host.fetch import fetch
from tasks.release import approve, back, history
from tests.kit import buckets
from tests.kit.clones import pair
from tests.kit.releases import Staged, change_code, stage

STORE = Path("store/releases/hello")


@dataclasses.dataclass(kw_only=True)
class Online:
    """A pipeline with three releases, each promoted in its turn."""

    staged: Staged
    ids: list[str]

    def back(self, to: str | None = None, *, reason: str | None = "it fails",
             after: int | None = None) -> str:
        staged = self.staged
        return back.go_back(back.BackSpec(
            pipeline="hello", layout=staged.layout, store=staged.store, signing=staged.signing,
            to=to, reason=reason, after=after))

    def withdraw(self, name: str | None, *, reason: str | None = "a leak") -> str:
        staged = self.staged
        return back.withdraw(back.WithdrawSpec(
            pipeline="hello", layout=staged.layout, store=staged.store, signing=staged.signing,
            id=name, reason=reason))

    def list(self) -> dict[str, Any]:
        """What the store shows, as JSON."""
        staged = self.staged
        history.show(history.HistorySpec(
            pipeline="hello", layout=staged.layout, store=staged.store, signing=staged.signing))
        return self.read()

    def read(self) -> dict[str, Any]:
        return dict(read_json(self.staged.layout.releases, "releases"))

    def current(self) -> str:
        return str(json.loads((STORE / "current.json").read_text())["id"])

    def fetched(self) -> str:
        """What an offline host has in place after a fetch."""
        self.staged.trust_key()
        fetch(self.staged.fetch_spec())
        return str(json.loads(self.staged.prod.current.read_text())["id"])


@pytest.fixture
def online(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Online:
    monkeypatch.chdir(tmp_path)
    return published(stage())


def published(staged: Staged) -> Online:
    """Three releases, in the store that is given."""
    ids = []
    for number in range(3):
        change_code(staged, b"workflow { %d }\n" % number)
        ids.append(staged.publish())
    return Online(staged=staged, ids=ids)


def test_a_life_in_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3_login: None
                            ) -> None:
    monkeypatch.chdir(tmp_path)
    with buckets.gateway(tmp_path / "s3") as running:
        (running.root / "bucket").mkdir()
        at = StoreAt(url="s3://bucket/carried", endpoint=running.endpoint, region="us-east-1")
        online = published(dataclasses.replace(stage(), store=at))
        first, second, third = online.ids
        pointer = running.root / "bucket/carried/releases/hello/current.json"
        before = bring(open_store(at), "releases/hello/current.json")
        online.back(reason="it fails")
        assert online.fetched() == second
        open_store(at).put_bytes("releases/hello/current.json", before)
        with pytest.raises(IntegrityError, match="seen number 4: it is older"):
            online.fetched()
        online.withdraw(second)  # which goes on from the newest one, and mends the pointer
        assert online.fetched() == first
        online.withdraw(third)
        assert json.loads(pointer.read_text()) == {"pipeline": "hello", "id": first, "number": 6}
        shown = online.list()
        assert [release["id"] for release in shown["releases"]] == [first, second, third]
        assert shown["unverified"] == []


def colleague(online: Online) -> Online:
    """The same site in another clone, by another key, which each side's file names."""
    key = Signing(key=Path("keys/theirs"), identity="airlock", create=True)
    signature.ready(key.key, create=True, identity="airlock")
    ours = online.staged.signing
    online.staged = dataclasses.replace(online.staged, signing=dataclasses.replace(
        ours, colleagues={"ada": signature.public_key(key.key)}))
    staged = dataclasses.replace(
        online.staged, layout=PipelinePaths(site="clone", pipeline="hello"),
        signing=dataclasses.replace(key, colleagues={"bea": signature.public_key(ours.key)}))
    return Online(staged=staged, ids=online.ids)


def test_going_back_names_the_release_before_and_a_second_time_the_one_before_that(
        online: Online, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third = online.ids
    assert f"{second} is the current release again" in online.back(reason="it loses | reads")
    assert f"goes back from {third} (promotion 3 of " in capsys.readouterr().out
    assert online.fetched() == second
    online.back()
    assert online.fetched() == first
    with pytest.raises(StoreError, match=f"no release before {first}"):
        online.back()
    online.back(third, reason="it was the disk")
    assert online.fetched() == third
    shown = online.list()
    assert shown["current"] == {"id": third, "number": 6, "since": json.loads(
        (STORE / "promotions/00000006.json").read_text())["signed"]}
    out = capsys.readouterr().out
    assert "went back: it was the disk |" in out
    assert out.count("\n| dev-") == 3


def test_promotions_of_before_there_was_a_chain_are_gone_back_to(online: Online) -> None:
    first, second, third = online.ids
    for number in (1, 2, 3):
        path = STORE / f"promotions/{number:08}.json"
        about = {key: value for key, value in json.loads(path.read_text()).items()
                 if key not in ("predecessor", "proof")}
        files.write_json(path, about)
        path.with_name(f"{path.name}.sig").unlink()
        signature.seal(path, online.staged.signing.key, namespace=signature.PROMOTION)
    shutil.copy(STORE / "promotions/00000003.json", online.staged.layout.promoted)
    online.back()
    assert online.current() == second
    online.withdraw(second)
    assert online.current() == first
    assert online.fetched() == first
    assert third in {release["id"] for release in online.list()["releases"]}


def test_what_one_can_t_go_back_to(online: Online) -> None:
    first, second, third = online.ids
    for to, reason, said in ((third, "x", "is the current release already"),
                             (second, None, "no reason is given"),
                             (f"{second[:-1]}x", "x", f"did you mean '{second}'")):
        with pytest.raises((ConfigError, StoreError), match=said):
            online.back(to, reason=reason)
    (STORE / second / "SHA256SUMS.sig").write_bytes(b"x")
    with pytest.raises(IntegrityError, match="does not belong to these bytes"):
        online.back(second)
    online.back()  # the one before that is whole
    assert online.current() == first


def test_a_release_whose_files_are_gone_is_passed_over(online: Online) -> None:
    first, second, _ = online.ids
    about = json.loads((STORE / second / "release.json").read_text())
    code = next(file for file in about["files"] if file["path"] == "code.tar")
    shutil.rmtree(f"store/blobs/sha256/{code['sha256']}")
    with pytest.raises(IntegrityError, match=r"lacks 1 of its \d+ files: code\.tar"):
        online.back(second)
    online.back()
    assert online.current() == first


def test_withdrawing_the_current_one_goes_back_in_the_same_step(online: Online) -> None:
    first, second, third = online.ids
    assert "which names" in online.withdraw(first)
    assert online.current() == third
    online.withdraw(third)
    assert online.fetched() == second
    assert f"{third} was withdrawn already: a leak" in online.withdraw(third)
    with pytest.raises(IntegrityError, match=f"{third} was withdrawn, and can't become"):
        online.back(third)
    online.withdraw(second)
    assert online.current() == second
    with pytest.raises(IntegrityError, match=r"no other release has taken its place|was withdrawn"):
        online.fetched()
    change_code(online.staged, b"workflow { mended }\n")
    mended = online.staged.publish()
    assert online.fetched() == mended
    withdrawn = {release["id"]: release["withdrawn"]
                 for release in online.list()["releases"]}
    assert withdrawn == {mended: None, first: "a leak", second: "a leak", third: "a leak"}


def test_the_next_doit_of_who_went_back_undoes_nothing(online: Online) -> None:
    """Its checkout still makes the release that was taken back."""
    online.back(reason="it loses reads")
    with pytest.raises(StoreError, match=r"by promotion 4 of .*: it loses reads") as caught:
        online.staged.push()
    assert f"release:back:hello to={online.ids[2]} reason=" in str(caught.value)
    assert online.current() == online.ids[1]
    change_code(online.staged, b"workflow { mended }\n")
    mended = online.staged.publish()
    assert online.fetched() == mended


def test_who_has_not_seen_a_going_back_doesn_t_promote_over_it(tmp_path: Path) -> None:
    """Its proof is that of the older release, on whose commit everybody stands."""
    ann, bert = pair(tmp_path, StoreAt(url=str(tmp_path / "store")))
    first = ann.ship()
    ann.commit("workflow { 2 }\n")
    ann.ship()
    with ann.entered() as staged:
        Online(staged=staged, ids=[]).back(reason="it loses reads")
    bert.git("pull", "-q", "origin", "main")
    bert.commit("workflow { 3 }\n")
    with pytest.raises(StoreError, match="it went back: it loses reads") as caught:
        bert.ship()
    assert first in str(caught.value)
    bert.promote(after=3)


def test_a_withdrawn_release_is_not_promoted_again_by_a_colleague_either(online: Online) -> None:
    theirs = colleague(online)
    online.withdraw(online.ids[2])
    change_code(theirs.staged, b"workflow { 2 }\n")
    shutil.copytree("build/here", "build/clone", dirs_exist_ok=True)
    for after in (None, 4):
        with pytest.raises((IntegrityError, StoreError), match=r"was withdrawn|not looked at"):
            theirs.staged.push(after=after)
    assert online.current() == online.ids[1]


def test_what_is_withdrawn_must_be_there(online: Online) -> None:
    for name, reason, said in ((None, "x", "which release is withdrawn"),
                               (online.ids[0], None, "no reason is given"),
                               ("dev-000000000000", "x", "holds no release")):
        with pytest.raises((ConfigError, StoreError), match=said):
            online.withdraw(name, reason=reason)
    assert online.current() == online.ids[2]


def test_a_clone_that_has_not_looked_goes_back_only_from_what_it_names(online: Online) -> None:
    theirs = colleague(online)
    with pytest.raises(StoreError, match="this checkout has not looked at it") as caught:
        theirs.back()
    assert "after=3" in str(caught.value)
    with pytest.raises(StoreError, match="after=2 names another"):
        theirs.back(after=2)
    theirs.back(after=3)
    assert online.current() == online.ids[1]
    with pytest.raises(StoreError, match="not looked at"):
        online.back()
    by = {entry["number"]: entry["by"] for release in online.list()["releases"]
          for entry in release["promotions"]}
    assert by == {1: "airlock", 2: "airlock", 3: "airlock", 4: "ada"}


def test_what_no_trusted_key_has_signed_is_shown_as_such(
        online: Online, capsys: pytest.CaptureFixture[str]) -> None:
    first = online.ids[0]
    (STORE / first / "SHA256SUMS.sig").write_bytes(b"x")
    (STORE / "promotions/00000009.json").write_bytes(b"{}")
    (STORE / "evil\x1b[31m").mkdir()
    (STORE / "evil\x1b[31m/SHA256SUMS").write_bytes(b"")
    shown = online.list()
    faults = {release["id"]: release["fault"] for release in shown["releases"]}
    assert set(faults) == {*online.ids, "evil\x1b[31m"}
    assert "does not belong" in faults[first]
    assert faults["evil\x1b[31m"] == "this is no release's id"
    out = capsys.readouterr().out
    assert "NOT VERIFIED: the signature does not belong" in out
    assert "promotion 9 doesn't count: " in out
    assert "\x1b" not in out
    (STORE / "promotions/00000003.json.sig").write_bytes(b"x")
    with pytest.raises(IntegrityError, match="does not belong"):
        online.list()
    assert online.read()["current"] is None
    assert online.read()["fault"]


def test_an_empty_store_has_an_empty_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    staged = dataclasses.replace(stage(), store=StoreAt(url="none"))
    nothing = Online(staged=staged, ids=[])
    assert nothing.list() == {
        "pipeline": "hello", "store": "none", "fault": None, "current": None, "proposed": None,
        "releases": [], "unverified": []}
    with pytest.raises(StoreError, match="nothing was promoted yet"):
        nothing.back()
    assert not files.tree(Path("none"))


def test_an_approver_has_the_last_word_on_going_back_too(online: Online) -> None:
    key = Path("keys/boss")
    signature.ready(key, create=True, identity="boss")
    ours = dataclasses.replace(online.staged.signing,
                               approvers={"boss": signature.public_key(key)})
    online.staged = dataclasses.replace(online.staged, signing=ours)
    assert "proposed as promotion 4" in online.back()
    assert online.current() == online.ids[2]
    shown = online.list()
    assert (shown["proposed"], shown["current"]["number"]) == (4, 3)
    approve.approve_release(approve.ApproveSpec(
        pipeline="hello", layout=online.staged.layout, store=online.staged.store,
        signing=dataclasses.replace(ours, key=key, colleagues={
            "bea": signature.public_key(ours.key)})))
    assert online.current() == online.ids[1]
    approved = {entry["number"]: entry["approved"]
                for release in online.list()["releases"]
                for entry in release["promotions"]}
    assert approved == {1: None, 2: None, 3: None, 4: "boss"}
