"""What the rooms before the release have built of a pipeline, small, for tests of what follows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.settings import Signing
from tasks.core.in_place import InPlace
from tasks.core.offline_paths import OfflinePaths
from tasks.core.paths import SBOM_CYCLONEDX, SBOM_SPDX, PipelinePaths
from tasks.core.trust import checksums, signature
from tasks.offline_host.fetch import FetchSpec
from tasks.offline_host.freshness import Host
from tasks.release import places, promote, push, release, release_files, sign

VERSION = "24.10.5"
IMAGE = "sha256:" + "a" * 64
DATA = {"reads_1.fq": b"@r\nACGT\n+\nIIII\n", "reads_2.fq": b"@r\nTTTT\n+\nIIII\n"}
CODE = {"main.nf": b"workflow {}\n"}


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A pipeline of the site `here`, staged below the current folder, with a key and a store."""

    layout: PipelinePaths
    prod: OfflinePaths
    signing: Signing
    store: StoreAt
    trust: Path

    def release_spec(self) -> release.ReleaseSpec:
        return release.ReleaseSpec(pipeline=self.layout.pipeline, layout=self.layout,
                                   runtime=VERSION, profile="test", run="test",
                                   platform="linux/amd64")

    def sign_spec(self) -> sign.SignSpec:
        return sign.SignSpec(pipeline=self.layout.pipeline, layout=self.layout,
                             signing=self.signing)

    def promote_spec(self, unproven: str | None = None,
                     after: int | str | None = None) -> promote.PromoteSpec:
        return promote.PromoteSpec(pipeline=self.layout.pipeline, layout=self.layout,
                                   store=self.store, signing=self.signing, unproven=unproven,
                                   after=after)

    def push_spec(self, part: str) -> push.PushSpec:
        return push.PushSpec(pipeline=self.layout.pipeline, part=part, layout=self.layout,
                             store=self.store)

    def fetch_spec(self, name: str | None = None) -> FetchSpec:
        return FetchSpec(pipeline=self.prod.pipeline, layout=self.prod, store=self.store,
                         host=self.host, tool=Path("tool.json"), asked=False, release=name,
                         place=InPlace(self.prod))

    @property
    def host(self) -> Host:
        """An offline host that has seen nothing before the test."""
        return Host(trust=self.trust, identity=self.signing.identity, seen=Path("seen"))

    def trust_key(self) -> None:
        """What the administrator of the offline host does by hand."""
        files.write_text(self.trust / "allowed_signers", signature.allowed_line(
            self.signing.identity, signature.public_key(self.signing.key)))

    def publish(self) -> str:
        """Make the release, sign it, push it and promote it; return its id."""
        release.make(self.release_spec())
        return self.push()

    def push(self, unproven: str | None = None, after: int | str | None = None) -> str:
        """Sign, push and promote what was made; return its id."""
        self.bring()
        promote.promote_release(self.promote_spec(unproven, after))
        return self.id()

    def bring(self) -> None:
        """Sign and push what was made; the current release stays as it was."""
        sign.sign_release(self.sign_spec())
        for part in places.BEFORE_RELEASE:
            push.push(self.push_spec(part))
        push.push_release(self.push_spec("release"))

    def id(self) -> str:
        listed = (self.layout.release / "SHA256SUMS").read_bytes()
        return checksums.release_id("dev", listed)


def trusted() -> Staged:
    """A release in the store of the current folder, and a host that trusts its key."""
    staged = stage()
    staged.publish()
    staged.trust_key()
    return staged


def stage(pipeline: str = "hello") -> Staged:
    """Write the files that a release is made from."""
    layout = PipelinePaths(site="here", pipeline=pipeline)
    _code(layout)
    _data(layout)
    _images(layout)
    _plugins(layout)
    try_out(layout)
    runtime = layout.runtime(VERSION)
    _tar(runtime, {f"nextflow-{VERSION}/nextflow": b"#!/bin/sh\n"})
    files.write_text(layout.runtime_sums(VERSION), f"{files.sha256(runtime)}  {runtime.name}\n")
    files.write_json(layout.resolved, {"pipeline": pipeline, "profile": "test", "config": {},
                                       "isolation": "namespaces"})
    files.write_text(layout.offline_config, "profiles { offline {} }\n")
    for listed in (layout.sbom(SBOM_CYCLONEDX), layout.sbom(SBOM_SPDX)):
        files.write_json(listed, {"pipeline": pipeline})
    files.write_json(layout.reach, {"pipeline": pipeline, "profile": "test", "findings": [],
                                    "counted": []})
    return Staged(
        layout=layout, prod=OfflinePaths(site="there", pipeline=pipeline),
        signing=Signing(key=Path("keys/id_ed25519"), identity="airlock", create=True),
        store=StoreAt(url="store"), trust=Path("trust"))


