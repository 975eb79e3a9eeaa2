"""Files on their way into a store: what it lacks is sent, and all is read back."""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from tasks.core import files
from tasks.core.errors import IntegrityError, StoreError
from tasks.core.store.interface import THREADS, Store, Stored, is_immutable

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")
_slots = threading.BoundedSemaphore(THREADS)
_key_locks: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)
_key_locks_guard = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One file on its way to the store."""

    key: str
    path: Path
    sha256: str
    size: int


def send(store: Store, uploads: Iterable[Upload], *, title: str = "",
         known: Iterable[Stored] = ()) -> list[Stored]:
    """Bring files into the store and return what it then holds, read back from it.

    What is there with the same checksum is not sent. 16 at a time, the largest first, and one at
    a time for each key. Below releases/ and tool/ nothing is ever replaced by other bytes.

    Where the store has tags, a listing tells what is there: a key whose tag is that of `known`,
    an earlier answer of this function, or the one that came with the server's word that the bytes
    have their SHA-256, still holds those bytes. Any other key is asked for.
    """
    waiting = sorted(uploads, key=lambda each: -each.size)
    push = _Push(store, waiting, known, title)
    stored = _each(push.bring, waiting)
    listing = store.tags(push.unseen) if push.unseen else None
    return sorted(_each(lambda each: push.read_back(each, listing or {}), stored),
                  key=lambda each: each.key)


class _Push:
    """Files on their way, what a listing showed before, and which were sent but not read back."""

    def __init__(self, store: Store, uploads: Sequence[Upload], known: Iterable[Stored],
                 title: str) -> None:
        self._store = store
        self._listing = store.tags({each.key for each in uploads})
        self._known = {each.key: each for each in known}
        self._progress = Progress(title, sum(each.size for each in uploads))
        self.unseen: set[str] = set()

    def bring(self, upload: Upload) -> Stored:
        """See that the store holds a file; what it said of that, or of the bytes it was sent."""
        wanted = Stored(key=upload.key, size=upload.size, sha256=upload.sha256)
        with _key_locks_guard:
            lock = _key_locks[self._store.url, upload.key]
        with lock, _slots:
            there = self._there(upload.key)
            if there != wanted:
                if there is not None and is_immutable(upload.key):
                    raise StoreError("the store holds this file with other bytes, and it never "
                                     "changes", where=f"{self._store.url}: {upload.key}",
                                     todo="find out who wrote it; if it is damaged, remove it "
                                          "there")
                tag = self._store.put(upload.key, upload.path, upload.sha256)
                there = replace(wanted, tag=tag)
                self.unseen.add(upload.key)
        self._progress.add(upload.size)
        return there

    def _there(self, key: str) -> Stored | None:
        if self._listing is None:
            return self._store.head(key)
        listed, known = self._listing.get(key), self._known.get(key)
        if listed is None:
            return None
        return known if _same(listed, known) else self._store.head(key)

    def read_back(self, sent: Stored, listing: Mapping[str, Stored]) -> Stored:
        """What the store holds under the key of a file that was sent."""
        if sent.key not in self.unseen or _same(listing.get(sent.key), sent):
            return sent
        with _slots:
            there = self._store.head(sent.key)
        if there != sent:
            raise IntegrityError(f"the store does not hold what was sent: {there}, sent {sent}",
                                 where=f"{self._store.url}: {sent.key}",
                                 todo="run this again; if it stays, look at the store's disks")
        return there


def _same(listed: Stored | None, told: Stored | None) -> bool:
    """Whether a listing shows the very bytes that the store told the SHA-256 of before."""
    return (listed is not None and told is not None and listed.tag is not None
            and (listed.size, listed.tag) == (told.size, told.tag))


def _each(act: Callable[[_Given], _Made], all_of: Sequence[_Given]) -> list[_Made]:
    """Do it for all, 16 at a time; after the first fault nothing is begun any more."""
    with ThreadPoolExecutor(THREADS, thread_name_prefix="store") as pool:
        futures = [pool.submit(act, each) for each in all_of]
        done, left = wait(futures, return_when=FIRST_EXCEPTION)
        for future in left:
            future.cancel()
        faults = [error for future in done if (error := future.exception())]
        if faults:
            raise faults[0]
    return [future.result() for future in futures]


class Progress:
    """A line on standard error every five seconds, so that long work shows that it lives."""

    def __init__(self, title: str, total: int) -> None:
        self._title, self._total, self._done = title, total, 0
        self._told = time.monotonic()
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        with self._lock:
            self._done += size
            if time.monotonic() - self._told < 5:
                return
            self._told = time.monotonic()
            sys.stderr.write(f"       {self._title} {files.human_size(self._done)} of "
                             f"{files.human_size(self._total)}\n")
