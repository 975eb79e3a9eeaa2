"""images:save: an archive of each image, for `docker load` and `podman load`."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core import files
from tasks.core.errors import ImageError, IntegrityError
from tasks.core.parallel import run_all
from tasks.core.progress import Progress
from tasks.core.trust import checksums
from tasks.images import archive
from tasks.images.blobs import Blobs
from tasks.images.lock_format import Image, read_lock
from tasks.images.oci_layout import laid_out

SUMS = "SHA256SUMS"


@dataclass(frozen=True, kw_only=True)
class SaveSpec:
    """What images:save reads, and the folder that it fills.

    `config` is the Nextflow configuration that names the loaded images, in that folder; `index`
    is the layout's, removed where a blob is not whole any more.
    """

    pipeline: str
    lock: Path
    index: Path
    blobs: Path
    config: Path
    folder: Path


def save_images(spec: SaveSpec) -> str:
    """Bring the folder up to the lock: archives that are whole stay, others go.

    SHA256SUMS tells what is whole at any time, so that a killed run goes on where it was.
    """
    blobs = Blobs(root=spec.blobs,
                  todo="run the same command again, which fetches that blob anew")
    try:
        wanted = _by_name(laid_out(read_lock(spec.lock), spec.index, blobs))
        return _save(spec, wanted, blobs)
    except IntegrityError:
        spec.index.unlink(missing_ok=True)  # so that images:layout looks at every blob
        raise


def _save(spec: SaveSpec, wanted: Mapping[str, Image], blobs: Blobs) -> str:
    saved = _Saved(spec)
    _remove_others(spec, wanted)
    sizes = {name: image.size for name, image in wanted.items()}
    with Progress(f"save {spec.pipeline}", sizes) as progress:
        def one(name: str) -> str | None:
            reason = saved.why_not(name)
            if reason is not None:
                saved.add(name, archive.write(spec.folder / name, wanted[name], blobs))
            progress.of(name)(sizes[name])
            return reason

        reasons = run_all(one, sorted(wanted))
    saved.add(spec.config.name, files.sha256(spec.config))
    changed = [f"{name} had changed, and was written anew"
               for name, reason in zip(sorted(wanted), reasons, strict=True) if reason == "changed"]
    written = sum(reason is not None for reason in reasons)
    return "\n".join([*changed, f"{len(wanted)} archives in {spec.folder}/, {written} of them "
                                f"written now; {spec.config.name} names their images"])


def _by_name(images: Sequence[Image]) -> dict[str, Image]:
    by_name: dict[str, Image] = {}
    meant: dict[str, Image] = {}
    for image in images:
        other = meant.setdefault(archive.loaded_as(image.source), image)
        if other.manifest != image.manifest:
            raise ImageError(f"{other.source} and {image.source} would both be "
                             f"{archive.loaded_as(image.source)} in the engine",
                             todo="name one of them otherwise in the pipeline's file")
        by_name[archive.file_name(image)] = image
    return by_name


def _remove_others(spec: SaveSpec, wanted: Mapping[str, Image]) -> None:
    """Archives of images that are not locked any more, and what a killed run left."""
    for path in [*spec.folder.glob("*.tar"), *spec.folder.glob(".*.part")]:
        if path.name not in wanted:
            path.unlink()


class _Saved:
    """The folder's SHA256SUMS, kept up to date from any thread."""

    def __init__(self, spec: SaveSpec) -> None:
        self._folder, self._lock = spec.folder, threading.Lock()
        self._digests = self._read()

    def _read(self) -> dict[str, str]:
        path = self._folder / SUMS
        try:
            listed = checksums.parse_sums(path.read_bytes(), where=path)
        except (FileNotFoundError, IntegrityError):
            return {}
        return {name: digest for name, digest in listed.items() if (self._folder / name).is_file()}

    def why_not(self, name: str) -> str | None:
        """Why an archive has to be written: `missing`, `changed`, or None where it is whole."""
        if name not in self._digests:
            return "missing"
        return None if files.sha256(self._folder / name) == self._digests[name] else "changed"

    def add(self, name: str, digest: str) -> None:
        with self._lock:
            self._digests[name] = digest
            present = {file: sha256 for file, sha256 in self._digests.items()
                       if (self._folder / file).is_file()}
            files.write_bytes(self._folder / SUMS, checksums.format_sums(present))
