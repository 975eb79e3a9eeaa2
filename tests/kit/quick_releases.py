"""Releases of one file, as they stand before a push; for tests that push thousands."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.paths import PipelinePaths
from tasks.core.trust import checksums, signature
from tasks.release import places, release
from tests.kit import releases


def make(layout: PipelinePaths, template: dict[str, Any], content: bytes) -> str:
    """Write a release of one file, signed, with receipts of the parts before it; its id."""
    files.write_bytes(layout.offline_config, content)
    digest = files.sha256_bytes(content)
    about = {**template, "pipeline": layout.pipeline, "files": [
        {"path": "offline.config", "sha256": digest, "size": len(content), "kind": "config"}]}
    files.write_json(layout.release / "release.json", about)
    listed = checksums.format_sums({"offline.config": digest, "release.json": files.sha256(
        layout.release / "release.json")})
    files.write_bytes(layout.release / "SHA256SUMS", listed)
    key = Path(f"keys/{layout.site}")
    files.write_bytes(layout.release / "SHA256SUMS.sig",
                      signature.sign(key, listed, namespace=signature.RELEASE))
    releases.try_out(layout)
    for part in places.BEFORE_RELEASE:
        files.write_json(layout.push_receipt(part), {"store": "s", "part": part, "objects": []})
    return checksums.release_id(about["revision"], listed)


def template_at(folder: Path) -> dict[str, Any]:
    """A release.json to make others from."""
    folder.mkdir(parents=True)
    before = Path.cwd()
    os.chdir(folder)
    try:
        staged = releases.stage()
        release.make(staged.release_spec())
        made: dict[str, Any] = json.loads((staged.layout.release / "release.json").read_bytes())
    finally:
        os.chdir(before)
    return made
