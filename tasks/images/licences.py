"""Images that an organisation may use only with a licence of its own."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from tasks.images.reference import Reference

KNOWN = {
    "*/clara-parabricks": "NVIDIA Parabricks",
    "*/parabricks": "NVIDIA Parabricks",
    "*sentieon*": "Sentieon",
}
"""Patterns of repositories, host and all, as nf-core's pipelines name these two programs."""


def needed(source: Reference, patterns: Mapping[str, str]) -> str | None:
    """The licence that an image needs, by the site's patterns and those known; else None."""
    for pattern, licence in (*patterns.items(), *KNOWN.items()):
        if fnmatchcase(source.repository, pattern):
            return licence
    return None
