"""The spec of staging a pipeline's data from a web server."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from tasks.data.mirror import Mirror, Selection, Source
from tasks.data.sources import Reach
from tests.kit.locks import lock_at
from tests.kit.web import Web

PUBLIC = "https://data.example.org/"
READS = bytes(range(256)) * 8000


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def data_spec(root: Path, web: Web, **changes: Any) -> Mirror:
    """A mirror into `root`; `changes` are fields of its selection or of its source."""
    selection: dict[str, Any] = {
        "profile": "test", "samples": 0, "given": {}, "references": None, "folders": {},
        "limit": None}
    source: dict[str, Any] = {
        "reach": Reach(prefixes={PUBLIC: f"{web.url}/"}), "code": root / "code.tar",
        "resolved": root / "resolved.json", "blobs": root / "blobs/sha256",
        "lock": lock_at(root / "locks", "data"),
        "relock": False}
    for values in (selection, source):
        values |= {key: value for key, value in changes.items() if key in values}
    return Mirror(pipeline="p", selection=Selection(**selection), source=Source(**source),
                  store="s3://bucket/prefix/", manifest=root / "data.manifest.json",
                  sums=root / "data.SHA256SUMS", inputs=root / "inputs.csv",
                  inputs_store=root / "inputs3.csv")
