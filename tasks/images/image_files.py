"""Image files that stand at an address of their own: locked by SHA-256, and brought once.

Pipelines name them for Apptainer and Singularity alone: https://depot.galaxyproject.org/…, and
oras://, where a registry holds a file as the only layer of an artifact. They are carried as they
are.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tasks.core import disk, files, parsing
from tasks.core.errors import AirlockError, ImageError, folded
from tasks.core.inputs.staged_data import blob
from tasks.core.lock_files import Entry, LockFiles
from tasks.core.net import download, urls
from tasks.core.nextflow.image_files import file_name
from tasks.core.parallel import try_all
from tasks.core.registry.client import Access, Registries, endpoint
from tasks.core.registry.endpoint import Missing
from tasks.core.schema import read_json
from tasks.core.sif import container
from tasks.images.blobs import reporting_write_errors
from tasks.images.lock_format import is_image_file
from tasks.images.reference import DIGEST, Reference, parse

LARGEST = 200 * 10**9
"""Bytes of an image file; more is no image."""
AT_ONCE = 4
"""Image files that are fetched at a time: one may be some GB."""
LONGEST_NAME = 255
"""Bytes of a file's name, by Linux."""
NOT_LOCKED = re.compile(r"(library|shub|file)://.*|[/$].*")
"""Names in a library of Sylabs or Singularity Hub, and paths of the host that runs."""
CARRIED = re.compile(r"(https?|oras)://[A-Za-z0-9.:/_@%+~=,-]+")
"""What can stand in offline.config and in a file's name; a query would hold secrets."""


@dataclass(frozen=True, kw_only=True)
class ImageFile:
    """A locked image file; `manifest` is that of the artifact which an oras:// names.

    `resolved` is when it was asked for, which a lock that is carried doesn't say.
    """

    source: str
    sha256: str
    size: int
    resolved: str | None = None
    manifest: str | None = None

    @property
    def name(self) -> str:
        """Nextflow's name for it, under which it is kept and carried."""
        return file_name(self.source)

    def is_kept(self, blobs: Path) -> bool:
        """Whether a folder of blobs has it, as far as names tell."""
        return (blobs / self.sha256).is_dir()

    def as_entry(self) -> Entry:
        """Its entry in a lock; what doesn't apply is left out."""
        return {name: value for name, value in vars(self).items() if value is not None}


def is_file(source: str) -> bool:
    """Whether a line of images.txt is an image file and no reference."""
    return "://" in source or source.startswith(("/", "$"))


def read_entries(lock: Path) -> dict[str, Entry]:
    """The entries of a lock's image files by their source, as they stand there."""
    return {entry["source"]: entry for entry in read_json(lock, "images-lock").get("files", [])}


def from_entries(entries: Mapping[str, Entry]) -> list[ImageFile]:
    """The image files of a lock's entries, among which images may be."""
    return [ImageFile(source=entry["source"], sha256=entry["sha256"], size=entry["size"],
                      resolved=entry.get("resolved"), manifest=entry.get("manifest"))
            for entry in entries.values() if is_image_file(entry)]


def read_lock(lock: Path) -> list[ImageFile]:
    """The image files of a lock."""
    return from_entries(read_entries(lock))


def refuse_uncarried(sources: Iterable[str], config: str) -> None:
    """ImageError with every image file that can't be carried, and what to do."""
    faults = [f"  {source}: {why}" for source in sources if (why := _uncarried(source))]
    if faults:
        raise ImageError("these image files can't be carried:\n" + "\n".join(faults),
                         where=config,
                         todo="name other images of their processes by hand, under `images:`")


def _uncarried(source: str) -> str | None:
    if NOT_LOCKED.fullmatch(source):
        return "only https:// and oras:// can be locked by what they hold"
    if not CARRIED.fullmatch(source) or (
            "@" in source.partition("://")[2].partition("/")[0]):
        return "an address may have no login, no query and no unusual characters"
    if len(file_name(source)) > LONGEST_NAME:
        return f"the name of its file would be longer than {LONGEST_NAME} bytes"
    if source.startswith("oras://"):
        try:
            reference = artifact(source)
        except ImageError as error:
            return error.what
        if not source.removeprefix("oras://").startswith(f"{reference.host}/"):
            return "an oras:// names its registry"
    return None


def artifact(source: str) -> Reference:
    """The reference that an oras:// names."""
    return parse(source.removeprefix("oras://"))


