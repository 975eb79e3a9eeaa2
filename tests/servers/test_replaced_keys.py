"""A signing key that has leaked makes way for another, while who has it writes into the store.

The keys and the chain are real. tests/servers/test_key_runbooks.py types what the runbooks say.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.errors import IntegrityError, StoreError
from tasks.core.paths import PipelinePaths
from tasks.core.store.store import open_store
from tasks.core.trust import signature
from tasks.offline_host import freshness
from tasks.release import release
from tests.kit import carrying, replaced_keys
from tests.kit.releases import change_code
from tests.kit.replaced_keys import (
    HELLO,
    NEW,
    OLD,
    Site,
    current,
    digest,
    go_back,
    name_of,
    said_of,
)

TOOL = Path("store/tool")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.chdir(tmp_path)
    return replaced_keys.two_releases()


def test_a_host_refuses_all_that_a_removed_key_has_signed(site: Site) -> None:
    """The current release, one that is asked for or held at, and what the store was remembered
    to say."""
    site.fetch("held", site.ids[0], hold=True)
    site.hosts_trust(NEW)
    assert said_of(OLD, site.refused())
    assert said_of(OLD, site.refused("fresh"))
    assert said_of(OLD, site.refused(name=site.ids[0]))
    assert said_of(OLD, site.refused("held"))
    Path("store").rename("away")
    assert said_of(OLD, site.refused())


def test_a_line_that_has_ended_is_told_from_one_that_is_not_there(site: Site) -> None:
    listed = site.staged.trust / "allowed_signers"
    listed.write_text(listed.read_text().replace(
        'namespaces="airlock-*"', 'namespaces="airlock-*",valid-before="20200101"'))
    said = site.refused()
    assert said_of(OLD, said)
    assert "line 1: key has expired" in said


def test_what_is_current_is_signed_anew_by_the_new_key_and_hosts_go_on(site: Site) -> None:
    """It has the same id, so nothing else of it moves; the chain goes on from the old key's."""
    site.hosts_trust(NEW)
    before = {path: path.read_bytes() for path in files.tree(Path("store/blobs"))}
    assert site.by(NEW).push() == site.ids[1]
    assert current()["number"] == 3
    assert current()["predecessor"] == digest(2)
    assert {path: path.read_bytes() for path in files.tree(Path("store/blobs"))} == before
    for host in ("one", "fresh"):
        assert site.fetch(host) == site.ids[1]
    change_code(site.staged, b"workflow { 3 }\n")
    third = site.by(NEW).publish()
    assert [site.fetch(host) for host in ("one", "fresh")] == [third, third]
    assert said_of(OLD, site.refused(name=site.ids[0]))


def test_an_older_release_is_made_again_and_signed_by_the_new_key(site: Site) -> None:
    site.hosts_trust(NEW)
    ours = site.by(NEW)
    ours.push()
    with pytest.raises(StoreError, match="no release before"):
        go_back(ours)
    change_code(ours, b"workflow { 1 }\n")  # what its commit makes
    release.make(ours.release_spec())
    ours.bring()
    assert ours.id() == site.ids[0]
    go_back(ours, site.ids[0])
    assert site.fetch() == site.ids[0]


def test_who_has_the_key_has_everything_until_its_line_goes_and_nothing_after(
        site: Site) -> None:
    evil = site.steal()
    assert site.fetch("taken") == evil
    site.hosts_trust(NEW)
    for host in ("one", "taken", "fresh"):
        assert said_of(OLD, site.refused(host))
        assert said_of(OLD, site.refused(host, evil))
    change_code(site.staged, b"workflow { 3 }\n")
    ours = site.by(NEW)
    with pytest.raises(IntegrityError) as caught:
        ours.publish()
    for shown in (f"by the key {name_of(OLD)}, which the site's file does not name",
                  f"after={digest(2)} goes on from number 2, {site.ids[1]}",
                  "docs/runbooks/leaked-key.md"):
        assert shown in str(caught.value)
    assert current()["id"] == evil
    third = ours.push(after=digest(2))
    assert current()["predecessor"] == digest(2)
    assert [site.fetch(host) for host in ("one", "fresh")] == [third, third]
    said = site.refused("taken")
    assert "promotion 4 follows another number 3 than this host has seen" in said
    site.steal(b"workflow { evil again }\n")
    for host in ("one", "fresh", "taken"):
        assert said_of(OLD, site.refused(host))
    assert ours.push(after=digest(4)) == third
    assert site.fetch() == third


@pytest.mark.parametrize("cleaned", [False, True])
def test_a_host_that_took_what_a_thief_signed_says_so_from_then_on(
        site: Site, cleaned: bool) -> None:
    """Also where somebody has taken the thief's promotions out of the store."""
    for code in (b"workflow { evil }\n", b"workflow { worse }\n"):
        site.steal(code)
    site.fetch("taken")
    if cleaned:
        for path in (HELLO / "promotions").glob("0000000[34].*"):
            path.unlink()
    site.hosts_trust(NEW)
    site.by(NEW).push(after=digest(2))
    assert current()["number"] == (3 if cleaned else 5)
    assert ("this host has seen number 4: it is older" if cleaned else
            "promotion 5 follows another number 4 than this host has seen") in site.refused("taken")
    assert site.fetch() == site.ids[1]


