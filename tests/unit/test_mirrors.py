"""Mirrors of Maven Central and PyPI, by hosts.urls of the site's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.core.config.load import load
from tasks.core.graph import rooms
from tasks.core.graph.deferred import loaded


def spec(project: Path, task: str, urls: dict[str, str]) -> Any:
    """What a step of the local site is given where its file maps these URLs."""
    site = project / "config/sites/local.yml"
    raw = yaml.safe_load(site.read_text())
    site.write_text(yaml.safe_dump({**raw, "hosts": {**raw["hosts"], "urls": urls}}))
    named = [step for step in rooms.tasks(load({}))
             if f"{step['basename']}:{step.get('name')}" == task or step["basename"] == task]
    return loaded(named[0]["actions"][0][1][2])


def test_maven_is_asked_where_the_site_says(project: Path) -> None:
    nexus = "https://nexus.example.org/repository/maven-central/"
    assert spec(project, "runtime:hello", {
        "https://repo.maven.apache.org/maven2/": nexus}).central == nexus
    assert spec(project, "runtime:hello", {}).central is None


@pytest.mark.parametrize("step", ["tool", "batch:cli"])
def test_pip_is_asked_where_the_site_says(
        project: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    nexus = "https://nexus.example.org/repository/pypi/simple/"
    assert spec(project, step, {"https://pypi.org/simple/": nexus}).index == nexus
    assert spec(project, step, {}).index is None
    monkeypatch.setenv("PIP_INDEX_URL", "https://other.example.org/simple/")
    assert spec(project, step, {"https://pypi.org/simple/": nexus}).index is None
