"""images:sif: each locked image as one image file (SIF), in the site's blob cache by SHA-256.

They are made from the blobs of images:layout, without an engine or root. An image that was made
into one before, for this pipeline or another, isn't made again: its manifest's digest and the
writer's version say which file it is.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import disk, files, parsing
from tasks.core.errors import ConfigError, ImageError, IntegrityError
from tasks.core.inputs import staged_data
from tasks.core.nextflow.image_files import file_name
from tasks.core.parallel import run_all
from tasks.core.process_shared import Shared
from tasks.core.progress import Progress
from tasks.core.schema import check, read_json
from tasks.core.sif import container
from tasks.core.sif.layers import Dropped, Layer
from tasks.core.sif.make import make, writer
from tasks.images import image_files
from tasks.images.blobs import Blobs, reporting_write_errors
from tasks.images.image_files import LONGEST_NAME, ImageFile
from tasks.images.lock import LARGEST_CONFIG
from tasks.images.lock_format import Image, read_lock
from tasks.images.oci_layout import AGAIN, laid_out
from tasks.images.platforms import other_platform

AT_ONCE = 2
"""Images that are made at a time: the names of all files of each are in memory."""
LARGE = 10**9
"""Bytes of an image that is made alone, since it may have some 100,000 files."""
SHOWN = 3
"""Paths that are named of what a SIF can't hold."""
_making = Shared()


@dataclass(frozen=True, kw_only=True)
class SifSpec:
    """What images:sif reads and writes; `made` is the folder that knows what was made before.

    `platform` is that of the offline hosts.
    """

    pipeline: str
    lock: Path
    index: Path
    blobs: Path
    made: Path
    platform: str
    output: Path


@dataclass(frozen=True, kw_only=True)
class Sif:
    """An image file by its bytes, what it couldn't hold, and whether it was made just now."""

    sha256: str
    size: int
    dropped: Dropped
    is_new: bool


def make_sifs(spec: SifSpec) -> str:
    """Make what is not there yet, and write sif.json, last; a line for all that was left out."""
    blobs = Blobs(root=spec.blobs, todo=AGAIN)
    images = laid_out(read_lock(spec.lock), spec.index, blobs)
    standing = image_files.read_lock(spec.lock)
    _refuse_names(images, standing)
    distinct = {_digest(image): image for image in images}
    makes = _Makes(spec, blobs, [*distinct.values()])
    made = dict(zip(distinct, makes.all(), strict=True))
    entries = [*(_of_image(image, made[_digest(image)]) for image in images),
               *(_as_it_stands(file, spec) for file in standing)]
    listed = {"images": sorted(entries, key=lambda entry: str(entry["source"]))}
    files.write_json(spec.output, check(listed, "sif", where=spec.output))
    sizes = {entry["sha256"]: entry["size"] for entry in entries}
    return "\n".join([
        f"{len(sizes)} image files, {files.human_size(sum(sizes.values()))}; "
        f"{sum(sif.is_new for sif in made.values())} made now",
        *(f"dropped: {distinct[digest].source}: {line}"
          for digest, sif in made.items() for line in _lines(sif.dropped))])


def containers(lock: Path) -> dict[str, str]:
    """What offline.config says of each image of a lock, by its source."""
    return {**{str(image.source): _container(image) for image in read_lock(lock)},
            **{file.source: file.source for file in image_files.read_lock(lock)}}


def _digest(image: Image) -> str:
    """The digest that the source has it by."""
    return image.converted_from or image.manifest


def note(made: Path, image: Image) -> Path:
    """Where the folder `made` notes which file was made of an image."""
    return made / f"{_digest(image).removeprefix('sha256:')}.json"


def _container(image: Image) -> str:
    return image.source.at(_digest(image))


def _refuse_names(images: Sequence[Image], standing: Sequence[ImageFile]) -> None:
    """ImageError where Nextflow's name for an image is too long, or another one's as well."""
    contents = {**{_container(image): _digest(image) for image in images},
                **{file.source: file.sha256 for file in standing}}
    named: dict[str, dict[str, str]] = {}
    for name, digest in contents.items():
        named.setdefault(file_name(name), {}).setdefault(digest, name)
    faults = [f"  {name}: {' and '.join(sorted(same.values()))}"
              for name, same in named.items() if len(same) > 1]
    faults += [f"  {name}: it is longer than {LONGEST_NAME} bytes"
               for name in named if len(name.encode()) > LONGEST_NAME]
    if faults:
        raise ImageError("Nextflow looks for an image by a file's name, and these can't be:\n"
                         + "\n".join(faults),
                         todo="name another image for one of the processes by hand, under "
                              "`images:` in the pipeline's file")


def _of_image(image: Image, sif: Sif) -> dict[str, Any]:
    name = _container(image)
    return {"source": str(image.source), "container": name, "file": file_name(name),
            "sha256": sif.sha256, "size": sif.size, "platform": image.platform,
            "manifest": _digest(image)}


