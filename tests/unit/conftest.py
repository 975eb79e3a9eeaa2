"""Folders of a test's own: the repository's configuration, and the sources of a pipeline."""

from __future__ import annotations

import os
import shutil
import threading
from functools import partial
from pathlib import Path

import pytest

from tasks.core import processes
from tests.kit.pipelines import Pipeline, write_sources

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


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build may be interrupted here; after the test, programs start again."""
    monkeypatch.setattr(processes, "_closed", threading.Event())


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    """Writes a pipeline's sources into a folder."""
    return partial(write_sources, tmp_path / "code")
