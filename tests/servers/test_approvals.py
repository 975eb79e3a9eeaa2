"""A second person's approval, where the trust folder of the offline host asks for one."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.settings import Signing
from tasks.core.errors import ConfigError, IntegrityError
from tasks.core.paths import SitePaths
from tasks.core.trust import approvals, signature
from tasks.core.trust.promotions import Subject
from tasks.offline_host.fetch import fetch
from tasks.release import approve, sign, tool
from tests.kit.clones import Clone, pair
from tests.kit.releases import Staged

HELLO = Subject(pipeline="hello")


@pytest.fixture
def people(tmp_path: Path) -> tuple[Clone, Clone, Clone]:
    """Ann and Bert, who sign, and Carol, who approves: in Bert's clone, by her own key."""
    ann, bert = pair(tmp_path, StoreAt(url=str(tmp_path / "store")))
    key = Signing(key=tmp_path / "keys/carol", identity="airlock", create=True)
    signature.ready(key.key, create=True, identity="carol")
    approvers = {"carol": signature.public_key(key.key) + " carol@example.org",
                 "dan": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHtXX1N8Mf8uuKhbbNBkGfdvRzWAmpm"
                        "Yz5eDEZlZQK8F"}

    def asks(clone: Clone, key: Path) -> Clone:
        return dataclasses.replace(clone, signing=dataclasses.replace(
            clone.signing, key=key, approvers=approvers))
    bert.git("pull", "-q", "origin", "main")
    return asks(ann, ann.signing.key), asks(bert, bert.signing.key), asks(bert, key.key)


@pytest.fixture
def host(people: tuple[Clone, Clone, Clone], tmp_path: Path) -> Path:
    """The trust folder of an offline host, as INSTALL.txt has it filled."""
    ann, *_ = people
    trust = tmp_path / "trust"
    files.write_text(trust / "allowed_signers", signature.lines_for(
        "airlock", ann.signing.colleagues, ann.signing.approvers))
    files.write_json(trust / "minimum.json", {"approvers": ["carol", "dan"]})
    return trust


def fetched(clone: Clone, trust: Path, name: str | None = None) -> str:
    """What an offline host with that trust folder says; the clone is where it stands."""
    with clone.entered() as staged:
        there: Staged = dataclasses.replace(staged, trust=trust)
        return fetch(there.fetch_spec(name))


def pointer(clone: Clone) -> Path:
    return Path(clone.store.url) / "releases/hello/current.json"


def test_what_is_promoted_is_proposed_until_another_person_has_approved_it(
        people: tuple[Clone, Clone, Clone], host: Path) -> None:
    ann, bert, carol = people
    name = ann.bring()
    said = ann.promote()
    assert "not the current release before one of carol, dan approves it" in said
    assert "./doit release:approve:hello" in said
    assert "role=prod" not in said
    assert not pointer(ann).exists()
    assert "not the current release before" in ann.promote(), "and again"
    for refused in (ann, bert):
        with pytest.raises(ConfigError, match="no approver's"):
            refused.approve()
    with pytest.raises(IntegrityError, match=f"proposed is {name}, not dev-000000000000"):
        carol.approve("dev-000000000000")
    assert "approved by carol" in carol.approve(name)
    assert json.loads(pointer(ann).read_text())["id"] == name
    assert f"{name} is in place" in fetched(ann, host)
    assert "already" in ann.promote()


def test_an_approver_sees_what_is_approved(people: tuple[Clone, Clone, Clone],
                                           capsys: pytest.CaptureFixture[str]) -> None:
    ann, _, carol = people
    name = ann.bring()
    ann.promote(unproven="the engine is away")
    carol.approve()
    said = capsys.readouterr().out
    for shown in (name, "promotion 1", "NOT PROVEN: the engine is away", "commit ",
                  signature.fingerprint(signature.public_key(ann.signing.key))):
        assert shown in said


def test_a_host_takes_nothing_that_was_not_approved_by_whatever_name_it_is_asked_for(
        people: tuple[Clone, Clone, Clone], host: Path) -> None:
    ann, _, carol = people
    name = ann.ship()
    with ann.entered() as staged:
        alone = dataclasses.replace(staged, signing=dataclasses.replace(staged.signing,
                                                                        approvers={}))
        alone.push()  # by a site's file without approvers, or by a tool of one's own
    assert json.loads(pointer(ann).read_text())["id"] == name
    for asked in (None, name):
        with pytest.raises(IntegrityError, match="approved by a second person"):
            fetched(ann, host, asked)
    assert "waits" not in carol.approve()
    for asked in (None, name):
        assert f"{name} is in place" in fetched(ann, host, asked)


