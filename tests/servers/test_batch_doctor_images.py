"""The doctor looks at images: whether the registry holds them, and what is in their layers."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tasks.batch.doctor_images import STAGING, TRACE, ImageSpec, images
from tasks.core.aws.session import Session
from tasks.core.config.aws_settings import Aws
from tasks.core.findings import Finding
from tasks.core.registry.client import Access
from tests.kit import aws
from tests.kit.aws import Front
from tests.kit.images import layer
from tests.kit.registry_memory import Memory
from tests.kit.web import near

REPOSITORY = "airlock/tool"
HOST = "registry.example.org"
ECR_HOST = f"{aws.ACCOUNT}.dkr.ecr.us-west-2.amazonaws.com"
ALL = (*STAGING, *TRACE)


def holding(names: Sequence[str]) -> bytes:
    return layer({f"usr/bin/{name}": b"#!" for name in names})


def looked(folder: Path, url: str, digest: str, *, host: str = HOST,
           session: Session | None = None) -> list[Finding]:
    """What the doctor says of one image that was mirrored to `host`."""
    receipt = folder / "images.receipt.json"
    receipt.write_text(json.dumps({"registry": host, "images": [{
        "source": "quay.io/airlock/tool:1", "destination": f"{host}/{REPOSITORY}",
        "digest": digest, "platform": "linux/amd64", "size": 1000}]}))
    return list(images(session or Session(aws_settings()), ImageSpec(
        receipt=receipt, lock=None, blobs=folder / "blobs", access=Access(
            registries={host: url}, ca=None, authfile=None, network=near()))))


def aws_settings() -> Aws:
    """AWS that nobody answers for."""
    return Aws(region=aws.REGION, endpoint="http://127.0.0.1:9")


@pytest.mark.parametrize(("layers", "status", "words"), [
    ([holding(ALL)], "ok", "has all 21 programs"),
    ([holding(ALL[:10]), gzip.compress(holding(ALL[10:]))], "ok", "has all 21 programs"),
    ([holding([name for name in ALL if name != "uniq"])], "fail", "lacks uniq, which every job"),
    ([holding([name for name in ALL if name != "ps"])], "warn", "lacks ps, which measure"),
    ([holding(ALL), layer({"usr/bin/.wh.bash": b""})], "fail", "lacks bash"),
    ([layer({f"etc/{name}": b"" for name in ALL})], "fail", "lacks basename, bash"),
])
def test_what_an_image_holds_is_read_from_its_layers(far: Memory, tmp_path: Path,
                                                     layers: list[bytes], status: str,
                                                     words: str) -> None:
    held, *programs = looked(tmp_path, far.url, far.add_image(REPOSITORY, layers))
    assert (held.status, "is there" in held.text) == ("ok", True)
    assert (programs[0].status, words in programs[0].text) == (status, True), programs[0].text
    assert (programs[0].cure is None) == (status == "ok")


def test_with_fusion_images_are_asked_for_at_their_source(far: Memory, tmp_path: Path) -> None:
    lock = tmp_path / "images.json"
    lock.write_text(json.dumps({"platform": "linux/amd64", "images": [{
        "source": f"{HOST}/{REPOSITORY}:1", "index": None, "size": 1000, "config": None,
        "manifest": far.add_image(REPOSITORY, [holding(ALL)]), "layers": [],
        "media_type": "application/vnd.oci.image.manifest.v1+json", "platform": "linux/amd64",
        "resolved": "2026-01-01T00:00:00Z"}]}))
    held, programs = images(Session(aws_settings()), ImageSpec(
        receipt=tmp_path / "none", lock=lock, blobs=tmp_path, access=Access(
            registries={HOST: far.url}, ca=None, authfile=None, network=near())))
    assert (held.status, programs.status) == ("ok", "ok")


def test_an_image_that_was_not_mirrored_fails(far: Memory, tmp_path: Path) -> None:
    held, *_ = looked(tmp_path, far.url, f"sha256:{'0' * 64}")
    assert (held.status, held.cure) == ("fail", "doit images:mirror")


def test_without_a_receipt_or_a_registry_it_is_not_known(tmp_path: Path, quick: None) -> None:
    [line] = looked(tmp_path, "http://127.0.0.1:9", f"sha256:{'0' * 64}")
    assert line.status == "not known"
    (tmp_path / "images.receipt.json").unlink()
    [line] = images(Session(aws_settings()), ImageSpec(
        receipt=tmp_path / "images.receipt.json", lock=None, blobs=tmp_path,
        access=Access(registries={}, ca=None, authfile=None)))
    assert (line.status, line.cure) == ("not known", "doit images:mirror")


@pytest.fixture
def session(empty_aws: Front) -> Session:
    return Session(empty_aws.aws)


def test_ecr_is_asked_by_digest_and_layers_are_read_on_disk(session: Session,
                                                           tmp_path: Path) -> None:
    tar = holding(ALL)
    digest = f"sha256:{hashlib.sha256(tar).hexdigest()}"
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2,
                   "digest": f"sha256:{hashlib.sha256(b'{}').hexdigest()}"},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest,
                    "size": len(tar)}]})
    image = f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"
    for name, content in ((digest, tar), (image, manifest.encode())):
        place = tmp_path / "blobs" / name[7:] / name[7:]
        place.parent.mkdir(parents=True)
        place.write_bytes(content)
    nowhere = "http://127.0.0.1:9"
    held, programs = looked(tmp_path, nowhere, image, host=ECR_HOST, session=session)
    assert (held.status, programs.status) == ("fail", "ok")
    ecr = session.client("ecr")
    ecr.create_repository(repositoryName=REPOSITORY)
    ecr.put_image(repositoryName=REPOSITORY, imageManifest=manifest, imageTag="1",
                  imageDigest=image)
    held, programs = looked(tmp_path, nowhere, image, host=ECR_HOST, session=session)
    assert (held.status, programs.status) == ("ok", "ok")
