"""Which lines of Nextflow this project's tests run; for others we follow its documentation."""

from __future__ import annotations

from tasks.core.nextflow import versions

LINES = ("24.10",)


def is_tested(nextflow: str) -> bool:
    """Whether what is made for this version was seen to work with the real one."""
    return versions.line(nextflow) in LINES
