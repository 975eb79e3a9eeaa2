"""Archives without a network: their names, their form, and their bytes."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core import files
from tasks.core.errors import IntegrityError
from tasks.core.schema import check
from tasks.images import archive
from tasks.images.blobs import Blobs
from tasks.images.lock_format import Blob, Image
from tasks.images.reference import parse
from tasks.release import oci

OCI = "application/vnd.oci.image.manifest.v1+json"


def keep(blobs: Blobs, data: bytes) -> Blob:
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    blobs.write(digest, iter([data]))
    return Blob(digest=digest, size=len(data))


def image(blobs: Blobs, source: str, layers: list[bytes]) -> Image:
    """An image whose blobs and manifest are kept."""
    config = keep(blobs, b'{"os": "linux"}')
    kept = [keep(blobs, layer) for layer in layers]
    manifest = keep(blobs, json.dumps({
        "schemaVersion": 2, "config": {"digest": config.digest, "size": config.size},
        "layers": [{"digest": blob.digest, "size": blob.size} for blob in kept]}).encode())
    return Image(source=parse(source), index=None, manifest=manifest.digest, media_type=OCI,
                 platform="linux/arm64/v8", config=config, layers=tuple(kept),
                 resolved="2026-01-01T00:00:00Z")


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(root=tmp_path / "blobs", todo="fetch it again")


@settings(deadline=None, max_examples=40)
@given(layers=st.lists(st.binary(max_size=2000), max_size=4))
def test_any_image_is_a_whole_tar_of_both_forms(
        layers: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("any")
    kept = Blobs(root=folder / "blobs", todo="")
    one = image(kept, "quay.io/a/b:1", layers)
    target = folder / "it.tar"
    assert archive.write(target, one, kept) == files.sha256(target)
    assert target.stat().st_size % 10240 == 0
    contents = {}
    with tarfile.open(fileobj=io.BytesIO(target.read_bytes()), mode="r|") as tar:
        for member in tar:
            reader = tar.extractfile(member)
            assert (member.mtime, member.uid, member.gid) == (0, 0, 0)
            if reader is not None:
                assert member.name not in contents
                contents[member.name] = reader.read()
    docker = json.loads(contents["manifest.json"])[0]
    assert [contents[name] for name in docker["Layers"]] == layers
    assert docker["RepoTags"] == ["quay.io/a/b:1"]
    entry = check(json.loads(contents["index.json"]), "oci-index", where="")["manifests"][0]
    manifest = json.loads(contents[f"blobs/{entry['digest'].replace(':', '/')}"])
    assert [f"blobs/{layer['digest'].replace(':', '/')}" for layer in manifest["layers"]] \
        == docker["Layers"]
    assert entry["platform"] == {"os": "linux", "architecture": "arm64", "variant": "v8"}


def test_the_bytes_hang_on_the_image_alone(blobs: Blobs, tmp_path: Path) -> None:
    one = image(blobs, "quay.io/a/b:1", [b"x", b"y"])
    other = replace(one, resolved="2030-01-01T00:00:00Z")
    assert (archive.write(tmp_path / "a.tar", one, blobs)
            == archive.write(tmp_path / "b.tar", other, blobs))


@pytest.mark.parametrize("damage", ["flip", "cut", "grow", "lose"])
@pytest.mark.parametrize("which", ["layer", "config", "manifest"])
def test_a_damaged_blob_makes_no_archive(blobs: Blobs, tmp_path: Path, damage: str,
                                         which: str) -> None:
    one = image(blobs, "quay.io/a/b:1", [b"a layer" * 100_000])
    assert one.config is not None
    digest = {"layer": one.layers[0].digest, "config": one.config.digest,
              "manifest": one.manifest}[which]
    path = blobs.path(digest)
    data = path.read_bytes()
    if damage == "lose":
        path.unlink()
    else:
        path.write_bytes({"flip": bytes([data[0] ^ 1]) + data[1:], "cut": data[:-1],
                          "grow": data + b"x"}[damage])
    with pytest.raises(IntegrityError, match="fetch it again|" + digest) as caught:
        archive.write(tmp_path / "a.tar", one, blobs)
    assert digest.removeprefix("sha256:") in str(caught.value)
    assert "fetch it again" in str(caught.value)
    assert not list(tmp_path.glob("*.tar")) and not list(tmp_path.glob(".*.part"))


def test_a_layer_of_more_than_eight_gibibytes_fits_into_a_header() -> None:
    stream = io.BytesIO()
    archive._Tar(stream).member("blobs/sha256/x", 10 << 30, iter([]))
    header = tarfile.TarInfo.frombuf(stream.getvalue()[:512], "utf-8", "strict")
    assert header.size == 10 << 30


def test_names_in_engines_and_on_disk(blobs: Blobs) -> None:
    digest = "sha256:" + "a" * 64
    tagged, pinned = (image(blobs, name, [b"x"])
                      for name in ("quay.io/a/b:1.0--0", f"quay.io/a/b@{digest}"))
    assert archive.loaded_as(tagged.source) == "quay.io/a/b:1.0--0"
    assert archive.loaded_as(pinned.source) == f"quay.io/a/b:sha256-{'a' * 64}"
    both = replace(pinned, source=parse(f"quay.io/a/b:1@{digest}"))
    assert archive.loaded_as(both.source) == archive.loaded_as(pinned.source)
    assert archive.file_name(tagged).startswith("b-1.0--0-")
    others = [replace(tagged, source=parse("docker.io/a/b:1.0--0")),
              replace(tagged, manifest="sha256:" + "b" * 64), pinned]
    names = {archive.file_name(img) for img in [tagged, *others]}
    assert len(names) == 4
    assert len(archive.file_name(replace(tagged, source=parse(
        "quay.io/" + "/".join(["p" * 100, "q" * 150]) + ":" + "t" * 128)))) <= 255


def test_a_release_finds_every_blob_of_a_layout(blobs: Blobs, tmp_path: Path) -> None:
    one, two = (image(blobs, f"quay.io/a/b:{tag}", [b"shared", tag.encode()])
                for tag in ("1", "2"))
    inner = keep(blobs, json.dumps({"manifests": [{"digest": two.manifest}]}).encode())
    index = tmp_path / "index.json"
    files.write_json(index, archive.index([
        archive.descriptor(one.manifest, OCI, 1, platform="linux/amd64", source=one.source),
        archive.descriptor(inner.digest, archive.OCI_INDEX, inner.size, source=two.source)]))
    found = set(oci.blobs(index, blobs.root))
    wanted = {blob.digest for img in (one, two) for blob in img.blobs}
    wanted |= {one.manifest, two.manifest, inner.digest}
    assert {f"sha256:{digest}" for digest in found} == wanted
    blobs.path(two.manifest).write_bytes(b"{}")
    with pytest.raises(IntegrityError, match="has changed"):
        oci.blobs(index, blobs.root)
    blobs.path(two.manifest).unlink()
    with pytest.raises(IntegrityError, match="is missing"):
        oci.blobs(index, blobs.root)


@pytest.mark.parametrize("digest", ["sha256:../../../etc/passwd", "md5:x", "sha256:ABC"])
def test_a_digest_that_is_none_is_no_path(blobs: Blobs, digest: str) -> None:
    with pytest.raises(IntegrityError, match="is not a digest"):
        blobs.path(digest)