@dataclass(frozen=True, kw_only=True)
class FileSources:
    """Where image files come from, and the cache by SHA-256 that keeps them.

    `urls` is the site's map of public URLs, `platform` that of its offline hosts.
    """

    access: Access
    blobs: Path
    platform: str
    urls: Mapping[str, str] = field(default_factory=dict)

    def reached_at(self, source: str) -> str | None:
        """The place of the site's own that is asked for a source; None for its public one."""
        if source.startswith("oras://"):
            repository = artifact(source).repository
            place = endpoint(repository, self.access.registries)
            return None if place == endpoint(repository, {}) else place
        place = urls.mapped(source, self.urls)
        return None if place == source else place

    def resolve(self, source: str, now: str) -> ImageFile:
        """Ask what a source is now, and bring it; once for all steps of this process."""
        turn = self.access.network.shared.once(("image file", source, self.blobs.absolute()),
                                               _Turn)
        with turn.lock:
            if turn.file is None:
                turn.file = (self._of_artifact(source, now) if source.startswith("oras://")
                             else self._downloaded(source, now))
            return turn.file

    def bring(self, file: ImageFile, committed: LockFiles | None = None) -> int:
        """Bring a file where the cache has it not whole; the bytes that came.

        IntegrityError where its source has another file than `committed`, the lock, by now.
        """
        held = blob(self.blobs, file.sha256, file.name)
        if held.is_file() and files.sha256(held) == file.sha256:
            return 0
        with self._arriving() as part:
            if file.manifest is not None:
                self._layer(file, part, committed)
            else:
                download.hold(self._download(file.source, part), file.sha256, where=file.source,
                              what=f"{file.source} is another file than when it was locked",
                              todo=_relock(committed))
            self._keep(part, file)
        return file.size

    def _downloaded(self, source: str, now: str) -> ImageFile:
        with self._arriving() as part:
            got = self._download(source, part)
            file = ImageFile(source=source, sha256=got.sha256, size=got.size, resolved=now)
            self._keep(part, file)
        return file

    def _download(self, source: str, part: Path) -> download.Fetched:
        network = self.access.network.naming(*self.urls.values())
        return download.fetch(urls.mapped(source, self.urls), part, network=network, most=LARGEST)

    def _of_artifact(self, source: str, now: str) -> ImageFile:
        reference = artifact(source)
        manifest = Registries(self.access).at(reference.repository).manifest(
            reference.path, reference.wanted)
        digest, size = _only_layer(manifest.data, source)
        file = ImageFile(source=source, sha256=digest.removeprefix("sha256:"), size=size,
                         resolved=now, manifest=manifest.digest)
        self.bring(file)
        return file

    def _layer(self, file: ImageFile, part: Path, committed: LockFiles | None) -> None:
        reference = artifact(file.source)
        registry = Registries(self.access).at(reference.repository)
        digest = f"sha256:{file.sha256}"
        disk.hold(self.blobs, file.size, "this image file")
        try:
            with part.open("wb") as stream, \
                    registry.blob(reference.path, digest, file.size) as chunks:
                for chunk in chunks:
                    stream.write(chunk)
        except Missing as error:
            raise ImageError(f"{file.source} is gone: {error.host} has no {digest}",
                             where=error.where, todo=_relock(committed)) from error

    @contextmanager
    def _arriving(self) -> Iterator[Path]:
        """A place for a file that comes, which goes if it doesn't come whole."""
        with reporting_write_errors(self.blobs), files.scratch(self.blobs, "image") as folder:
            yield folder / "file"

    def _keep(self, part: Path, file: ImageFile) -> None:
        """Place a file that is whole and an image; what has other bytes in its place gives way."""
        container.check(part, self.platform, file.source)
        target = self.blobs / file.sha256 / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("rb") as stream:
            os.fsync(stream.fileno())
        part.chmod(0o755)
        part.replace(target)


class _Turn:
    """The turn at one source: the first to have it asks for all."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.file: ImageFile | None = None


def _only_layer(manifest: bytes, source: str) -> tuple[str, int]:
    """Digest and size of an artifact's one layer."""
    try:
        layers = parsing.from_json(manifest)["layers"]
        (digest, size), = ((layer["digest"], layer["size"]) for layer in layers)
    except (ValueError, KeyError, TypeError):
        digest, size = "", 0
    if not (isinstance(digest, str) and DIGEST.fullmatch(digest)
            and type(size) is int and 0 < size <= LARGEST):
        raise ImageError(f"{source} is no artifact that holds one image file", where=source,
                         todo="name another image of its process by hand, under `images:` in the "
                              "pipeline's file")
    return digest, size


@dataclass(frozen=True, kw_only=True)
class LockedFiles:
    """The entries of a pipeline's image files; `fresh` are those asked for just now, each with the
    place of the site's own where it was, None for its public one.
    """

    entries: Mapping[str, Entry]
    fresh: Mapping[str, str | None]

    def lines(self, before: Mapping[str, Entry]) -> list[str]:
        """What the user should know: how much it is, and which are others than `before`."""
        if not self.entries:
            return []
        total = sum({entry["sha256"]: entry["size"] for entry in self.entries.values()}.values())
        return [f"{len(self.entries)} image files, {len(self.fresh)} fetched now, "
                f"{files.human_size(total)}",
                *(f"moved: {source} from sha256:{before[source]['sha256']} to "
                  f"sha256:{entry['sha256']}" for source, entry in self.entries.items()
                  if before.get(source, entry)["sha256"] != entry["sha256"])]


def lock(sources: FileSources | None, listed: Iterable[str], kept: Mapping[str, Entry], now: str, *,
         config: str) -> LockedFiles:
    """Lock the image files among the lines of images.txt; those that are `kept` aren't asked for.

    All faults are raised together. Without `sources` there are none.
    """
    if sources is None:
        return LockedFiles(entries={}, fresh={})
    addresses = [line for line in listed if is_file(line)]
    refuse_uncarried(addresses, config)
    known = {file.source: file.as_entry() for file in from_entries(kept)}
    waiting = [address for address in addresses if address not in known]
    results = try_all(lambda address: sources.resolve(address, now), waiting, threads=AT_ONCE)
    faults = {address: result for address, result in zip(waiting, results, strict=True)
              if isinstance(result, AirlockError)}
    if len(faults) == 1:
        raise next(iter(faults.values()))
    if faults:
        raise ImageError(f"{len(faults)} image files can't be locked:\n{folded(faults)}")
    resolved = {file.source: file.as_entry() for file in results
                if not isinstance(file, AirlockError)}
    return LockedFiles(
        entries={address: known.get(address) or resolved[address] for address in addresses},
        fresh={address: sources.reached_at(address) for address in waiting})


def _relock(committed: LockFiles | None) -> str:
    return (f"find out why; to take what is there now: {committed.renewing}" if committed
            else "run the same command again")
