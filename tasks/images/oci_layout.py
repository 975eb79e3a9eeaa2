"""images:layout: the locked images as an OCI image layout, whose blobs the store shares.

The layout is an index and blobs by digest (OCI image specification, "Image Layout"). A blob is
fetched once for all images, pipelines and releases; images:save makes archives of it, and where
no registry spans the gap, a release carries it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import disk, files
from tasks.core.errors import AirlockError, IntegrityError
from tasks.core.lock_files import LockFiles
from tasks.core.parallel import run_all
from tasks.core.progress import Progress
from tasks.core.registry.client import Access, Registries
from tasks.core.schema import read_json
from tasks.images import archive, image_files, labels, schema1
from tasks.images.blobs import Blobs
from tasks.images.convert import converted_to
from tasks.images.destination import Destination, refuse_collisions
from tasks.images.image_files import FileSources, ImageFile
from tasks.images.left import lacking
from tasks.images.lock_format import Blob, Image, distinct, read_lock
from tasks.images.locked_sources import LockedSources
from tasks.images.receipt import receipt
from tasks.images.reference import Reference

AGAIN = "run `doit images:layout` again, which fetches it anew"


@dataclass(frozen=True, kw_only=True)
class LayoutSpec:
    """What images:layout reads and writes.

    `committed` are the lock's files, for the errors. `files` is where image files come from, which
    are kept beside the blobs. With `destination`, the registry that
    images:load fills behind the gap, it also writes the `receipt` that tells where each image is
    pulled from there. `labels` is where it keeps what the
    images say of themselves, where a release carries them.
    """

    pipeline: str
    lock: Path
    committed: LockFiles
    index: Path
    marker: Path
    blobs: Path
    access: Access
    destination: Destination | None
    receipt: Path
    labels: Path | None = None
    files: FileSources | None = None


def lay_out(spec: LayoutSpec) -> str:
    """Fetch what is not there yet, and write the index of it, last."""
    locked = read_lock(spec.lock)
    if spec.destination is not None:
        refuse_collisions([(image.source, image.tagged) for image in locked], spec.destination)
    standing = image_files.read_lock(spec.lock) if spec.files else []
    fetch = _Fetch(spec, locked, standing)
    images = fetch.all()
    files.write_bytes(spec.marker, archive.MARKER)
    if spec.labels is not None:
        labels.write(spec.labels, images, labels.on_disk(fetch.blobs))
    if spec.destination is not None:
        files.write_json(spec.receipt, receipt(images, spec.destination))
    files.write_json(spec.index, index(images, fetch.blobs))
    also = f" and {len(standing)} image files" if standing else ""
    size = sum(blob.size for blob in distinct(images)) + sum(file.size for file in standing)
    return (f"{len(images)} images in {len(distinct(images))} blobs{also}, "
            f"{files.human_size(size)}; "
            f"{files.human_size(fetch.fetched)} fetched now")


def index(images: Sequence[Image], blobs: Blobs) -> dict[str, Any]:
    """index.json over all images; further platforms stand in it without a name."""
    listed = []
    for image in images:
        if image.tagged != image.manifest:
            listed.append(archive.descriptor(image.tagged, blobs.manifest(image.tagged).media_type,
                                             blobs.size(image.tagged), source=image.source))
            continue
        for variant in image.variants:
            first = variant.manifest == image.manifest
            listed.append(archive.descriptor(
                variant.manifest, variant.media_type, blobs.size(variant.manifest),
                platform=variant.platform,
                source=image.source if first else None,
                converted_from=image.converted_from if first else None))
    return archive.index(listed)


def laid_out(locked: Sequence[Image], index_file: Path, blobs: Blobs) -> list[Image]:
    """The locked images as the layout has them: those in Docker's schema 1 are schema 2 there.

    IntegrityError where the layout has none for the lock's.
    """
    entries = read_json(index_file, "oci-index")["manifests"]
    listed = {entry["annotations"][archive.SOURCE]: entry
              for entry in entries if "annotations" in entry}
    images = []
    for image in locked:
        entry = listed.get(str(image.source))
        held = entry and (entry["annotations"].get(archive.CONVERTED) if image.convert
                          else entry["digest"])
        if entry is None or held != (image.manifest if image.convert else image.tagged):
            raise IntegrityError(f"the layout has not the {image.source} of the lock",
                                 where=index_file, todo=blobs.todo)
        images.append(converted_to(image, blobs.manifest(entry["digest"])) if image.convert
                      else image)
    return images


class _Fetch:
    """Brings manifests and blobs from the source registries into the folder."""

    def __init__(self, spec: LayoutSpec, locked: Sequence[Image],
                 standing: Sequence[ImageFile]) -> None:
        self._spec, self._locked, self._standing = spec, locked, standing
        self._sources = LockedSources(
            Registries(spec.access), spec.committed,
            f"what lies in {spec.blobs} is used as it is, and not asked for again")
        self.blobs = Blobs(root=spec.blobs, todo=AGAIN)
        self.fetched = 0

    def all(self) -> list[Image]:
        """The images as they are on disk. What is there is hashed, and kept if it is whole."""
        plain = [image for image in self._locked if not image.convert]
        wanted = sorted(distinct(plain), key=lambda blob: -blob.size)
        home = {blob.digest: image.source for image in reversed(plain)
                for blob in image.all_blobs}
        sizes: Counter[str] = Counter()
        for blob in wanted:
            sizes[str(home[blob.digest])] += blob.size
        sizes.update({file.source: file.size for file in self._standing})
        disk.hold(self._spec.blobs, lacking(plain, self._standing, self._spec.blobs),
                  "the images that are fetched")
        with Progress(f"fetch {self._spec.pipeline}", sizes) as progress:
            self._progress = progress
            self.fetched = sum(run_all(lambda blob: self._blob(blob, home[blob.digest]), wanted))
            self.fetched += sum(run_all(self._file, self._standing, threads=image_files.AT_ONCE))
        manifests = {digest: image.source for image in plain for digest in image.manifests}
        run_all(lambda pair: self._manifest(*pair), sorted(manifests.items()))
        return [self._convert(image) if image.convert else image for image in self._locked]

    def _blob(self, blob: Blob, source: Reference) -> int:
        registry = self._sources.at(source.repository)
        with self.blobs.keeping(blob.digest):
            if self.blobs.holds(blob.digest, blob.size):
                self._progress.of(str(source))(blob.size)
                return 0
            with registry.blob(source.path, blob.digest, blob.size) as chunks:
                self.blobs.write(blob.digest, self._counted(chunks, str(source)))
            return blob.size

    def _file(self, file: ImageFile) -> int:
        fetched = self._spec.files.bring(file, self._spec.committed) if self._spec.files else 0
        self._progress.of(file.source)(file.size)
        return fetched

    def _counted(self, chunks: Iterator[bytes], image: str) -> Iterator[bytes]:
        for chunk in chunks:
            self._progress.of(image)(len(chunk))
            yield chunk

    def _manifest(self, digest: str, source: Reference) -> None:
        with self.blobs.keeping(digest) as path:
            if path.is_file() and self.blobs.holds(digest, path.stat().st_size):
                return
            manifest = self._sources.at(source.repository).manifest(source.path, digest)
            self.blobs.write(digest, iter([manifest.data]))

    def _convert(self, image: Image) -> Image:
        """A schema 1 image as schema 2, unless the last run has converted it already."""
        with suppress(AirlockError):
            known = laid_out([image], self._spec.index, self.blobs)[0]
            if all(self.blobs.holds(blob.digest, blob.size) for blob in known.blobs):
                return known
        folder = self._spec.index.parent / f"converting-{image.manifest[-12:]}"
        registry = self._sources.at(image.source.repository)
        with schema1.converted(registry, image, folder) as converted:
            result = converted_to(image, converted.manifest)
            schema1.check_layers(image, result.layers)
            for digest in (blob.digest for blob in result.blobs):
                with self.blobs.keeping(digest), converted.file(digest).open("rb") as stream:
                    self.blobs.write(digest, iter(lambda: stream.read(files.CHUNK), b""))
            with self.blobs.keeping(result.manifest):
                self.blobs.write(result.manifest, iter([converted.manifest.data]))
        self.fetched += image.size
        return result
