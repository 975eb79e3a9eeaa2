"""Two who push and one who fetches, by 200 schedules on a folder and some on a bucket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tasks.core.config.aws_settings import StoreAt
from tasks.core.store.folder import FolderStore
from tasks.release import chain, promote
from tasks.release.chain import Chain
from tests.kit import buckets
from tests.kit import push_schedules as schedules

COUNT, ON_BUCKET = 200, 25
Replace = Callable[[FolderStore, str, bytes, bytes | None], None]


def see(outcomes: Sequence[schedules.Outcome], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{schedules.report(outcomes)}")
    assert not [outcome for outcome in outcomes if outcome.wrong]
    met = {kind for outcome in outcomes for kind in outcome.met}
    assert met == {f"{fate} {when} a {kind}" for fate in ("kill -9", "cut")
                   for when in ("before", "after") for kind in ("read", "write")}
    assert sum(outcome.refused for outcome in outcomes) > len(outcomes)


def test_no_push_is_lost_and_no_host_sees_a_torn_or_older_release(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    see(schedules.many(range(COUNT), StoreAt(url=str(tmp_path / "store")), tmp_path), capsys)


def test_nor_where_the_store_is_a_bucket(
        tmp_path: Path, capsys: pytest.CaptureFixture[str], s3_login: None) -> None:
    with buckets.gateway(tmp_path / "s3") as running:
        (running.root / "bucket").mkdir()
        see(schedules.many(range(ON_BUCKET), StoreAt(
            url="s3://bucket", endpoint=running.endpoint, region="us-east-1"), tmp_path), capsys)


@pytest.mark.parametrize("broken", ["pointer", "promotion", "unseen"])
def test_the_judge_sees_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                      broken: str) -> None:
    """Where a file is replaced without a look, and where somebody follows what they didn't see."""
    at = StoreAt(url=str(tmp_path / "store"))
    slow_down(monkeypatch, broken)
    assert not any(outcome.wrong for outcome in schedules.some(range(10), at, tmp_path))
    whole: Replace = FolderStore.replace

    def blind(store: FolderStore, key: str, data: bytes, before: bytes | None) -> None:
        if key.endswith("current.json") == (broken == "pointer"):
            store.put_bytes(key, data)
        else:
            whole(store, key, data, before)

    if broken == "unseen":
        monkeypatch.setattr(promote, "_refuse_unseen", lambda *_: None)
    else:
        monkeypatch.setattr(FolderStore, "replace", blind)
    assert any(schedules.some([number], at, tmp_path)[0].wrong for number in range(100, 200))


def slow_down(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """Let others do most of their work between somebody's look at the store and their writing."""
    name = {"pointer": "point", "promotion": "_write"}.get(broken)
    if name is not None:
        whole: Callable[..., None] = getattr(chain, name)

        def late(at: Chain, *given: Any) -> None:
            store: Any = at.store
            store.pause(60)
            whole(at, *given)

        monkeypatch.setattr(chain, name, late)
