"""What is carried of a store: the current release of a pipeline, and the current tool.

What the store has of a release is listed, not known by name: proofs and approvals come along too.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

from tasks.core import files, nofollow
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import ConfigError, HostError, IntegrityError, StoreError
from tasks.core.parallel import run_all
from tasks.core.paths import SIF_INDEX
from tasks.core.schema import from_bytes
from tasks.core.store.interface import Store, bring
from tasks.core.trust import checksums, releases
from tasks.core.trust.checksums import MAX_LIST
from tasks.core.trust.promotions import FILE_NAME, Subject

SOURCE = "org.opencontainers.image.ref.name"
"""The annotation by which an archive names its image as images.txt does."""
AGAIN = "push again; if it stays so, look at who else writes into the store"


Opened: TypeAlias = AbstractContextManager[IO[bytes]]


@dataclass(frozen=True, kw_only=True)
class File:
    """A file on its way: `path` is its key in the store and its path in the carried folder.

    Its bytes are `data`, else those of `source`, a file of this side, else what the store holds.
    """

    path: str
    sha256: str
    size: int
    source: Path | None = None
    data: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Carried:
    """What is carried of one pipeline, or of the tool: the current `id`, promoted as `number`."""

    id: str
    number: int
    files: tuple[File, ...]


@contextmanager
def opened(file: File, at: StoreAt, store: Store, near: Path) -> Iterator[IO[bytes]]:
    """A file's bytes, of which nobody has seen yet that they are the right ones.

    What comes out of a bucket lies in the folder `near` meanwhile.
    """
    if file.data is not None:
        yield io.BytesIO(file.data)
    elif file.source is not None:
        if not file.source.is_file():
            raise HostError("an image's archive is missing on this side", where=file.source,
                            todo="carry that pipeline too: the folder holds it, and lacks this")
        with file.source.open("rb") as own:
            yield own
    elif at.folder is not None and (at.folder / file.path).is_file():
        with ExitStack() as stack:
            try:
                stream = stack.enter_context(nofollow.reading(at.folder, file.path))
            except OSError as error:
                raise StoreError(f"the store's folder: {error.strerror}",
                                 where=at.folder / file.path, todo="mend the rights there, then "
                                 "run the same command again") from error
            yield stream
    else:
        with files.scratch(near, "brought") as scratch:
            path = scratch / "file"
            store.get(file.path, path, most=file.size)
            with path.open("rb") as brought:
                yield brought


def of_tool(store: Store) -> Carried:
    """The current tool."""
    name, number, pointer = _current(store, Subject(pipeline=None))
    keys = _own_keys(store, Subject(pipeline=None), name, number, marker="airlock.tar")
    return Carried(id=name, number=number, files=(*_described(store, keys), pointer))


def of_pipeline(store: Store, pipeline: str, archives: Path | None) -> Carried:
    """The current release, with the images' `archives`, where those are what carries them.

    IntegrityError where the store's list and release.json are not of that release.
    """
    subject = Subject(pipeline=pipeline)
    name, number, pointer = _current(store, subject)
    keys = _own_keys(store, subject, name, number, marker="SHA256SUMS")
    place = f"{subject.place}/{name}"
    where = f"{store.url}: {place}"
    listed = bring(store, f"{place}/SHA256SUMS", MAX_LIST)
    digests = checksums.parse_sums(listed, where=f"{where}/SHA256SUMS")
    shown = bring(store, f"{place}/release.json", MAX_LIST)
    if f"{place}/SHA256SUMS.sig" not in keys:
        raise IntegrityError("the release is not signed", where=where, todo=AGAIN)
    if files.sha256_bytes(shown) != digests.get("release.json"):
        raise IntegrityError("release.json is not what its list says", where=where, todo=AGAIN)
    release = releases.described(shown, where=f"{where}/release.json")
    if checksums.release_id(release["revision"], listed) != name:
        raise IntegrityError("this is the list of another release", where=where, todo=AGAIN)
    sizes = {file["path"]: file["size"] for file in release["files"]}
    sizes["release.json"] = len(shown)
    blobs = {key: File(path=key, sha256=digest, size=sizes[path])
             for path, digest in digests.items()
             if (key := checksums.blob_key(path, digest))}
    saved = () if archives is None or SIF_INDEX in digests else _archives(
        store, archives, pipeline, name, digests)
    keys += store.list(f"smoke/{pipeline}/{name}/")
    return Carried(id=name, number=number, files=(
        *blobs.values(), *saved, *_described(store, keys), pointer))


def _current(store: Store, subject: Subject) -> tuple[str, int, File]:
    where = f"{store.url}: {subject.pointer}"
    try:
        data = bring(store, subject.pointer)
    except StoreError as error:
        what = f"no release of {subject.pipeline}" if subject.pipeline else "no tool"
        command = f"doit pipeline={subject.pipeline}" if subject.pipeline else "doit push:tool"
        raise StoreError(f"{what} is the current one in the store: {error.what}", where=where,
                         todo=f"`{command}` makes one and pushes it") from error
    pointer = _json(data, "pointer", where)
    if pointer["pipeline"] != subject.pipeline:
        raise IntegrityError(f"the pointer is for another pipeline, {pointer['pipeline']!r}",
                             where=where, todo=AGAIN)
    return pointer["id"], pointer["number"], File(
        path=subject.pointer, sha256=files.sha256_bytes(data), size=len(data), data=data)


def _json(data: bytes, schema: str, where: str) -> Mapping[str, Any]:
    try:
        value: Mapping[str, Any] = from_bytes(data, schema, where=where)
    except ConfigError as error:
        raise IntegrityError(f"this is no {schema}: {error.what}", where=where,
                             todo=AGAIN) from error
    return value


def _own_keys(store: Store, subject: Subject, name: str, number: int, *,
              marker: str) -> list[str]:
    """All keys of a subject but those of its other releases, which `marker` shows, of later
    promotions, and the pointer."""
    depth = subject.place.count("/") + 1
    keys = [key for key in store.list(f"{subject.place}/") if key != subject.pointer]
    others = {key.split("/")[depth] for key in keys
              if key.split("/")[depth + 1:] == [marker]} - {name}
    return [key for key in keys if key.split("/")[depth] not in others
            and not _is_later(key, subject, number)]


def _is_later(key: str, subject: Subject, number: int) -> bool:
    """Whether a key is of a promotion that was signed after the current one."""
    below = key.removeprefix(f"{subject.place}/promotions/")
    match = FILE_NAME.fullmatch(below.removesuffix(".sig"))
    return bool(match) and int(match[1]) > number if match else False


def _described(store: Store, keys: Iterable[str]) -> list[File]:
    """Size and digest of small files, as the store holds them."""
    def one(key: str) -> File:
        held = store.head(key)
        if held is not None and held.sha256 is not None:
            return File(path=key, sha256=held.sha256, size=held.size)
        data = bring(store, key, MAX_LIST)
        return File(path=key, sha256=files.sha256_bytes(data), size=len(data), data=data)

    return run_all(one, list(keys))


def _archives(store: Store, folder: Path, pipeline: str, name: str,
              digests: Mapping[str, str]) -> list[File]:
    """The images' archives, with the list of them and its signature."""
    listed = (folder / "SHA256SUMS").read_bytes()
    saved = checksums.parse_sums(listed, where=folder / "SHA256SUMS")
    key = checksums.blob_key("images.receipt.json", digests["images.receipt.json"])
    receipt = _json(bring(store, key, MAX_LIST), "images-receipt", f"{store.url}: {key}")
    wanted = {image["source"]: image["digest"] for image in receipt["images"]}
    held = dict(_archived(folder / path) for path in saved if path.endswith(".tar"))
    if held != wanted:
        differing = sorted(source for source in {*held, *wanted}
                           if held.get(source) != wanted.get(source))
        raise HostError(f"the archives here are not those of the images of {name}: "
                        f"{', '.join(differing[:5])}", where=folder,
                        todo="bring this checkout to what was released, then run the same command "
                             "again; or images=0, where the registry spans the gap")
    for path in ("SHA256SUMS", "SHA256SUMS.sig"):
        saved[path] = files.sha256(folder / path)
    return [File(path=f"images/{pipeline}/{path}", sha256=digest, source=folder / path,
                 size=(folder / path).stat().st_size) for path, digest in saved.items()]


def _archived(path: Path) -> tuple[str, str]:
    """Which image an archive of images:save holds: as images.txt names it, and its digest."""
    with tarfile.open(path) as archive:
        stream = archive.extractfile("index.json")
        entry: dict[str, Any] = json.load(stream)["manifests"][0] if stream else {}
    return entry["annotations"][SOURCE], entry["digest"]
