"""The blobs of an OCI image layout: all that its index leads to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.errors import IntegrityError
from tasks.core.schema import read_json

AGAIN = "remove the index, so that `doit images:layout` makes it anew"


def blobs(index: Path, folder: Path) -> list[str]:
    """SHA-256 of every index, manifest, config and layer, sorted; `folder` has them by digest.

    IntegrityError where an index or manifest is missing, or isn't what its digest says.
    """
    waiting = [child["digest"] for child in read_json(index, "oci-index")["manifests"]]
    digests: set[str] = set()
    while waiting:
        digest = waiting.pop().removeprefix("sha256:")
        if digest in digests:
            continue
        digests.add(digest)
        manifest = _read(folder, digest)
        waiting += [child["digest"] for child in manifest.get("manifests", [])]
        for blob in (manifest.get("config"), *manifest.get("layers", [])):
            if blob:
                digests.add(blob["digest"].removeprefix("sha256:"))
    return sorted(digests)


def _read(folder: Path, digest: str) -> dict[str, Any]:
    path = files.inside(folder, f"{digest}/{digest}")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise IntegrityError("an image's manifest is missing", where=path, todo=AGAIN) from None
    if files.sha256_bytes(data) != digest:
        raise IntegrityError("an image's manifest has changed", where=path, todo=AGAIN)
    manifest: dict[str, Any] = json.loads(data)
    return manifest
