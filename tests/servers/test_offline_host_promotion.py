"""By which promotion a release came to an offline host stays there, for the records of its runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.core import files
from tasks.offline_host.fetch import fetch
from tests.kit.releases import Staged, change_code, stage


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Staged:
    monkeypatch.chdir(tmp_path)
    return stage()


def promoted(number: int) -> bytes:
    return Path(f"store/releases/hello/promotions/{number:08}.json").read_bytes()


def test_the_promotion_of_a_release_stays_as_it_was_signed(ready: Staged) -> None:
    first = ready.publish()
    ready.trust_key()
    fetch(ready.fetch_spec())
    assert ready.prod.promotion(first).read_bytes() == promoted(1)
    change_code(ready, b"workflow { other() }\n")
    second = ready.publish()
    fetch(ready.fetch_spec())
    assert ready.prod.promotion(second).read_bytes() == promoted(2)
    ready.prod.promotion(first).unlink()
    fetch(ready.fetch_spec(first))
    assert ready.prod.promotion(first).read_bytes() == promoted(1), "of one that was asked for, too"
    assert files.tree(ready.prod.root / "promotions") == sorted(
        ready.prod.promotion(name) for name in (first, second))