def test_an_approval_is_of_one_promotion_and_by_another_key(
        people: tuple[Clone, Clone, Clone], host: Path, tmp_path: Path) -> None:
    ann, _, carol = people
    ann.ship()
    carol.approve()
    ann.edit("workflow { 2 }\n")
    second = ann.ship()
    carol.approve()
    place = Path(ann.store.url) / HELLO.approval(2)
    good = place.read_bytes()
    shutil.copy(Path(ann.store.url) / HELLO.approval(1), place)
    with pytest.raises(IntegrityError, match="by none of carol, dan"):
        fetched(ann, host)
    data = (Path(ann.store.url) / HELLO.key(2)).read_bytes()
    place.write_bytes(signature.sign(carol.signing.key, data, namespace=signature.PROMOTION))
    with pytest.raises(IntegrityError, match="by none of carol, dan"):
        fetched(ann, host)
    place.write_bytes(signature.sign(ann.signing.key, data, namespace=signature.APPROVAL))
    with pytest.raises(IntegrityError, match="by none of carol, dan"):
        fetched(ann, host)
    allowed = host / "allowed_signers"
    allowed.write_text(allowed.read_text() + signature.approver_line(
        "carol", signature.public_key(ann.signing.key)))  # one key under two names
    with pytest.raises(IntegrityError, match="carol approved what the same key has signed"):
        fetched(ann, host)
    place.write_bytes(good)
    assert f"{second} is in place" in fetched(ann, host)


def test_who_signs_can_t_approve_online_either(people: tuple[Clone, Clone, Clone]) -> None:
    ann, *_ = people
    both = dataclasses.replace(ann, signing=dataclasses.replace(
        ann.signing, approvers={"ann": signature.public_key(ann.signing.key)}))
    both.ship()
    with pytest.raises(IntegrityError, match="same key has signed"):
        both.approve()
    assert not pointer(ann).exists()


def test_what_nobody_approved_makes_way_for_the_next_one(
        people: tuple[Clone, Clone, Clone], host: Path) -> None:
    ann, bert, carol = people
    ann.ship()
    bert.edit("workflow { 3 }\n")
    name = bert.bring()
    bert.promote(after=1)
    carol.approve()
    assert json.loads(pointer(ann).read_text()) == {"pipeline": "hello", "id": name, "number": 2}
    assert f"{name} is in place" in fetched(ann, host)


def test_a_tool_needs_it_too(people: tuple[Clone, Clone, Clone], host: Path) -> None:
    """Else who signs alone could carry a tool that doesn't ask."""
    ann, _, carol = people
    ann.ship()
    carol.approve()
    layout = SitePaths(site="here")
    with ann.entered() as staged:
        described = {"kind": "tool", "id": "0123456789ab", "site": "here", "wheels": [
            {"name": "a.whl", "sha256": files.sha256_bytes(b"x"), "size": 1}]}
        files.write_bytes(layout.tool / "airlock.tar", b"x")
        files.write_bytes(layout.tool / "wheels/a.whl", b"x")
        files.write_json(layout.tool / "tool.json", described)
        sign.sign_tool(sign.SignToolSpec(layout=layout, signing=ann.signing))
        said = tool.push(tool.PushToolSpec(layout=layout, store=ann.store, signing=ann.signing))
        assert "tool:approve" in said
        files.write_json(Path("tool.json"), described)
        there = dataclasses.replace(staged, trust=host)
        for asked in (False, True):
            with pytest.raises(IntegrityError, match="tool"):
                fetch(dataclasses.replace(there.fetch_spec(), asked=asked))
    with carol.entered():
        approve.approve_tool(approve.ApproveToolSpec(layout=layout, store=ann.store,
                                                     signing=carol.signing))
    with ann.entered() as staged:
        there = dataclasses.replace(staged, trust=host)
        for asked in (False, True):
            fetch(dataclasses.replace(there.fetch_spec(), asked=asked))


@pytest.mark.parametrize("text", ["{}", '{"approvers": []}', '{"approvers": ["a b"]}',
                                  '{"approvers": "carol"}', "", "[]"])
def test_a_policy_is_there_or_it_is_not(tmp_path: Path, text: str) -> None:
    (tmp_path / "minimum.json").write_text(text)
    if text == "{}":
        assert approvals.needed(tmp_path) == ()
        return
    with pytest.raises(ConfigError):
        approvals.needed(tmp_path)
