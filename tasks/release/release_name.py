"""The id of the release that was made here."""

from __future__ import annotations

from tasks.core.paths import PipelinePaths
from tasks.core.schema import read_json
from tasks.core.trust import checksums


def made(layout: PipelinePaths) -> str:
    """The id, by release.json and SHA256SUMS; ConfigError where there is no release yet."""
    revision = read_json(layout.release / "release.json", "release")["revision"]
    return checksums.release_id(revision, (layout.release / "SHA256SUMS").read_bytes())
