"""What a confined run wrote is kept where it is a file, and nothing else is opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.core.nextflow import queries


def test_a_file_is_kept_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "MAX_LOG", 5)
    (tmp_path / "made").write_text("123456789")
    queries.keep(tmp_path / "made", tmp_path / "kept")
    assert (tmp_path / "kept").read_text() == "12345"


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "device", "nothing"])
def test_what_is_no_file_is_left(tmp_path: Path, kind: str) -> None:
    (tmp_path / "secret").write_text("a secret")
    made = tmp_path / "made"
    if kind == "link":
        made.symlink_to("secret")
    elif kind == "pipe":
        os.mkfifo(made)
    elif kind == "folder":
        made.mkdir()
    elif kind == "device":
        made.symlink_to("/dev/zero")
    queries.keep(made, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
