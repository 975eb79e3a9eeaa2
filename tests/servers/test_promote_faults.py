"""Promotions in a store that was spoiled, by keys that nobody named, and by wrong clocks."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import IntegrityError
from tasks.core.store.interface import bring
from tasks.core.store.store import open_store
from tasks.core.trust.promotions import Subject
from tasks.release import chain, promote
from tests.kit.clones import Clone, pair

HELLO = Subject(pipeline="hello")


@pytest.fixture
def two(tmp_path: Path) -> tuple[Clone, Clone]:
    return pair(tmp_path, StoreAt(url=str(tmp_path / "store")))


def current(clone: Clone) -> tuple[str, int]:
    pointer = json.loads(bring(open_store(clone.store), HELLO.pointer))
    return pointer["id"], pointer["number"]


def test_a_chain_that_lacks_a_link_is_an_error(two: tuple[Clone, Clone]) -> None:
    ann, _ = two
    ann.ship()
    ann.edit("workflow { 11 }\n")
    ann.ship()
    folder = Path(ann.store.url) / "releases/hello"
    first = folder / "promotions/00000001.json"
    data = first.read_bytes()
    first.write_bytes(data + b"\n")
    with pytest.raises(IntegrityError, match="before number 2 is missing, or has changed"):
        ann.promote()
    first.unlink()
    with pytest.raises(IntegrityError, match="before number 2 is missing, or has changed"):
        ann.promote()
    first.write_bytes(data)
    pointer = folder / "current.json"
    held = pointer.read_bytes()
    pointer.write_bytes(held.replace(b'"number": 2', b'"number": 3'))
    with pytest.raises(IntegrityError, match="promotion that the pointer names is missing"):
        ann.promote()
    pointer.write_bytes(json.dumps({**json.loads(held), "number": 1, "id": json.loads(data)["id"]}
                                   ).encode())
    ann.promote()
    assert pointer.read_bytes() == held, "a pointer that was put back is moved on again"


def test_a_key_that_nobody_named_is_an_error_that_says_where_to_name_it(
        two: tuple[Clone, Clone]) -> None:
    ann, bert = two
    bert.git("pull", "-q", "origin", "main")
    ann.ship()
    alone = dataclasses.replace(bert, signing=dataclasses.replace(bert.signing, colleagues={}))
    alone.bring()
    with pytest.raises(IntegrityError, match=r"signing\.colleagues"):
        alone.promote()


def test_a_clock_that_is_wrong_is_told_and_what_it_dated_is_signed_anew(
        two: tuple[Clone, Clone], monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture) -> None:
    """Numbers decide what is newer; a time only says until when."""
    ann = dataclasses.replace(two[0], signing=dataclasses.replace(two[0].signing, valid=86400))
    with monkeypatch.context() as patch:
        for module in (promote, chain):
            ahead(patch, module, timedelta(days=3))
        name = ann.ship()
    ann.promote()
    assert current(ann) == (name, 2)
    assert "one of the two clocks is wrong" in caplog.text
    signed = json.loads(bring(open_store(ann.store), HELLO.key(2)))["signed"]
    assert signed < json.loads(bring(open_store(ann.store), HELLO.key(1)))["signed"]
    caplog.clear()
    ann.promote()
    assert current(ann) == (name, 2)
    assert not caplog.text


def ahead(patch: pytest.MonkeyPatch, module: object, time: timedelta) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + time
    patch.setattr(module, "datetime", Clock)
