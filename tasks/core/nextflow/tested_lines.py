"""Which Nextflow this project was seen to work with; for others we follow its documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks.core.nextflow import versions
from tasks.core.schema import read_json

LINES = ("24.10",)
"""The lines that every run of the tests takes."""
RECORD = Path(__file__).with_name("shown.json")
"""The versions of other lines that were taken the whole way where their runtimes were to be had:
tests/servers/host/test_named_runtimes.py writes it."""


def is_tested(nextflow: str) -> bool:
    """Whether what is made for this version was seen to work with the real one."""
    return versions.line(nextflow) in LINES or any(
        run["version"] == nextflow for run in shown())


def shown() -> list[dict[str, Any]]:
    """Return the runs of the record."""
    runs: list[dict[str, Any]] = read_json(RECORD, "shown-versions")["shown"]
    return runs