def try_out(layout: PipelinePaths) -> None:
    """What dev:validate and dev:smoke leave where all went well."""
    files.write_json(layout.validate, {
        "pipeline": layout.pipeline, "warnings": [],
        "subjects": [{"subject": "store", "ok": True, "message": "it answers"}]})
    for name in places.SMOKE:
        files.write_text(layout.smoke / name, f"{name}\n")


def change_code(staged: Staged, text: bytes) -> None:
    """Another revision of the code."""
    _code(staged.layout, {"main.nf": text})


def _tar(path: Path, contents: dict[str, bytes]) -> None:
    files.write_tar(path, Path(), [], extra=contents)


def _code(layout: PipelinePaths, contents: dict[str, bytes] | None = None) -> None:
    _tar(layout.code, contents or CODE)
    files.write_json(layout.code_manifest, {
        "pipeline": layout.pipeline, "source": "examples/hello", "revision": "dev",
        "commit": None, "date": None, "sha256": files.sha256(layout.code), "files": 1})


def _data(layout: PipelinePaths) -> None:
    listed = []
    for name, data in DATA.items():
        digest = files.sha256_bytes(data)
        files.write_bytes(layout.of_site.blobs / digest / name, data)
        listed.append({"url": f"https://data.example.org/{name}", "sha256": digest,
                       "size": len(data), "path": f"data/{digest}/{name}"})
    cells = [str(entry["path"]) for entry in listed]
    files.write_text(layout.inputs, f"sample,fastq_1,fastq_2\na,{','.join(cells)}\n")
    files.write_text(layout.inputs_store, "sample,fastq_1,fastq_2\n")
    files.write_text(layout.data_sums,
                     "".join(f"{entry['sha256']}  {entry['path']}\n" for entry in listed))
    files.write_json(layout.data_manifest, {
        "pipeline": layout.pipeline, "profile": "test", "files": listed, "declared": [],
        "sheets": [],
        "params": {"input": {"path": "inputs.csv", "kind": "sheet"}}})


def _images(layout: PipelinePaths) -> None:
    source, place = "quay.io/airlock/tool:1", "10.0.0.1:5443/quay.io/airlock/tool"
    files.write_text(layout.images, f"{source}\n")
    files.write_text(layout.images_pinned, f"quay.io/airlock/tool@{IMAGE}\n")
    files.write_json(layout.images_scan, {
        "images": [source], "processes": [{"name": "TOOL", "aliases": [], "container": source,
                                           "file": "main.nf", "line": 1}],
        "selectors": [{"pattern": "(.*:)?(TOOL)", "choice": None,
                       "images": [{"name": source, "container": source}]}]})
    files.write_json(layout.lock("images"), {
        "platform": "linux/amd64", "images": [{
            "source": source, "index": None, "manifest": IMAGE, "platform": "linux/amd64",
            "media_type": "application/vnd.oci.image.manifest.v1+json", "size": 3,
            "layers": [{"digest": IMAGE, "size": 2,
                        "media_type": "application/vnd.oci.image.layer.v1.tar+gzip"}],
            "config": {"digest": IMAGE, "size": 1}, "resolved": "2026-01-01T00:00:00Z"}]})
    release_files.write_lock(layout)
    files.write_json(layout.images_receipt, {
        "registry": "10.0.0.1:5443", "images": [{
            "source": source, "destination": place, "digest": IMAGE, "platform": "linux/amd64",
            "size": 3}]})


def _plugins(layout: PipelinePaths) -> None:
    files.write_text(layout.plugins_list, "nf-hello@1.0.0\n")
    _tar(layout.plugins, {"nf-hello-1.0.0/classes/META-INF/MANIFEST.MF": b"Plugin-Id: nf-hello\n"})
    files.write_json(layout.lock("plugins"), {"plugins": [{
        "id": "nf-hello", "version": "1.0.0", "url": "https://p.example.org/nf-hello-1.0.0.zip",
        "sha512": hashlib.sha512(b"").hexdigest(), "sha256": files.sha256_bytes(b"")}]})
