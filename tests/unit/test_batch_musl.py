"""Images on musl are known by the loader that their layers hold."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from tasks.batch import lint_processes, musl
from tasks.batch.lint_processes import Process
from tasks.batch.lint_rules import Config, Surroundings
from tasks.batch.settings import Resolved
from tasks.core import files


def layer(*names: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    return gzip.compress(buffer.getvalue())


def add(blobs: Path, data: bytes) -> str:
    digest = files.sha256_bytes(data)
    files.write_bytes(blobs / digest / digest, data)
    return f"sha256:{digest}"


def image(folder: Path, *layers: bytes) -> tuple[str, Path]:
    """The digest of an image of these layers, and the index of a layout with it alone."""
    blobs = folder / "blobs"
    manifest = json.dumps({"layers": [{"digest": add(blobs, data)} for data in layers]}).encode()
    digest = add(blobs, manifest)
    files.write_json(folder / "index.json", {
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{"mediaType": "m", "digest": digest, "size": len(manifest), "annotations": {
            "io.containerd.image.name": "n", "org.opencontainers.image.ref.name": "q.io/a/b:1"}}]})
    return digest, folder / "index.json"


@pytest.mark.parametrize(("layers", "is_musl"), [
    ([layer("bin/sh", "lib/ld-musl-x86_64.so.1")], True),
    ([layer("bin/sh"), layer("lib/ld-musl-aarch64.so.1")], True),
    ([layer("lib64/ld-linux-x86-64.so.2"), layer("lib/ld-musl-x86_64.so.1")], False),
    ([layer("lib/ld-musl-x86_64.so.1"), layer("usr/lib/x86_64-linux-gnu/libc.so.6")], False),
    ([layer("bin/busybox")], False),
    ([layer("doc/ld-musl-x86_64.so.1.txt")], False),
    ([b"(\xb5/\xfd zstd, say"], False),
    ([layer("lib/ld-musl-x86_64.so.1")[:-12]], True),
])
def test_the_loader_tells(tmp_path: Path, layers: list[bytes], is_musl: bool) -> None:
    digest, index = image(tmp_path, *layers)
    assert musl.images(index, tmp_path / "blobs") == (["q.io/a/b:1", digest] if is_musl else [])


@pytest.mark.parametrize("manifest", [b"[]", b"{}", b"no json", b'{"layers": [7, {"digest": 1}]}',
                                      b'{"layers": [{"digest": "sha256:../../etc/passwd"}]}'])
def test_what_is_no_manifest_says_nothing(tmp_path: Path, manifest: bytes) -> None:
    digest, index = image(tmp_path)
    plain = digest.removeprefix("sha256:")
    (tmp_path / "blobs" / plain / plain).write_bytes(manifest)
    assert musl.images(index, tmp_path / "blobs") == []


@pytest.mark.parametrize(("known", "expected"), [
    (f"sha256:{'1' * 64}", ["musl"]), ("q.io/x:1", [])])
def test_an_image_that_is_known_to_hold_it_is_an_error(known: str, expected: list[str]) -> None:
    config = Config(resolved=Resolved(config={
        "workDir": "s3://b/w", "process": {"executor": "awsbatch",
                                           "container": f"n/a/b@sha256:{'1' * 64}"},
        "aws": {"batch": {"cliPath": "/opt/airlock-cli/bin/aws"}}}))
    process = Process(name="COUNT", file="main.nf", line=1)
    assert [finding.rule for finding in
            lint_processes.images(config, [process], [known])] == expected
    own = Config(resolved=config.resolved, around=Surroundings(mode="carried-cli",
                                                               needs_glibc=False))
    assert list(lint_processes.images(own, [process], [known])) == [], "a CLI with its own libc"
