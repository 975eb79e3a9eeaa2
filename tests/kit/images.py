"""Images as OCI layouts on disk, as skopeo reads them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"


def layer(content: dict[str, bytes]) -> bytes:
    """A layer's tar whose bytes depend on its content alone."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in sorted(content.items()):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


class OciLayout:
    """An OCI image layout on disk, as skopeo reads it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs/sha256").mkdir(parents=True, exist_ok=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def add(self, data: bytes, media_type: str) -> dict[str, Any]:
        """Keep a blob, and describe it."""
        digest = hashlib.sha256(data).hexdigest()
        (self.folder / "blobs/sha256" / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def image(self, layers: Sequence[bytes], *, architecture: str = "amd64",
              labels: Mapping[str, str] | None = None) -> dict[str, Any]:
        """An image's manifest, described."""
        config = {"os": "linux", "architecture": architecture,
                  "config": {"Labels": dict(labels)} if labels else {},
                  "rootfs": {"type": "layers", "diff_ids": [
                      f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]}}
        manifest = {"schemaVersion": 2, "mediaType": OCI,
                    "config": self.add(json.dumps(config).encode(), OCI_CONFIG),
                    "layers": [self.add(layer, OCI_LAYER) for layer in layers]}
        return {**self.add(json.dumps(manifest).encode(), OCI),
                "platform": {"os": "linux", "architecture": architecture}}

    def with_history(self, layers: Sequence[bytes]) -> dict[str, Any]:
        """An image that can be pushed as schema 1: gzipped layers, one empty, and a history."""
        when = "2016-01-01T00:00:00Z"
        config = {"os": "linux", "architecture": "amd64", "config": {"Cmd": ["sh"]},
                  "created": when,
                  "rootfs": {"type": "layers", "diff_ids": [
                      f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]},
                  "history": [*({"created": when, "created_by": "add"} for _ in layers),
                              {"created": when, "created_by": "env", "empty_layer": True}]}
        manifest = {"schemaVersion": 2, "mediaType": OCI,
                    "config": self.add(json.dumps(config).encode(), OCI_CONFIG),
                    "layers": [self.add(gzip.compress(layer, mtime=0), f"{OCI_LAYER}+gzip")
                               for layer in layers]}
        return self.add(json.dumps(manifest).encode(), OCI)

    def finish(self, manifests: Sequence[dict[str, Any]]) -> None:
        """Write index.json: of one image, or of an index of several."""
        if len(manifests) > 1:
            index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(manifests)}
            manifests = [self.add(json.dumps(index).encode(), OCI_INDEX)]
        (self.folder / "index.json").write_text(json.dumps(
            {"schemaVersion": 2, "manifests": [{**manifest, "annotations": {
                "org.opencontainers.image.ref.name": "it"}} for manifest in manifests]}))
