"""Pruning of real stores: what goes and stays, killed at any point, while others push and fetch."""

from __future__ import annotations

import json
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.settings import Prune
from tasks.core.errors import IntegrityError
from tasks.core.paths import SitePaths
from tasks.core.store import lease
from tasks.core.store.interface import NotDeletable, bring
from tasks.core.store.store import open_store
from tasks.core.trust import promotions, signature
from tasks.offline_host.fetch import fetch
from tasks.release import places, prune, push, release, sign, tool
from tests.kit import buckets, pruning
from tests.kit.pruning import keys, releases, revisions, spec, torn
from tests.kit.releases import Staged, change_code

KEPT = ".airlock/"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> StoreAt:
    """The same, where it is all one what the store is."""
    return StoreAt(url=str(tmp_path / "store"))


def report() -> dict[str, object]:
    loaded: dict[str, object] = json.loads(Path("build/here/prune.json").read_text())
    return loaded


def test_a_list_goes_first_and_what_it_named_after_the_grace(
        store_at: StoreAt, capsys: pytest.CaptureFixture[str]) -> None:
    staged, ids = revisions(3, store_at)
    before = keys(store_at)
    assert "2 releases and 0 tools to go; 0 files" in prune.show_plan(spec(store_at))
    assert keys(store_at) == before, "a plan changes nothing"
    printed = capsys.readouterr().out
    assert f"hello  {ids[2]}  stays  current\n" in printed
    assert f"hello  {ids[0]}  goes   current until " in printed
    week = Prune(keep=1, recent=0, grace=7 * 86400)
    assert "0 images deleted" in prune.apply(spec(store_at, week))
    assert releases(store_at) == {ids[2]}
    after = keys(store_at)
    assert {key for key in before - after if not key.startswith("releases/")} == set()
    assert {key.rpartition("/")[2] for key in before - after} == {*places.SEALED}
    prune.apply(spec(store_at, week))
    assert keys(store_at, "blobs/") == {key for key in before if key.startswith("blobs/")}
    prune.apply(spec(store_at))
    gone = {key for key in before - keys(store_at) if key.startswith("blobs/")}
    assert {key.rpartition("/")[2] for key in gone} == {"code.tar", "manifest.json",
                                                        "release.json"}
    assert torn(store_at) == {}
    assert len(keys(store_at, "releases/hello/promotions/")) == 6, "statements stay"
    staged.trust_key()
    assert "files checked" in fetch(staged.fetch_spec())


def test_what_was_signed_stays_as_evidence(folder: StoreAt) -> None:
    staged, ids = revisions(2, folder)
    change_code(staged, b"workflow { 0 }\n")
    release.make(staged.release_spec())
    assert staged.id() == ids[0]
    prune.apply(spec(folder))
    store = open_store(folder)
    kept = bring(store, f".airlock/pruned/hello/{ids[0]}/SHA256SUMS")
    assert kept == (staged.layout.release / "SHA256SUMS").read_bytes()
    assert len(keys(folder, f".airlock/pruned/hello/{ids[0]}/")) == 3


def test_a_push_after_a_prune_sends_again_what_receipts_still_claim(
        store_at: StoreAt, monkeypatch: pytest.MonkeyPatch) -> None:
    staged, ids = revisions(1, store_at)
    for name in ("build", "keys"):
        shutil.copytree(name, f"other/{name}")
    with monkeypatch.context() as patch:
        patch.chdir("other")
        change_code(staged, b"another colleague's\n")
        staged.publish()
    for _ in range(2):
        prune.apply(spec(store_at))
    assert ids[0] not in releases(store_at)
    # As doit does: the parts are fresh by their receipts, and only push:release looks.
    push.push_release(staged.push_spec("release"))
    assert ids[0] in releases(store_at)
    assert torn(store_at) == {}
    asked: list[str] = []
    with pruning.watched(push, lambda _, name, key: asked.append(name)):
        push.push_release(staged.push_spec("release"))
    assert "put" not in asked, "all is there"


def test_what_another_site_pipeline_or_command_needs_stays(folder: StoreAt) -> None:
    _, ids = revisions(2, folder)
    _, others = revisions(2, folder, "other")
    store = open_store(folder)
    store.put_bytes("blobs/sha256/c/aws-cli.tar.gz", b"cli")
    store.put_bytes("cli/c/cli.json", b'{"key": "blobs/sha256/c/aws-cli.tar.gz"}')
    store.put_bytes("work/x", b"a job's")
    for _ in range(2):
        prune.apply(spec(folder))
    assert releases(folder) == {ids[1], *others}
    assert torn(folder) == {}
    assert {"blobs/sha256/c/aws-cli.tar.gz", "work/x"} <= keys(folder)


