"""Releases made current by two people, each in a clone of their own, over one store."""

from __future__ import annotations

import getpass
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import AirlockError, ConfigError, IntegrityError, StoreError
from tasks.core.schema import read_json
from tasks.core.store.folder import FolderStore
from tasks.core.store.interface import bring
from tasks.core.store.store import open_store
from tasks.core.trust import proofs, signature
from tasks.core.trust.promotions import Subject
from tasks.release import chain, promote, release
from tasks.release.chain import Chain
from tests.kit.chains import Killed, killed
from tests.kit.clones import Clone, pair
from tests.kit.releases import change_code

HELLO = Subject(pipeline="hello")


@pytest.fixture
def both(store_at: StoreAt, tmp_path: Path) -> tuple[Clone, Clone]:
    """Two clones over a folder, and over a bucket."""
    return pair(tmp_path, store_at)


@pytest.fixture
def two(tmp_path: Path) -> tuple[Clone, Clone]:
    return pair(tmp_path, StoreAt(url=str(tmp_path / "store")))


def current(clone: Clone) -> tuple[str, int]:
    pointer = json.loads(bring(open_store(clone.store), HELLO.pointer))
    return pointer["id"], pointer["number"]


def at(clone: Clone, path: str) -> Path:
    return clone.folder / "build/here/hello" / path


def test_what_is_pushed_is_current_once_it_is_promoted_and_then_stays_so(
        both: tuple[Clone, Clone]) -> None:
    ann, _ = both
    first = ann.ship()
    ann.commit("workflow { 2 }\n")
    second = ann.bring()
    assert current(ann) == (first, 1)
    assert f"{second} is the current release" in ann.promote()
    assert current(ann) == (second, 2)
    held = at(ann, "push/promote.receipt.json").read_bytes()
    assert f"{second} is the current release" in ann.promote()
    assert "already" in ann.promote()
    assert current(ann) == (second, 2)
    assert at(ann, "push/promote.receipt.json").read_bytes() == held, "the crossing stays fresh"


def test_a_stale_checkout_gets_an_error_that_shows_both(both: tuple[Clone, Clone]) -> None:
    ann, bert = both
    bert.git("pull", "-q", "origin", "main")
    commit = ann.commit("workflow { 3 }\n")
    theirs = ann.ship()
    yours = bert.bring()
    with pytest.raises(StoreError) as caught:
        bert.promote()
    said = str(caught.value)
    for shown in (theirs, yours, "promotion 1", "by ann", commit[:12], "git pull", "after=1",
                  "release:diff:hello", bert.git("rev-parse", "HEAD")[:12]):
        assert shown in said
    assert current(ann) == (theirs, 1)
    bert.git("pull", "-q", "origin", "main")
    bert.commit("workflow { 4 }\n")
    name = bert.ship()
    assert current(ann) == (name, 2)
    with pytest.raises(StoreError, match="not looked at"):
        ann.promote()
    assert current(ann) == (name, 2), "nobody goes back without a word"
    ann.promote(after=2)
    assert current(bert) == (theirs, 3)


def test_equal_content_of_a_colleague_is_current_already_and_is_remembered(
        both: tuple[Clone, Clone]) -> None:
    ann, bert = both
    ann.edit("workflow { 5 }\n")
    name = ann.ship()
    bert.git("pull", "-q", "origin", "main")
    bert.edit("workflow { 5 }\n")
    assert bert.ship() == name
    assert current(bert) == (name, 1)
    bert.edit("workflow { 6 }\n")
    assert current(bert) != (bert.ship(), 1)


@pytest.mark.parametrize("who", ["ann", "bert"])
def test_changes_that_are_not_committed_say_nothing_of_what_was_seen(
        two: tuple[Clone, Clone], who: str) -> None:
    ann, bert = two
    bert.git("pull", "-q", "origin", "main")
    if who == "ann":
        ann.edit("workflow { 7 }\n")
    theirs = ann.ship()
    bert.edit("workflow { 8 }\n")
    if who == "ann":
        bert.commit("workflow { 8 }\n")
    bert.bring()
    with pytest.raises(StoreError) as caught:
        bert.promote()
    assert ("not committed" if who == "ann" else "changed: config/revision.txt") in str(
        caught.value)
    assert current(ann) == (theirs, 1)


def test_a_folder_that_is_no_repository_has_seen_nothing(two: tuple[Clone, Clone]) -> None:
    ann, bert = two
    bert.git("pull", "-q", "origin", "main")
    ann.ship()
    (bert.folder / ".git").rename(bert.folder / "aside")
    bert.edit("workflow { 9 }\n")
    bert.bring()
    with pytest.raises(StoreError, match="no git commit"):
        bert.promote()


def test_another_number_than_the_newest_is_no_leave(two: tuple[Clone, Clone]) -> None:
    ann, _ = two
    ann.bring()
    with pytest.raises(StoreError, match="no promotion 1 to follow"):
        ann.promote(after=1)
    ann.promote()
    ann.edit("workflow { 10 }\n")
    ann.bring()
    with pytest.raises(StoreError, match="after=1 says"):
        ann.promote(after=2)
    ann.promote(after=1)


