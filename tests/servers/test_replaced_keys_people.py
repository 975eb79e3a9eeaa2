"""A lost key, approvers and their keys, and what people are shown of keys that are not trusted."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.errors import IntegrityError
from tasks.core.paths import PipelinePaths
from tasks.core.trust import signature
from tasks.release import approve, history, promote, release
from tests.kit import replaced_keys
from tests.kit.releases import Staged, change_code
from tests.kit.replaced_keys import (
    NEW,
    OLD,
    Site,
    current,
    digest,
    go_back,
    name_of,
    public,
    said_of,
)

BOSS = Path("keys/boss")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.chdir(tmp_path)
    return replaced_keys.two_releases()


def test_a_lost_key_stays_believed_while_a_new_one_signs(site: Site) -> None:
    """Nothing is signed that is there; old releases are gone back to as before."""
    old = public(OLD)
    OLD.unlink()
    ours = site.by(NEW, colleagues={"lost-key": old})
    assert "already" in promote.promote_release(ours.promote_spec())
    change_code(ours, b"workflow { 3 }\n")
    third = ours.publish()
    assert said_of(NEW, site.refused()), "hosts must know it before it signs"
    site.hosts_trust(OLD, NEW)
    assert site.fetch() == third
    assert site.fetch("other", site.ids[0]) == site.ids[0]
    go_back(ours)
    assert site.fetch() == site.ids[1]


def test_the_list_of_releases_names_the_keys_that_are_not_trusted(
        site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    ours = site.by(NEW)
    ours.push()
    capsys.readouterr()
    history.show(history.HistorySpec(pipeline="hello", layout=ours.layout, store=ours.store,
                                     signing=ours.signing))
    said = capsys.readouterr().out
    for number in (1, 2):
        assert (f"promotion {number} doesn't count: the signature is by the key {name_of(OLD)}, "
                "which the site's file does not name") in said
    assert "promotion 3" not in said


@dataclasses.dataclass(kw_only=True)
class Approved:
    """A site where a second person approves, and hosts that ask for that."""

    site: Site
    approvers: dict[str, str]

    def ours(self, key: Path) -> Staged:
        return self.site.by(key, approvers=self.approvers)

    def approve(self, key: Path, after: int | str | None = None) -> str:
        """By an approver, whose site file names who signs."""
        staged = self.site.by(key, approvers=self.approvers, colleagues={"them": public(NEW)})
        return approve.approve_release(approve.ApproveSpec(
            pipeline="hello", layout=PipelinePaths(site="approver", pipeline="hello"),
            store=staged.store, signing=staged.signing, after=after))

    def hosts_trust(self, *keys: Path) -> None:
        self.site.hosts_trust(*keys)
        listed = self.site.staged.trust / "allowed_signers"
        listed.write_text(listed.read_text() + signature.lines_for("airlock", {}, self.approvers))
        files.write_json(self.site.staged.trust / "minimum.json", {
            "approvers": sorted(self.approvers)})


@pytest.fixture
def approved(site: Site) -> Approved:
    """The current release is approved, by the boss."""
    made = Approved(site=site, approvers={"boss": public(BOSS)})
    made.hosts_trust(OLD)
    change_code(site.staged, b"workflow { 3 }\n")
    release.make(made.ours(OLD).release_spec())
    site.ids.append(made.ours(OLD).push())
    staged = made.ours(OLD)
    approve.approve_release(approve.ApproveSpec(
        pipeline="hello", layout=PipelinePaths(site="approver", pipeline="hello"),
        store=staged.store, signing=dataclasses.replace(
            staged.signing, key=BOSS, colleagues={"them": public(OLD)})))
    assert site.fetch() == site.ids[2]
    return made


def test_where_approvals_are_needed_the_key_alone_has_nothing_run(approved: Approved) -> None:
    site = approved.site
    evil = site.steal()
    for name in (None, evil):
        assert "approved by a second person" in site.refused(name=name)
    approved.hosts_trust(NEW)
    release.make(approved.ours(NEW).release_spec())
    said = approved.ours(NEW)
    said.push(after=digest(3))
    with pytest.raises(IntegrityError, match="can't be believed here"):
        PipelinePaths(site="approver", pipeline="hello").promoted.unlink()
        approved.approve(BOSS)
    assert "approved by boss" in approved.approve(BOSS, after=digest(3))
    assert site.fetch() == site.ids[2]


def test_another_approver_approves_what_a_removed_one_had(approved: Approved) -> None:
    site, other = approved.site, Path("keys/other")
    approved.approvers = {"eve": public(other)}
    approved.hosts_trust(OLD)
    assert "the approval is by none of eve" in site.refused()
    staged = approved.ours(OLD)
    approve.approve_release(approve.ApproveSpec(
        pipeline="hello", layout=PipelinePaths(site="eve", pipeline="hello"), store=staged.store,
        signing=dataclasses.replace(staged.signing, key=other,
                                    colleagues={"them": public(OLD)})))
    assert current()["number"] == 3, "nothing else is signed anew"
    assert site.fetch() == site.ids[2]
