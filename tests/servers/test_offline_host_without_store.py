"""What is in place while the store can't be reached, and what the cut network doesn't change."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import AirlockError, IntegrityError, StoreAwayError, StoreError
from tasks.core.store import s3_faults
from tasks.core.store.s3_faults import Refusal
from tasks.offline_host import freshness
from tasks.offline_host.fetch import fetch
from tests.kit.faults import flip
from tests.kit.releases import Staged, change_code, stage

STORE, MEMORY = Path("store"), Path("build/there/prod/store")
DAY = 86400


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Staged:
    """A release that was fetched, by a promotion that ends after 90 days."""
    monkeypatch.chdir(tmp_path)
    made = stage()
    staged = dataclasses.replace(made, signing=dataclasses.replace(made.signing, valid=90 * DAY))
    staged.publish()
    staged.trust_key()
    fetch(staged.fetch_spec())
    return staged


def away() -> None:
    STORE.rename("aside")


def unmounted() -> None:
    away()
    STORE.mkdir()


@pytest.mark.parametrize("cut", [away, unmounted])
@pytest.mark.parametrize("is_named", [False, True])
def test_the_release_in_place_is_taken_with_one_warning(
        ready: Staged, caplog: pytest.LogCaptureFixture, cut: Callable[[], None],
        is_named: bool) -> None:
    cut()
    assert "20 files checked, 0 of them" in fetch(
        ready.fetch_spec(ready.id() if is_named else None))
    warnings = [record.getMessage() for record in caplog.records
                if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].startswith("STORE NOT REACHED: the store")
    assert f"{ready.id()}, which is in place, runs" in warnings[0]


def test_a_bucket_that_nobody_answers_for_is_away_and_a_refusal_is_not(
        ready: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    at = StoreAt(url="s3://bucket", endpoint="http://127.0.0.1:9", region="us-east-1")
    spec = dataclasses.replace(ready.fetch_spec(), store=at)
    monkeypatch.setattr("time.sleep", lambda _: None)
    assert "is in place" in fetch(spec)
    for refusal, is_away in ((Refusal(status=403), False), (Refusal(status=404), False),
                             (Refusal(status=503, code="SlowDown"), False),
                             (Refusal(status=502), True), (Refusal(status=504), True)):
        error = s3_faults.explain(refusal, "there", at, "us-east-1")
        assert isinstance(error, StoreAwayError) is is_away, refusal


def test_a_cut_network_does_not_outlive_the_end_of_a_promotion(
        ready: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(days=91)

    away()
    fetch(ready.fetch_spec())
    monkeypatch.setattr(freshness, "datetime", Later)
    with pytest.raises(IntegrityError, match="may be kept from this host"):
        fetch(ready.fetch_spec())
    fetch(ready.fetch_spec(ready.id()))  # as with the store: who names it has decided


def other_key() -> None:
    text = Path("trust/allowed_signers").read_text()
    Path("trust/allowed_signers").write_text(text.replace("airlock", "somebody-else"))


def seen_more() -> None:
    files.write_json(Path("seen/releases/hello.json"), {"number": 7})


def below_minimum() -> None:
    files.write_json(Path("trust/minimum.json"), {"pipelines": {"hello": 2}})


def changed_memory() -> None:
    flip(next(MEMORY.rglob("00000001.json")))


def changed_list() -> None:
    flip(next(MEMORY.rglob("SHA256SUMS")))


@pytest.mark.parametrize("change", [other_key, seen_more, below_minimum, changed_memory,
                                    changed_list])
def test_what_is_refused_with_the_store_is_refused_without(
        ready: Staged, change: Callable[[], None]) -> None:
    away()
    change()
    before = ready.prod.current.read_bytes()
    with pytest.raises(IntegrityError):
        fetch(ready.fetch_spec())
    assert ready.prod.current.read_bytes() == before


def damaged_pointer() -> None:
    (STORE / "releases/hello/current.json").write_text("{")


def pointer_gone() -> None:
    (STORE / "releases/hello/current.json").unlink()


def promotion_gone() -> None:
    next(STORE.rglob("00000001.json")).unlink()


def foreign_promotion() -> None:
    flip(next(STORE.rglob("00000001.json")))


@pytest.mark.parametrize("change", [damaged_pointer, pointer_gone, promotion_gone,
                                    foreign_promotion])
def test_a_store_that_answers_is_never_passed_over(ready: Staged, change: Callable[[], None]
                                                   ) -> None:
    change()
    with pytest.raises(AirlockError) as caught:
        fetch(ready.fetch_spec())
    assert not isinstance(caught.value, StoreAwayError)


def test_what_is_not_whole_in_place_is_an_error_that_names_what_is(ready: Staged) -> None:
    first = ready.id()
    away()
    with pytest.raises(StoreAwayError, match="dev-0123456789ab isn't whole in place") as caught:
        fetch(ready.fetch_spec("dev-0123456789ab"))
    assert f"in place: {first}" in str(caught.value)
    assert "mount the disk" in str(caught.value)
    for path in (next(ready.prod.blobs.rglob("code.tar")),
                 ready.prod.release(first) / "code.tar"):
        path.unlink()
        if path.is_relative_to(ready.prod.blobs):  # the release itself still has it
            assert "is in place" in fetch(ready.fetch_spec())
            path.unlink()
    with pytest.raises(StoreAwayError, match="isn't whole in place"):
        fetch(ready.fetch_spec())
    Path("aside").rename(STORE)
    assert "1 of them fetched" in fetch(ready.fetch_spec())


def test_a_host_that_has_nothing_says_only_that_the_store_is_away(ready: Staged) -> None:
    shutil.rmtree("build/there")
    away()
    with pytest.raises(StoreError, match="the store's folder is missing") as caught:
        fetch(ready.fetch_spec())
    assert "in place: none" in str(caught.value)


def test_a_release_that_was_heard_of_and_never_came_is_not_remembered(ready: Staged) -> None:
    """The store goes while a newer release is brought: the one in place is still whole."""
    first = ready.id()
    change_code(ready, b"workflow { 2 }\n")
    ready.publish()
    blobs = [path.parent for path in STORE.rglob("code.tar")]
    for folder in blobs:
        shutil.rmtree(folder)
    with pytest.raises(StoreError):
        fetch(ready.fetch_spec())
    away()
    fetch(ready.fetch_spec())
    assert json.loads(ready.prod.current.read_text())["id"] == first
