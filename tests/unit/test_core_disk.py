"""Room on disks is asked for before much comes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.core import disk
from tasks.core.disk import Disks, Need
from tasks.core.errors import HostError
from tasks.core.net import download
from tests.kit.web import near


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk with 1,000 bytes free."""
    monkeypatch.setattr(disk, "free_at", lambda folder: 1000)


def test_enough_room_is_told_with_what_takes_it(tmp_path: Path) -> None:
    line, = Disks().promise([Need(folder=tmp_path / "not/there/yet", size=300, what="data"),
                             Need(folder=tmp_path, size=400, what="data"),
                             Need(folder=tmp_path, size=300, what="images")])
    assert line == (f"1.0 kB free at {tmp_path}; needed: 1.0 kB (700 B for data, "
                    "300 B for images)")


def test_too_little_is_an_error_that_names_both(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"1\.0 kB free, and needed are 1\.2 kB for data") as caught:
        Disks().promise([Need(folder=tmp_path, size=1200, what="data")])
    assert str(tmp_path) in str(caught.value)


def test_what_others_of_the_run_were_promised_is_taken(tmp_path: Path) -> None:
    disks = Disks()
    disks.promise([Need(folder=tmp_path, size=600, what="data")])
    with pytest.raises(HostError, match="600 B for others of this run"):
        disks.promise([Need(folder=tmp_path, size=600, what="data")])
    disks.promise([Need(folder=tmp_path, size=400, what="what was refused counts for nothing")])


def test_nothing_to_fetch_needs_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "free_at", lambda folder: 0)
    disk.hold(tmp_path, 0, "data")


def test_a_file_that_does_not_fit_is_refused_before_it_comes(tmp_path: Path) -> None:
    source, target = tmp_path / "large", tmp_path / "target"
    source.write_bytes(bytes(1001))
    with pytest.raises(HostError, match="this file"):
        download.fetch(source.as_uri(), target, network=near(), most=10_000)
    assert target.stat().st_size == 0
    source.write_bytes(bytes(1000))
    download.fetch(source.as_uri(), target, network=near(), most=10_000)
