"""Which lines of Nextflow this project's tests run; for others we follow its documentation."""

from __future__ import annotations

LINES = ((24, 10),)


def line(nextflow: str) -> tuple[int, int]:
    """The release line of a version: (24, 10) of 24.10.5."""
    year, month = nextflow.split(".")[:2]
    return int(year), int(month)


def shown(nextflow: str) -> bool:
    """Whether what is made for this version was seen to work with the real one."""
    return line(nextflow) in LINES
