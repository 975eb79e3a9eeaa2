"""Whose files a run's containers write, by what the engine says of itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.core.engine import daemon, for_run, gate
from tasks.core.engine.address import Engine
from tasks.core.engine.create import Rules


@pytest.mark.parametrize(("told", "user"), [
    ({"SecurityOptions": ["name=seccomp,profile=default", "name=rootless"]}, "0:0"),
    ({"SecurityOptions": ["name=seccomp,profile=default"], "Rootless": True}, "0:0"),
    ({"SecurityOptions": ["name=seccomp,profile=default"]}, "7:8"),
    ({"SecurityOptions": None, "Rootless": False}, "7:8")])
def test_a_rootless_engine_s_containers_run_as_its_own_user(
        monkeypatch: pytest.MonkeyPatch, told: dict[str, Any], user: str) -> None:
    """Its root is that user; any other id is a subordinate one, which owns nothing here."""
    rules: list[Rules] = []

    @contextmanager
    def opened(_: Any, asked: Rules) -> Iterator[Path]:
        rules.append(asked)
        yield Path("/nowhere/engine.sock")

    monkeypatch.setattr(os, "getuid", lambda: 7)
    monkeypatch.setattr(os, "getgid", lambda: 8)
    monkeypatch.setattr(gate, "opened", opened)
    monkeypatch.setattr(daemon, "connect", lambda _: SimpleNamespace(info=lambda: told))
    with for_run.reached(Engine(url="unix:///none"), ["a@sha256:1"], launch=Path("/launch"),
                         writable=Path("/launch/writable"), path="/nowhere"):
        assert rules[0].user == user
