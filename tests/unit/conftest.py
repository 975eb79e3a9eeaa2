"""A project folder of one's own: the repository's configuration, in a temporary place."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder for the test: config, schemas, examples; nothing built."""
    for name in ("config", "schemas", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name,
                        ignore=shutil.ignore_patterns("locks", "work", ".nextflow*"))
    for name in [key for key in os.environ if key.startswith("AIRLOCK_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path