def publish_tool(staged: Staged, text: str) -> str:
    """A tool in the store, the current one; its id."""
    layout, name = SitePaths(site="here"), files.sha256_bytes(text.encode())[:12]
    files.write_text(layout.tool / "airlock.tar", text)
    files.write_text(layout.tool / "wheels/a.whl", "x")
    files.write_json(layout.tool / "tool.json", {
        "kind": "tool", "id": name, "site": "here",
        "wheels": [{"name": "a.whl", "sha256": files.sha256_bytes(b"x"), "size": 1}]})
    sign.sign_tool(sign.SignToolSpec(layout=layout, signing=staged.signing))
    tool.push(tool.PushToolSpec(layout=layout, store=staged.store, signing=staged.signing))
    return name


def test_old_tools_go_and_the_current_one_stays(store_at: StoreAt) -> None:
    staged, _ = revisions(1, store_at)
    ids = [publish_tool(staged, f"{number}") for number in range(3)]
    assert {key.split("/")[1] for key in keys(store_at, "tool/")} == {
        *ids, "promotions", "current.json"}
    prune.apply(spec(store_at))
    assert not keys(store_at, f"tool/{ids[0]}/airlock.tar.sig")
    assert keys(store_at, f"tool/{ids[0]}/airlock.tar") == {f"tool/{ids[0]}/airlock.tar"}
    assert keys(store_at, f".airlock/pruned/tool/{ids[0]}/")
    prune.apply(spec(store_at))
    assert {key.split("/")[1] for key in keys(store_at, "tool/") if "/proofs/" not in key} == {
        ids[2], "promotions", "current.json"}
    assert keys(store_at, f"tool/{ids[0]}/proofs/"), "what was said of it stays"


def test_what_killed_pushes_left_goes_too(folder: StoreAt) -> None:
    revisions(1, folder)
    store = open_store(folder)
    left = ["blobs/sha256/a/f", "releases/hello/dev-a/release.json", "smoke/hello/dev-a/trace.txt",
            "tool/0123/airlock.tar"]
    for key in left:
        store.put_bytes(key, b"half")
    proof = "releases/hello/dev-a/proofs/0.json"
    store.put_bytes(proof, b"{}")
    prune.apply(spec(folder))
    assert {*left} <= keys(folder), "somebody may go on with them"
    prune.apply(spec(folder))
    assert not {*left} & keys(folder)
    assert proof in keys(folder)


def test_a_list_that_can_not_be_read_keeps_everything(folder: StoreAt) -> None:
    _, ids = revisions(3, folder)
    open_store(folder).put_bytes(f"releases/hello/{ids[1]}/SHA256SUMS.new", b"")
    store = open_store(folder)
    store.delete(f"releases/hello/{ids[1]}/SHA256SUMS")
    store.put_bytes(f"releases/hello/{ids[1]}/SHA256SUMS", b"no list")
    before = keys(folder)
    with pytest.raises(IntegrityError):
        prune.apply(spec(folder))
    assert keys(folder, "blobs/") == {key for key in before if key.startswith("blobs/")}
    assert len(keys(folder, "releases/")) == len({key for key in before
                                              if key.startswith("releases/")})


def test_a_store_that_denies_deletion_gets_a_list(
        tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
        ) -> None:
    """A bucket whose policy does that: tests/servers/test_aws_policies.py."""
    store_at = StoreAt(url=str(tmp_path / "store"))
    _, ids = revisions(3, store_at)
    monkeypatch.setattr("tasks.core.nofollow.remove", pruning.refuse)
    before = keys(store_at)
    prune.apply(spec(store_at))
    assert "let one who may do that" in capsys.readouterr().out
    assert releases(store_at) == {*ids}
    assert {key for key in keys(store_at) if not key.startswith(KEPT)} == {
        key for key in before if not key.startswith(KEPT)}
    by_hand = Path("build/here/prune.by-hand.txt").read_text().splitlines()
    assert by_hand[:3] == [f"{store_at.url}/releases/hello/{ids[1]}/{name}" for name in (
        "SHA256SUMS", "SHA256SUMS.sig", "release.json")]
    assert len(by_hand) == 6, "blobs follow once the lists have gone, and the grace is over"
    assert report()["denied"]
    with pytest.raises(NotDeletable):
        open_store(store_at).delete(f"releases/hello/{ids[0]}/SHA256SUMS")