def test_the_proof_says_how_it_was_tried_and_by_which_key(two: tuple[Clone, Clone]) -> None:
    ann, _ = two
    name = ann.ship()
    store = open_store(ann.store)
    promotion = json.loads(bring(store, HELLO.key(1)))
    place = proofs.place(HELLO, name, promotion["proof"])
    data = bring(store, place)
    assert files.sha256_bytes(data) == promotion["proof"]
    files.write_text(ann.folder / "allowed", signature.allowed_line(
        "airlock", signature.public_key(ann.signing.key)))
    key = signature.verify(data, bring(store, f"{place}.sig"), namespace=signature.PROOF,
                           allowed=ann.folder / "allowed", signer="airlock/hello", where="here")
    said = json.loads(data)
    assert said["checkout"] == {"commit": ann.git("rev-parse", "HEAD"), "dirty": False}
    assert (said["id"], said["identity"], said["key"]) == (name, "airlock", key)
    assert said["validation"] == {"subjects": 1, "warnings": 0,
                                  "sha256": files.sha256(at(ann, "validate.json"))}
    assert said["smoke"] == {"run": "stub", "log": files.sha256(at(ann, "smoke/smoke.log")),
                             "trace": files.sha256(at(ann, "smoke/trace.txt"))}
    assert "unproven" not in said
    assert not {getpass.getuser().encode(), socket.gethostname().encode()} & {*data.split(b'"')}


def test_what_is_not_proven_says_so_in_both_and_is_promoted_anew_once_it_is(
        two: tuple[Clone, Clone]) -> None:
    ann, _ = two
    name = ann.bring()
    with ann.entered() as staged:
        report = read_json(staged.layout.validate, "validate")
        report["subjects"][0]["ok"] = False
        files.write_json(staged.layout.validate, report)
        with pytest.raises(IntegrityError, match="validation has not gone well: store"):
            promote.promote_release(staged.promote_spec())
        (staged.layout.smoke / "trace.txt").unlink()
        assert "not proven: no engine today" in promote.promote_release(
            staged.promote_spec("no engine today"))
    store = open_store(ann.store)
    promotion = json.loads(bring(store, HELLO.key(1)))
    said = json.loads(bring(store, proofs.place(HELLO, name, promotion["proof"])))
    assert promotion["unproven"] == said["unproven"] == said["smoke"]["why"] == "no engine today"
    assert said["validation"] is None
    ann.promote()
    assert current(ann) == (name, 2)
    assert "unproven" not in json.loads(bring(store, HELLO.key(2)))


def test_without_what_a_smoke_run_writes_nothing_is_proven(two: tuple[Clone, Clone]) -> None:
    ann, _ = two
    ann.bring()
    with ann.entered() as staged:
        (staged.layout.smoke / "trace.txt").unlink()
        with pytest.raises(ConfigError, match="smoke run has left no such file"):
            promote.promote_release(staged.promote_spec())


@pytest.mark.parametrize("changed", [False, True], ids=["the same", "another"])
def test_a_run_after_kill_9_completes_what_was_begun(
        two: tuple[Clone, Clone], monkeypatch: pytest.MonkeyPatch, changed: bool) -> None:
    """Before each write to the store in turn; and also where the code has changed since."""
    ann, bert = two
    bert.git("pull", "-q", "origin", "main")
    real, writes = promote.opened, 0
    ann.ship()
    while True:
        ann.edit(f"workflow {{ {writes} }}\n")
        name = ann.bring()
        _, before = current(ann)

        @contextmanager
        def ending(*given: Any, after: int = writes) -> Iterator[Chain]:
            with real(*given) as here:
                yield killed(here, after)

        monkeypatch.setattr(promote, "opened", ending)
        try:
            ann.promote()
            break
        except Killed:
            monkeypatch.setattr(promote, "opened", real)
        assert current(ann)[1] == before
        if changed:
            ann.edit(f"workflow {{ {writes}, changed }}\n")
            name = ann.bring()
        ann.promote()
        assert current(ann)[0] == name
        with ann.entered() as staged, promote.opened(
                HELLO, staged.store, staged.signing, staged.layout.promoted, Path("none")) as here:
            tip = chain.tip(here)
            assert tip.promotion and tip.pointer == tip.promotion.pointer()
        writes += 1
    assert writes == 5, "proof and its signature, promotion and its signature, the pointer"


@pytest.mark.parametrize("over", ["current.json", "promotions/00000002.json",
                                  "promotions/00000002.json.sig"])
def test_who_was_overwritten_right_after_a_write_sees_it(
        two: tuple[Clone, Clone], monkeypatch: pytest.MonkeyPatch, over: str) -> None:
    """By a store that doesn't look before it replaces: all is read back."""
    ann, _ = two
    ann.ship()
    key = f"releases/hello/{over}"
    theirs = bring(open_store(ann.store), key.replace("00000002", "00000001"))
    ann.edit("workflow { 12 }\n")
    ann.bring()

    def then(write: Any) -> Any:
        def written(store: FolderStore, name: str, data: bytes, *more: Any) -> None:
            write(store, name, data, *more)
            if name == key:
                whole(store, key, theirs)
        return written

    whole = FolderStore.put_bytes
    with monkeypatch.context() as patch:
        for name in ("replace", "put_bytes"):
            patch.setattr(FolderStore, name, then(getattr(FolderStore, name)))
        with pytest.raises(AirlockError, match=r"does not hold what was sent|somebody|signature"):
            ann.promote()


def test_what_was_pushed_and_not_promoted_is_told_by_its_id(two: tuple[Clone, Clone]) -> None:
    ann, _ = two
    first = ann.ship()
    with ann.entered() as staged:
        assert promote.left_behind(staged.layout, ["dev:smoke:hello"]) is None, "it is current"
        change_code(staged, b"workflow { 13 }\n")
        release.make(staged.release_spec())
        failed = ["push:code:hello"]
        assert promote.left_behind(staged.layout, failed) is None, "it isn't in the store yet"
        staged.bring()
        said = promote.left_behind(staged.layout, ["dev:validate:hello", "dev:smoke:hello"])
        assert said and said.startswith(
            f"{staged.id()} of hello is in {ann.store.url}, and not the current release, since "
            f"dev:validate:hello and dev:smoke:hello did not end well; {first} stays the current ")
        assert "./doit release:promote:hello unproven=REASON" in said
