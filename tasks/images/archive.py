"""One image in one file, for `docker load`, `podman load` and all that read OCI archives.

The file is an OCI image layout in a tar (OCI image specification, "Image Layout") and a Docker
archive too: manifest.json names the same blobs as its config and layers (Docker image
specification v1.2, "Combined Image JSON + Filesystem Changeset Format").
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from tasks.core import files
from tasks.core.errors import ImageError
from tasks.images.blobs import Blobs, reporting_write_errors
from tasks.images.lock_format import Image
from tasks.images.reference import Reference

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
MARKER = b'{"imageLayoutVersion":"1.0.0"}\n'
"""The file oci-layout."""
NAME = "io.containerd.image.name"
"""The annotation by which containerd, Docker with its image store, and Podman name an image."""
SOURCE = "org.opencontainers.image.ref.name"
CONVERTED = "airlock.converted-from"
"""The digest of the source's own bytes, where no current engine takes them."""
BLOCK, RECORD = 512, 10240


def loaded_as(source: Reference) -> str:
    """The name of an image in an engine that has loaded it: the source's own, with a tag.

    An image that the pipeline names by digest gets a tag made of that digest, since archives
    carry no other names.
    """
    tag = source.digest.replace(":", "-") if source.digest else source.tag
    return f"{source.repository}:{tag}"


def file_name(image: Image) -> str:
    """The archive's name: what it holds, and 12 digits that stand for name and content."""
    own = hashlib.sha256(f"{loaded_as(image.source)}@{image.manifest}".encode()).hexdigest()
    tag = "" if image.source.digest else f"-{image.source.tag}"
    return f"{image.source.path.rpartition('/')[2]}{tag}"[:200] + f"-{own[:12]}.tar"


def descriptor(digest: str, media_type: str, size: int, *, platform: str | None = None,
               source: Reference | None = None,
               converted_from: str | None = None) -> dict[str, Any]:
    """What an index says of a manifest or of another index; `source` gives it its names."""
    entry: dict[str, Any] = {"mediaType": media_type, "digest": digest, "size": size}
    if platform:
        entry["platform"] = dict(zip(("os", "architecture", "variant"), platform.split("/", 2),
                                     strict=False))
    if source:
        entry["annotations"] = {NAME: loaded_as(source), SOURCE: str(source),
                                **({CONVERTED: converted_from} if converted_from else {})}
    return entry


def index(descriptors: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """index.json."""
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(descriptors)}


def write(target: Path, image: Image, blobs: Blobs) -> str:
    """Write the archive of an image's platform for the offline hosts; return its SHA-256.

    Its bytes hang on the image alone. Blobs are hashed as they are copied: IntegrityError names
    the one that has changed, and there is no archive then.
    """
    if image.config is None:
        raise ImageError(f"{image.source} has no config, which engines need to load it")
    size = blobs.size(image.manifest)
    named = descriptor(image.manifest, image.media_type, size,
                       platform=image.platform, source=image.source)
    docker = [{"Config": _inside(image.config.digest), "RepoTags": [loaded_as(image.source)],
               "Layers": [_inside(layer.digest) for layer in image.layers]}]
    with reporting_write_errors(target), files.atomic(target) as stream:
        archive = _Tar(stream)
        archive.add("oci-layout", MARKER)
        archive.add("index.json", _compact(index([named])))
        archive.add("manifest.json", _compact(docker))
        for folder in ("blobs/", "blobs/sha256/"):
            archive.folder(folder)
        members = {image.manifest: size, **{blob.digest: blob.size for blob in image.blobs}}
        for digest in sorted(members):
            with blobs.reading(digest, members[digest]) as chunks:
                archive.member(_inside(digest), members[digest], chunks)
        return archive.finish()


def _inside(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _compact(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


class _Tar:
    """A tar that is written and hashed as it goes; all times are 0, and all owners root."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._digest, self._size = stream, hashlib.sha256(), 0

    def add(self, name: str, data: bytes) -> None:
        self.member(name, len(data), iter([data]))

    def folder(self, name: str) -> None:
        self._header(name, 0, tarfile.DIRTYPE, 0o755)

    def member(self, name: str, size: int, chunks: Iterator[bytes]) -> None:
        self._header(name, size, tarfile.REGTYPE, 0o644)
        for chunk in chunks:
            self._write(chunk)
        self._fill(BLOCK)

    def finish(self) -> str:
        self._write(bytes(2 * BLOCK))
        self._fill(RECORD)
        return self._digest.hexdigest()

    def _header(self, name: str, size: int, kind: bytes, mode: int) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.type, info.mode = size, kind, mode
        self._write(info.tobuf(tarfile.GNU_FORMAT))  # GNU's: a layer may have more than 8 GiB

    def _fill(self, unit: int) -> None:
        self._write(bytes(-self._size % unit))

    def _write(self, data: bytes) -> None:
        self._stream.write(data)
        self._digest.update(data)
        self._size += len(data)
