"""The steps of a site whose releases carry image files, below the current folder."""

from __future__ import annotations

import json
import subprocess
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.inputs.staged_data import blob
from tasks.core.registry.client import Access, Manifest, Registries
from tasks.core.schema import read_json
from tasks.core.sif import container
from tasks.core.sif.make import make
from tasks.images.image_files import FileSources
from tasks.images.lock import LockSpec, lock_images
from tasks.images.oci_layout import LayoutSpec, lay_out
from tasks.images.sif import SifSpec, make_sifs
from tasks.offline_config.render import IndexSpec, build_files
from tasks.release import release
from tests.kit import machine, registries
from tests.kit.images import OCI, OciLayout, layer
from tests.kit.registries import Server
from tests.kit.releases import VERSION, Staged, stage
from tests.kit.web import Web, near

ROOT = Path(__file__).resolve().parents[2]
DEPOT = "https://depot.example.org/"
ARTIFACTS = "artifacts.example.org"
PLATFORM = "linux/amd64"


@dataclass(frozen=True, kw_only=True)
class Site:
    """A pipeline's steps; quay.io and the artifacts are those of `source`, the depot is `web`."""

    source: Server
    web: Web
    staged: Staged = field(default_factory=stage)
    platform: str = PLATFORM

    @property
    def access(self) -> Access:
        return Access(ca=None, authfile=None, network=near(), registries={
            name: f"{self.source.url}/{name}" for name in ("quay.io", ARTIFACTS)})

    @property
    def sources(self) -> FileSources:
        return FileSources(access=self.access, blobs=self.staged.layout.of_site.blobs,
                           platform=self.platform, urls={DEPOT: f"{self.web.url}/"})

    @property
    def sif_spec(self) -> SifSpec:
        at = self.staged.layout
        return SifSpec(pipeline=at.pipeline, lock=at.lock("images"), index=at.oci_index,
                       blobs=at.of_site.blobs, made=at.of_site.sifs, platform=self.platform,
                       output=at.sif_index)

    @property
    def release_spec(self) -> release.ReleaseSpec:
        return replace(self.staged.release_spec(), carry="files")

    def lock(self, *images: str, relock: bool = False) -> str:
        at = self.staged.layout
        files.write_text(at.images, "".join(f"{image}\n" for image in sorted(images)))
        return lock_images(LockSpec(
            pipeline=at.pipeline, images=at.images, lock=at.locks("images"),
            merged=at.lock("images"), pinned=at.images_pinned, platform=self.platform,
            access=self.access, relock=relock, files=self.sources))

    def lay_out(self) -> str:
        at = self.staged.layout
        return lay_out(LayoutSpec(
            pipeline=at.pipeline, lock=at.lock("images"), committed=at.locks("images"),
            index=at.oci_index, marker=at.oci_marker, blobs=at.of_site.blobs, access=self.access,
            destination=None, receipt=at.images_receipt, files=self.sources))

    def make(self, *images: str) -> str:
        """Lock, lay out and make; what the last of these says."""
        self.lock(*images)
        self.lay_out()
        return make_sifs(self.sif_spec)

    def listed(self) -> dict[str, dict[str, Any]]:
        """The entries of sif.json by their source."""
        return {image["source"]: image
                for image in read_json(self.staged.layout.sif_index, "sif")["images"]}

    def file(self, source: str) -> Path:
        """The image file of a source, in the site's blobs."""
        entry = self.listed()[source]
        return blob(self.staged.layout.of_site.blobs, entry["sha256"], entry["file"])

    def release(self) -> str:
        """Have each image used by a process of its own, render the config, release and push."""
        at = self.staged.layout
        sources = at.images.read_text().split()
        names = {f"TOOL{number}": source for number, source in enumerate(sources)}
        files.write_json(at.images_scan, {
            "images": sources, "processes": [
                {"name": name, "aliases": [], "container": source, "file": "main.nf", "line": 1}
                for name, source in names.items()],
            "selectors": [{"pattern": f"(.*:)?({name})", "choice": None,
                           "images": [{"name": source, "container": source}]}
                          for name, source in names.items()]})
        build_files(IndexSpec(
            pipeline=at.pipeline, nextflow=VERSION, scan=at.images_scan, index=at.sif_index,
            toggles=ROOT / "config/offline.config", output=at.offline_config,
            engine_toggles=ROOT / "config/engines/apptainer.config"))
        at.images_receipt.unlink(missing_ok=True)
        release.make(self.release_spec)
        return self.staged.push()


def sif(folder: Path, *, architecture: str = "amd64") -> bytes:
    """Some image file, as others would publish one."""
    output = folder / f"other-{architecture}.sif"
    make([], {"architecture": architecture}, digest="sha256:" + "1" * 64, output=output)
    return output.read_bytes()


def add_index(server: Server, name: str, folder: Path) -> None:
    """Push an image for two platforms, whose file bin/plot says which."""
    layout = OciLayout(folder)
    layout.finish([layout.image([layer({"bin/plot": f"#!/bin/sh\necho {which}\n".encode()})],
                                architecture=which) for which in ("amd64", "arm64")])
    repository, _, tag = name.rpartition(":")
    registries.push(server, repository, tag, folder)


def push_artifact(server: Server, name: str, *layers: bytes) -> str:
    """Push what oras:// names: files as the layers of an artifact. Its manifest's digest."""
    path, _, tag = name.rpartition(":")
    registry = Registries(Access(registries={"it": server.url}, ca=None, authfile=None,
                                 network=near())).at("it")

    def put(data: bytes) -> dict[str, str | int]:
        digest = f"sha256:{files.sha256_bytes(data)}"
        registry.upload(path, digest, len(data), lambda: nullcontext(iter([data])))
        return {"digest": digest, "size": len(data)}

    config = {**put(b"{}"), "mediaType": "application/vnd.sylabs.sif.config.v1+json"}
    manifest = Manifest(media_type=OCI, data=json.dumps({
        "schemaVersion": 2, "mediaType": OCI, "config": config, "layers": [
            {**put(data), "mediaType": "application/vnd.sylabs.sif.layer.v1.sif"}
            for data in layers]}).encode())
    assert registry.put_manifest(path, tag, manifest)
    return manifest.digest


def unpacked(image: Path, target: Path) -> Path:
    """What unsquashfs finds in an image file."""
    machine.need("unsquashfs")
    subprocess.run(["unsquashfs", "-q", "-n", "-no-xattrs", "-o", str(container.DATA_AT),
                    "-d", target, image], check=True, capture_output=True)
    return target
