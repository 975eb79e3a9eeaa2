"""Podman on an offline host: which one, for whom, and what it lacks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from tasks.core.engine.address import Podman
from tasks.core.engine.podman import PodmanEngine
from tasks.core.errors import AirlockError
from tasks.core.findings import FAIL, Finding, failed
from tasks.core.machine_names import ARCHITECTURES
from tasks.doctor import disk, platforms


def podman(at: Podman, platform: str) -> Iterator[Finding]:
    """Look at the program, then at what it says of this host and its store.

    The registry isn't asked by it: it is given the very CA and login that the registry's own line
    is about.
    """
    engine = PodmanEngine(at)
    findings = engine.findings()
    yield from (dataclasses.replace(finding, check="engine") for finding in findings)
    if any(finding.status == FAIL for finding in findings):
        return
    try:
        info = engine.info()
    except AirlockError as error:
        yield failed("engine", error)
        return
    machine = info["host"]["arch"]
    yield from platforms.see(f"linux/{ARCHITECTURES.get(machine, machine)}", platform)
    yield disk.room(Path(info["store"]["graphRoot"]), "Podman's images")
