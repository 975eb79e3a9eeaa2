"""`prod:take`: a folder that was carried by disk, verified, and its files put into the store.

Every byte of the folder is read and held against its signed list. The offline side's store, where
it is a folder or bucket that this host may write, gets what it lacks, pointers last and never back;
else the folder is read as a store by itself.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.core import disk, files, nofollow, processes
from tasks.core.archives import volumes
from tasks.core.archives.volumes import Volumes
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import AirlockError, ConfigError, HostError, IntegrityError, StoreError
from tasks.core.parallel import try_all
from tasks.core.progress import Progress
from tasks.core.store.interface import MAX_SMALL, is_immutable
from tasks.core.store.send import Upload, send
from tasks.core.store.store import open_store
from tasks.core.trust import carried
from tasks.core.trust.carried import POINTER, README, RECORD, SUMS, VOLUME, WHOLE_SUMS
from tasks.core.trust.promotions import CARRY_AGAIN
from tasks.offline_host import pointers, taken
from tasks.offline_host.freshness import Host

logger = logging.getLogger(__name__)
THREADS = 4
"""Files read at a time: a stick gets slower by more."""
APART = (README, RECORD, "images/")
"""What is carried and lies in no store; archives for engines are loaded from the folder."""


@dataclass(frozen=True, kw_only=True)
class TakeSpec:
    """The folder that was carried, and the offline side's store.

    `into` is the folder that its files are put into: the store's own, or that where volumes are put
    together; None where they stay where they are. `back` says that the user named a release, so
    that the store may be ahead of the folder.
    """

    carried: str | None
    store: StoreAt
    into: Path | None
    host: Host
    back: bool


def take(spec: TakeSpec) -> str:
    """Verify the folder and have its files in the store.

    IntegrityError names what is not as it was signed, HostError what is missing; then no pointer
    was moved.
    """
    if not spec.carried:
        raise ConfigError("which folder was carried isn't said", where="from=DIR",
                          todo="name the folder that README.txt lies in: from=/media/stick")
    root = taken.place(spec.carried)
    if not root.is_dir():
        raise HostError("there is no such folder", where=root,
                        todo="mount the disk that was carried, and name the folder on it")
    return _Taking(spec, root).all()


class _Taking:
    """A carried folder on its way into a store."""

    def __init__(self, spec: TakeSpec, root: Path) -> None:
        self._spec, self._root, self._into = spec, root, spec.into
        self._listed = self._whole = carried.listed(self._root, SUMS, spec.host.signers)
        if WHOLE_SUMS in self._listed:
            self._whole = carried.listed(self._root, WHOLE_SUMS, spec.host.signers)
        self._is_store = self._into is not None and spec.store.folder is not None and (
            self._into == spec.store.folder)
        self._shown: dict[str, bytes] = {}
        self._new = 0

    def all(self) -> str:
        at = StoreAt(url=str(self._into or self._root))
        rest = {path: digest for path, digest in self._listed.items()
                if not POINTER.fullmatch(path) and not self._is_volume(path)}
        if self._whole is self._listed:
            self._verify(dict(self._listed.items() - rest.items()), stored=True)
            pointers.refuse_older(open_store(at), self._shown, back=self._spec.back)
            self._verify(rest, stored=True)
        else:
            self._verify(rest, stored=False)
            self._put_together()
        shown = pointers.signed(open_store(at), self._shown, self._spec.host)
        if self._into is not None:
            processes.run(["sync", "--file-system", self._into])  # before anything leads there
            pointers.move(open_store(at), self._shown, back=self._spec.back)
        filled = "" if self._is_store else self._fill_store(Path(at.url))
        named = ", ".join(f"{pointer.pipeline or 'the tool'} {pointer.id}" for pointer in shown)
        new = f", {self._new} of them new in {self._into}" if self._into else ""
        return "\n".join(filter(None, [
            f"{self._root}: {named}; {len(self._whole)} files verified{new}", filled]))

    def _is_volume(self, path: str) -> bool:
        return bool(VOLUME.fullmatch(path)) and path.endswith(".tar")

    def _verify(self, listed: Mapping[str, str], *, stored: bool) -> None:
        """Hold files against the list, and put those that are `stored` where they are lacking."""
        sizes = {path: self._size(path) for path in listed}
        if stored:
            self._hold_room(sizes)

        def one(path: str) -> None:
            with_store = stored and not path.startswith(APART)
            self._bring(path, listed[path], self._blocks(path), stored=with_store)
            progress.add(path, sizes[path])

        with Progress("take", sizes, kind="files") as progress:
            results = try_all(one, sorted(listed, key=lambda path: -sizes[path]), threads=THREADS)
        faults = [result for result in results if isinstance(result, AirlockError)]
        if len(faults) == 1:
            raise faults[0]
        if faults:
            raise type(faults[0])("files of the carried folder are not as they were signed:\n"
                                  + "\n".join(f"  {fault.where}: {fault.what}"
                                              for fault in faults[:50]),
                                  where=self._root, todo=CARRY_AGAIN)

    def _size(self, path: str) -> int:
        try:
            return (self._root / path).lstat().st_size
        except OSError:
            return 0  # who reads it says what is wrong

    def _hold_room(self, sizes: Mapping[str, int]) -> None:
        if self._into is not None:
            disk.hold(self._into, sum(
                size for path, size in sizes.items() if not path.startswith(APART)
                and not (self._into / path).is_file()), "what was carried")

    def _blocks(self, path: str) -> Iterator[bytes]:
        try:
            with nofollow.reading(self._root, path) as stream:
                while block := stream.read(files.CHUNK):
                    yield block
        except FileNotFoundError:
            raise IntegrityError("it is missing", where=self._root / path,
                                 todo=CARRY_AGAIN) from None
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> HostError:
        return HostError(f"the carried folder can't be read ({error.strerror})", where=self._root,
                         todo="put the disk in again, or carry it on another one, then run the "
                              "same command again: what is here stays")

    def _bring(self, path: str, digest: str, blocks: Iterable[bytes], *, stored: bool) -> None:
        """Hold a file against its digest, and put it where it is lacking; pointers wait."""
        if POINTER.fullmatch(path) and stored:
            data = b"".join(_at_most(blocks, MAX_SMALL, self._root / path))
            self._see(path, digest, files.sha256_bytes(data))
            self._shown[path] = data
        elif stored and self._into is not None and self._lacks(self._into, path, digest):
            try:
                with nofollow.writing(self._into, path, flush=False) as writer:
                    self._see(path, digest, _digest(blocks, writer.write))
            except OSError as error:
                raise StoreError(f"the store's folder: {error.strerror}", where=self._into / path,
                                 todo="free space or mend the rights there, then run this again"
                                 ) from error
            self._new += 1
        else:
            self._see(path, digest, _digest(blocks))

    def _see(self, path: str, digest: str, actual: str) -> None:
        if actual != digest:
            raise IntegrityError(f"its bytes have changed (sha256 {actual})",
                                 where=self._root / path, todo=CARRY_AGAIN)

    def _lacks(self, into: Path, path: str, digest: str) -> bool:
        """Whether a file isn't there yet. StoreError where another is that never changes."""
        held = open_store(StoreAt(url=str(into))).head(path)
        if held is None or held.sha256 == digest:
            return held is None
        if self._is_store and is_immutable(path):
            raise StoreError("the store holds this file with other bytes, and it never changes",
                             where=into / path, todo="find out who wrote it; if it is damaged, "
                                                     "remove it there")
        return True

    def _put_together(self) -> None:
        """Read the volumes through, and put the files that they hold where they are lacking."""
        names = sorted(filter(self._is_volume, self._listed))
        missing = [name for name in names if not os.path.lexists(self._root / name)]
        if missing:
            raise HostError(f"volumes are missing: {', '.join(missing)}", where=self._root,
                            todo="copy all volumes into one folder, with the files beside them")
        waiting = dict(self._whole)
        self._hold_room({name: self._size(name) for name in names})
        with Volumes(self._root, names) as stream, \
                Progress("take", {SUMS: sum(map(self._size, names))}, kind="folders") as progress:
            for path, blocks in volumes.members(stream):
                if path not in waiting:
                    raise IntegrityError(f"the volumes hold {path!r}, which the list doesn't name, "
                                         "or twice", where=self._root, todo=CARRY_AGAIN)
                self._bring(path, waiting.pop(path), self._counted(blocks, progress),
                            stored=not path.startswith(APART))
            changed = [name for name in names if stream.held.get(name) != self._listed[name]]
        if changed or waiting:
            raise IntegrityError(
                f"the bytes of volumes have changed: {', '.join(changed)}" if changed else
                f"the volumes lack files of the list: {', '.join(sorted(waiting)[:5])}",
                where=self._root, todo=CARRY_AGAIN)
        if not self._is_store and self._into is not None:
            for path in [*nofollow.listed(self._into, "")]:
                if path not in self._whole:
                    nofollow.remove(self._into, path)

    def _counted(self, blocks: Iterator[bytes], progress: Progress) -> Iterator[bytes]:
        try:
            for block in blocks:
                progress.add(SUMS, len(block))
                yield block
        except OSError as error:
            raise self._unreadable(error) from error

    def _fill_store(self, folder: Path) -> str:
        """Put the files of a folder into a bucket, if this host may; else say why not."""
        at = self._spec.store
        if at.folder is not None:
            return f"{at.url} can't be written from here, so the folder itself is read as the store"
        uploads = [Upload(key=path, path=folder / path, sha256=digest,
                          size=(folder / path).stat().st_size)
                   for path, digest in self._whole.items()
                   if not path.startswith(APART) and not POINTER.fullmatch(path)]
        store = open_store(at)
        try:
            pointers.refuse_older(store, self._shown, back=self._spec.back)
            send(store, uploads, title="take")
            pointers.move(store, self._shown, back=self._spec.back)
        except StoreError as error:
            logger.warning("%s was not filled, so the folder itself is read as the store: %s",
                           at.url, error)
            return ""
        return f"what {at.url} lacked is there now"


def _digest(blocks: Iterable[bytes], write: Callable[[bytes], object] | None = None) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
        if write is not None:
            write(block)
    return digest.hexdigest()


def _at_most(blocks: Iterable[bytes], most: int, where: Path) -> Iterator[bytes]:
    size = 0
    for block in blocks:
        size += len(block)
        if size > most:
            raise nofollow.too_large(most, where)
        yield block