def _as_it_stands(file: ImageFile, spec: SifSpec) -> dict[str, Any]:
    """The entry of an image file from elsewhere, once its bytes are what is locked."""
    path = staged_data.blob(spec.blobs, file.sha256, file.name)
    if not path.is_file() or files.sha256(path) != file.sha256:
        raise IntegrityError(f"the image file {file.source} is missing or has changed", where=path,
                             todo=AGAIN)
    container.check(path, spec.platform, file.source)
    return {"source": file.source, "container": file.source, "file": file.name,
            "sha256": file.sha256, "size": file.size, "platform": spec.platform,
            **({"manifest": file.manifest} if file.manifest else {})}


def _lines(dropped: Dropped) -> Iterator[str]:
    for what, paths in (("devices", dropped.devices),
                        ("extended attributes", dropped.attributes)):
        if paths:
            more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
            yield f"{what} of {', '.join(paths[:SHOWN])}{more}"


class _Makes:
    """Makes the files of images that differ from each other."""

    def __init__(self, spec: SifSpec, blobs: Blobs, images: Sequence[Image]) -> None:
        self._spec, self._blobs, self._images = spec, blobs, images

    def all(self) -> list[Sif]:
        """Of each image its file; those that are to be made are begun with the largest."""
        self._known = {_digest(image): sif for image, sif in zip(
            self._images, run_all(self._known_of, self._images, threads=os.cpu_count() or 1),
            strict=True) if sif}
        lacking = sorted((image for image in self._images if _digest(image) not in self._known),
                         key=lambda image: -image.size)
        sizes = {str(image.source): image.size for image in lacking}
        disk.hold(self._spec.blobs, sum(sizes.values()), "the image files that are made")
        with Progress(f"images:sif:{self._spec.pipeline}", sizes) as self._progress:
            large = sum(image.size > LARGE for image in lacking)
            sifs = [*map(self._sif, lacking[:large]),
                    *run_all(self._sif, lacking[large:], threads=AT_ONCE)]
            made = dict(zip(map(_digest, lacking), sifs, strict=True))
        return [made.get(_digest(image)) or self._known[_digest(image)]
                for image in self._images]

    def _sif(self, image: Image) -> Sif:
        """One image's file; other pipelines that run side by side make it only once."""
        with _making.once((self._spec.made.absolute(), _digest(image)), threading.Lock):
            return self._known_of(image) or self._make(image)

    def _make(self, image: Image) -> Sif:
        config, name = self._config(image), file_name(_container(image))
        for blob in image.layers:
            self._blobs.size(blob.digest)
        layers = [Layer(digest=blob.digest, path=self._blobs.path(blob.digest))
                  for blob in image.layers]
        count = self._progress.of(str(image.source))
        with reporting_write_errors(self._spec.blobs), \
                files.scratch(self._spec.blobs, "sif") as folder:
            part, counted = folder / "image", 0

            def report(done: int, of: int) -> None:
                nonlocal counted
                share = image.size * done // of
                count(share - counted)
                counted = share

            dropped = _printable(make(layers, config, digest=_digest(image), output=part,
                                      report=report))
            digest, size = files.sha256(part), part.stat().st_size
            target = self._spec.blobs / digest / name
            target.parent.mkdir(exist_ok=True)
            part.replace(target)
        record = {"manifest": _digest(image), "writer": writer(), "sha256": digest, "size": size,
                  "devices": dropped.devices, "attributes": dropped.attributes}
        place = note(self._spec.made, image)
        files.write_json(place, check(record, "sif-made", where=place))
        return Sif(sha256=digest, size=size, dropped=dropped, is_new=True)

    def _known_of(self, image: Image) -> Sif | None:
        """The file that was made before, where it is this writer's and is whole."""
        try:
            record = read_json(note(self._spec.made, image), "sif-made")
        except ConfigError:
            return None
        path = staged_data.blob(self._spec.blobs, record["sha256"],
                                file_name(_container(image)))
        if record["writer"] != writer() or not path.is_file() or (
                files.sha256(path) != record["sha256"]):
            return None
        return Sif(sha256=record["sha256"], size=record["size"], is_new=False, dropped=Dropped(
            devices=record["devices"], attributes=record["attributes"]))

    def _config(self, image: Image) -> Mapping[str, Any]:
        """The image's own config, which must be for the site's platform as the lock says it is."""
        blob = image.config
        if blob is None or blob.size > LARGEST_CONFIG:
            raise ImageError(f"{image.source} has no config that could be read")
        with self._blobs.reading(blob.digest, blob.size) as chunks:
            data = b"".join(chunks)
        config = _mapping(data, image)
        own = f"{config.get('os', 'linux')}/{config.get('architecture', '?')}"
        wanted = "/".join(self._spec.platform.split("/")[:2])
        if own != wanted:
            raise other_platform(own, self._spec.platform, image.source)
        return config


def _printable(dropped: Dropped) -> Dropped:
    """The same with names as JSON can hold them."""
    return Dropped(**{what: [os.fsencode(path).decode(errors="backslashreplace") for path in paths]
                      for what, paths in vars(dropped).items()})


def _mapping(data: bytes, image: Image) -> Mapping[str, Any]:
    try:
        value = parsing.from_json(data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ImageError(f"the config of {image.source} is no JSON", todo=AGAIN)
    return value
