"""The bytes of a SIF: of one image always the same, by one version of the writer."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tasks.core import files
from tasks.core.sif.layers import Layer
from tasks.core.sif.make import WRITER, make
from tests.kit.images import layer

CONFIG = {"architecture": "amd64", "config": {"Env": ["PATH=/bin", "LANG=C"], "Cmd": ["count"]}}


def test_other_bytes_are_another_version_of_the_writer(tmp_path: Path) -> None:
    """What was made before is taken as long as the version is the same: raise WRITER with these."""
    content = layer({"bin/count": b"#!/bin/sh\nwc -l\n", "data/many": b"line\n" * 100_000})
    blob = tmp_path / "blob"
    blob.write_bytes(content)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    make([Layer(digest=digest, path=blob)], CONFIG, digest=digest, output=tmp_path / "image")
    assert (WRITER, files.sha256(tmp_path / "image")) == (
        1, "c1eb026533fae060b8f71e796cbd66bb91e1e8b9d9a8c279882a23b92a616a97")
