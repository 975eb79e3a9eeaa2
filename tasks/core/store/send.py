"""Files on their way into a store: what it lacks is sent, and all is read back."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.core import files
from tasks.core.errors import IntegrityError, StoreError
from tasks.core.parallel import run_all
from tasks.core.process_shared import Shared
from tasks.core.progress import Progress
from tasks.core.store.interface import THREADS, Store, Stored, difference, is_immutable

_slots = threading.BoundedSemaphore(THREADS)
_key_locks = Shared()


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One file on its way to the store."""

    key: str
    path: Path
    sha256: str
    size: int

    @classmethod
    def of(cls, key: str, path: Path) -> Upload:
        """The file as it is now."""
        return cls(key=key, path=path, sha256=files.sha256(path), size=path.stat().st_size)


def send(store: Store, uploads: Iterable[Upload], *, title: str = "",
         known: Iterable[Stored] = ()) -> list[Stored]:
    """Bring files into the store and return what it then holds, read back from it.

    What is there with the same checksum is not sent. 16 at a time, the largest first, and one at
    a time for each key. Below releases/ and tool/ nothing is ever replaced by other bytes.

    Where the store has entity tags, a listing says what is there: a key whose tag is that of
    `known`, which an earlier call returned, or the one that came with the server's word that the
    bytes have their SHA-256, still holds those bytes. Any other key is asked for.
    """
    largest_first = sorted(uploads, key=lambda upload: -upload.size)
    push = _Push(store, largest_first, known)
    with Progress(title, {upload.key: upload.size for upload in largest_first},
                  kind="files") as progress:
        stored = run_all(lambda upload: push.bring(upload, progress), largest_first)
    listing = store.tags(push.sent) if push.sent else None
    return sorted(run_all(lambda sent: push.read_back(sent, listing or {}), stored),
                  key=lambda held: held.key)


class _Push:
    """Files on their way, what a listing showed before, and which were sent but not read back."""

    def __init__(self, store: Store, uploads: Sequence[Upload], known: Iterable[Stored]) -> None:
        self._store = store
        self._listing = store.tags({upload.key for upload in uploads})
        self._known = {stored.key: stored for stored in known}
        self.sent: set[str] = set()

    def bring(self, upload: Upload, progress: Progress) -> Stored:
        """Have the store hold a file; what it said of that, or of the bytes it was sent."""
        wanted = Stored(key=upload.key, size=upload.size, sha256=upload.sha256)
        with _key_locks.once((self._store.url, upload.key), threading.Lock), _slots:
            held = self._held(upload.key)
            if held != wanted:
                if held is not None and is_immutable(upload.key):
                    raise _refuse_other(held, wanted, f"{self._store.url}: {upload.key}")
                tag = self._store.put(upload.key, upload.path, upload.sha256)
                held = replace(wanted, tag=tag)
                self.sent.add(upload.key)
        progress.add(upload.key, upload.size)
        return held

    def _held(self, key: str) -> Stored | None:
        if self._listing is None:
            return self._store.head(key)
        listed, known = self._listing.get(key), self._known.get(key)
        if listed is None:
            return None
        return known if _is_same(listed, known) else self._store.head(key)

    def read_back(self, sent: Stored, listing: Mapping[str, Stored]) -> Stored:
        """What the store holds under the key of a file that was sent."""
        if sent.key not in self.sent or _is_same(listing.get(sent.key), sent):
            return sent
        with _slots:
            held = self._store.head(sent.key)
        if held != sent:
            raise refuse_lost(held, sent, f"{self._store.url}: {sent.key}")
        return held


def refuse_lost(held: Stored | None, sent: Stored, where: str) -> IntegrityError:
    """Return the error to raise where the store doesn't hold what it was sent."""
    return IntegrityError(f"the store does not hold what was sent: {difference(held, sent)}",
                          where=where,
                          todo="run this again; if it stays, look at the store's disks, and at who "
                               "else writes there")


def _refuse_other(held: Stored, wanted: Stored, where: str) -> StoreError:
    """The error to raise where a file that never changes is there in another form."""
    if (held.size, held.sha256) == (wanted.size, wanted.sha256):
        return StoreError(f"the store holds this file otherwise than the site wants: {held.fault}; "
                          "and it never changes", where=where,
                          todo="correct store.encryption and store.kms_key, or remove it there")
    if held.size == wanted.size and held.sha256 is None:
        return StoreError("the store holds this file without a SHA-256, so it isn't known whether "
                          "it is right, and it never changes", where=where,
                          todo="if the store can't keep checksums, set store.checksums to "
                               "metadata, so that it is read and hashed; else remove it there")
    return StoreError("the store holds this file with other bytes, and it never changes",
                      where=where,
                      todo="find out who wrote it; if it is damaged, remove it there")


def _is_same(listed: Stored | None, known: Stored | None) -> bool:
    """Whether a listing shows the very bytes whose SHA-256 the store confirmed before."""
    return (listed is not None and known is not None and listed.tag is not None
            and (listed.size, listed.tag) == (known.size, known.tag))