@pytest.mark.parametrize("after", [1, 2, 3, "0" * 64])
def test_no_number_and_no_other_digest_lets_a_thiefs_promotion_be_followed(
        site: Site, after: int | str) -> None:
    site.steal()
    with pytest.raises(IntegrityError, match=r"can't be believed here|no promotion of this SHA"):
        site.by(NEW).push(after=after)
    assert current()["number"] == 3
    assert not (HELLO / "promotions/00000004.json").exists()


def test_a_digest_is_no_leave_to_pass_over_what_a_trusted_key_has_signed(site: Site) -> None:
    ours = site.by(NEW)
    ours.push()
    change_code(ours, b"workflow { 3 }\n")
    release.make(ours.release_spec())
    with pytest.raises(StoreError, match="not looked at"):
        ours.push(after=digest(2))
    assert ours.push(after=digest(3)) == current()["id"]


def test_a_new_checkout_goes_on_by_the_digest_that_a_host_remembers(site: Site) -> None:
    """The key and the machine were stolen together."""
    site.staged.layout.promoted.unlink()
    site.staged.layout.promoted.with_name("promoted.signed.json").unlink()
    site.steal()
    site.hosts_trust(NEW)
    ours = site.by(NEW)
    with pytest.raises(IntegrityError, match="after=SHA256 goes on from the promotion that an "):
        ours.push()
    seen = json.loads(Path("seen/one/releases/hello.json").read_text())
    assert ours.push(after=seen["sha256"]) == site.ids[1]
    assert site.fetch() == site.ids[1]


def test_a_thief_who_removes_pointer_and_promotions_keeps_nobody_from_going_on(
        site: Site) -> None:
    site.hosts_trust(NEW)
    ours = site.by(NEW)
    kept = (HELLO / "promotions/00000002.json").read_bytes()
    (HELLO / "current.json").unlink()
    (HELLO / "promotions/00000002.json").unlink()
    with pytest.raises(IntegrityError, match="no promotion of this SHA-256"):
        ours.push(after=files.sha256_bytes(kept))
    (HELLO / "promotions/00000002.json").write_bytes(kept)
    ours.push(after=digest(2))
    assert site.fetch() == site.ids[1]


def resigned(path: Path, kind: str) -> None:
    """Put the old key's signature in the place of the new one's."""
    path.with_name(f"{path.name}.sig").write_bytes(
        signature.sign(OLD, path.read_bytes(), namespace=kind))


TAMPERED: dict[str, Callable[[Site, str], object]] = {
    "the list is signed by the old key": lambda site, name: resigned(
        HELLO / name / "SHA256SUMS", signature.RELEASE),
    "the promotion is signed by the old key": lambda site, name: resigned(
        HELLO / "promotions/00000003.json", signature.PROMOTION),
    "the pointer goes back": lambda site, name: (HELLO / "current.json").write_text(json.dumps(
        {"pipeline": "hello", "id": site.ids[1], "number": 2})),
    "a release of theirs is current": lambda site, name: site.steal(),
    "the new promotion is gone": lambda site, name: (
        HELLO / "promotions/00000003.json").unlink(),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_after_the_change_who_has_the_old_key_can_only_stop_hosts(site: Site, how: str) -> None:
    site.hosts_trust(NEW)
    change_code(site.staged, b"workflow { 3 }\n")
    name = site.by(NEW).publish()
    assert site.fetch() == name
    TAMPERED[how](site, name)
    site.refused()
    site.refused("fresh")


def test_the_tool_goes_on_in_the_same_way(site: Site) -> None:
    first = carrying.push_tool(site.by(OLD))
    host = site.host("one")
    own = site.staged.layout.of_site.tool / "tool.json"
    freshness.note(host, freshness.check_tool(
        open_store(site.staged.store), host, own, asked=False)[0])
    thief = dataclasses.replace(site.by(OLD), layout=PipelinePaths(site="here", pipeline="hello"))
    remembered = site.staged.layout.of_site.tool_promoted
    before = remembered.read_bytes()
    carrying.push_tool(thief, b"an evil one")
    remembered.write_bytes(before)
    remembered.with_name("tool.promoted.signed.json").unlink()
    site.hosts_trust(NEW)
    with pytest.raises(IntegrityError, match="does not name for 'airlock'"):
        freshness.check_tool(open_store(site.staged.store), host, own, asked=False)
    with pytest.raises(IntegrityError, match=f"after={digest(1, TOOL)} goes on from number 1"):
        carrying.push_tool(site.by(NEW))
    assert carrying.push_tool(site.by(NEW), after=digest(1, TOOL)) == first
    promotion, notice = freshness.check_tool(open_store(site.staged.store), host, own,
                                             asked=False)
    assert (promotion and promotion.id, notice) == (first, "")