def test_a_bucket_with_versions_says_what_remains(
        tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str],
        s3_login: None) -> None:
    with buckets.gateway(tmp_path_factory.mktemp("versions"), versions=True) as running:
        (running.root / "versioned").mkdir()
        store_at = StoreAt(url="s3://versioned", endpoint=running.endpoint, region="us-east-1")
        pruning.keep_versions(store_at)
        revisions(2, store_at)
        prune.apply(spec(store_at))
        assert "as older versions" in capsys.readouterr().out
        versions = report()["files"]["versions"]  # type: ignore[index]
        assert versions["count"] == 3
        assert versions["bytes"] > 0


def test_nobody_prunes_while_somebody_pushes(folder: StoreAt) -> None:
    _, ids = revisions(2, folder)
    with lease.pushing(open_store(folder)), pytest.raises(lease.Busy, match="at work on this"):
        prune.apply(spec(folder))
    assert releases(folder) == {*ids}


def test_a_current_release_that_is_gone_keeps_everything(folder: StoreAt) -> None:
    _, ids = revisions(3, folder)
    open_store(folder).delete(f"releases/hello/{ids[2]}/SHA256SUMS")
    with pytest.raises(IntegrityError, match=f"{ids[2]}, the current release, isn't in the store"):
        prune.apply(spec(folder))
    assert releases(folder) == {*ids[:2]}


def test_a_store_where_nothing_was_pushed(folder: StoreAt) -> None:
    open_store(folder).put_bytes("x", b"")
    assert "0 releases and 0 tools to go" in prune.show_plan(spec(folder))
    assert "0 files, 0 B and 0 images deleted" in prune.apply(spec(folder))


def test_withdrawn_ones_go_and_their_statement_stays(folder: StoreAt) -> None:
    staged, ids = revisions(2, folder)
    staged.trust_key()
    key = staged.signing.key
    subject = promotions.Subject(pipeline="hello")
    promotion = promotions.Promotion(
        pipeline="hello", id=ids[1], number=3, signed="2026-01-01T00:00:00Z", expires=None,
        withdrawn=(promotions.Withdrawn(id=ids[0], reason="wrong reads"),))
    files.write_bytes(Path("p.json"), promotion.data())
    signature.seal(Path("p.json"), key, namespace=signature.PROMOTION)
    store = open_store(folder)
    for name in ("", ".sig"):
        store.put_bytes(f"{subject.key(3)}{name}", Path(f"p.json{name}").read_bytes())
    store.put_bytes(subject.pointer, promotion.pointer())
    keep = Prune(keep=5, recent=365 * 86400, grace=0)
    prune.apply(spec(folder, keep))
    assert releases(folder) == {ids[1]}
    assert promotions.signed(store, subject, 3, staged.host.signers).withdrawn


def test_one_that_ran_lately_offline_stays(folder: StoreAt) -> None:
    """By a record that came back (`prod:import`)."""
    _, ids = revisions(4, folder)
    for name, days in ((ids[0], 3), (ids[1], 40)):
        begun = datetime.now(timezone.utc) - timedelta(days=days)
        files.write_json(Path(f"build/here/runs/hello/{begun:%Y%m%dT%H%M%SZ}-reads/run.json"), {
            "pipeline": "hello", "release": {"id": name}, "started": f"{begun:%Y-%m-%dT%H:%M:%S}Z"})
    files.write_text(Path("build/here/runs/hello/broken/run.json"), "{")
    prune.apply(spec(folder, Prune(keep=1, recent=3600, grace=0)))
    assert releases(folder) == {*ids}, "all were current in this hour"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.release.prune_plan.History.last_current", lambda *_: datetime(
            2020, 1, 1, tzinfo=timezone.utc))
        prune.apply(spec(folder, Prune(keep=1, recent=30 * 86400, grace=0)))
    assert releases(folder) == {ids[0], ids[3]}


def test_one_that_a_host_is_held_at_is_pinned(folder: StoreAt) -> None:
    _, ids = revisions(4, folder)
    prune.apply(spec(folder, Prune(keep=1, recent=0, grace=0, pinned=(ids[0],))))
    assert releases(folder) == {ids[0], ids[3]}
