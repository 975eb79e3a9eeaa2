"""The cache of carried files by content: filled by several threads, checked against the lock."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tasks.core import files
from tasks.core.errors import SourceError
from tasks.core.net import urls, web_page
from tasks.core.net.bounds import Exceeded
from tasks.core.net.request import persist
from tasks.core.net.transfer import Body, locked, read_note
from tasks.data.sources import Reach, at, gather, path_of

logger = logging.getLogger(__name__)

MAX_NAME = 200
MIN_NOTED_SIZE = 16 * 2**20
"""Bytes from which on it is noted what a URL gave, so that no other pipeline fetches it again."""
MAX_PARTIAL_AGE = 30 * 24 * 3600
"""Seconds after which what nobody went on with is removed."""
DEFAULT_LIMIT = 10**12
"""Bytes that one call may bring where the pipeline's config sets no data.limit."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._+=@,~-]")


@dataclass(frozen=True, kw_only=True)
class Blob:
    """A carried file. `url` shows no secret; a file of the code itself is `code:<path>`."""

    url: str
    name: str
    sha256: str
    size: int

    @property
    def path(self) -> str:
        """Its path below the cache, as below blobs/sha256 of the store."""
        return f"{self.sha256}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class Cache:
    """Where files go, how URLs are reached, and the digests that are known from the lock.

    `partial` holds what is not whole yet, by URL, also from one run to the next. `limit` is how
    many bytes one call may bring in all, whatever its servers have said before. `notes` say of a
    locked file, by its URL, what helps where it can't be had.
    """

    folder: Path
    partial: Path
    reach: Reach
    known: Mapping[str, str]
    limit: int | None = None
    notes: Mapping[str, str] = field(default_factory=dict)


def basename(path: str) -> str:
    """A file's name that is safe in every sheet, store and SHA256SUMS.

    Everything but ASCII letters, digits and `._+=@,~-` becomes `_`, as does a dot or a hyphen at
    the start; of a long name the end is kept, for its ending.
    """
    name = _UNSAFE.sub("_", path.rpartition("/")[2])[-MAX_NAME:]
    return f"_{name[1:]}" if name[:1] in (".", "-") else name


def fetch_all(wanted: Mapping[str, Iterable[str]], cache: Cache) -> dict[str, Blob]:
    """Fetch each URL once; `wanted` says for each where it stands, for the errors.

    A file that the lock knows and the cache holds is hashed again, not fetched again. What an
    earlier run left unfinished goes on where its server can say that the content is the same.
    Raises SourceError with all faults at once.
    """
    _forget_old(cache.partial)
    budget = _Budget(cache.limit)
    return gather(wanted, lambda url: _fetch_once(url, cache, budget), cache.notes)


class _Budget:
    """The bytes that may still come, counted by several threads."""

    def __init__(self, limit: int | None) -> None:
        self._limit, self._spent = DEFAULT_LIMIT if limit is None else limit, 0
        self._set_by = ("comes without data.limit in the pipeline's config" if limit is None
                        else "data.limit allows")
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self._spent += count
            self._check(0)

    def expect(self, further: int) -> None:
        """Refuse what would not fit, before it comes."""
        with self._lock:
            self._check(further)

    def _check(self, further: int) -> None:
        if self._spent + further > self._limit:
            raise Exceeded(f"more would come than the {files.human_size(self._limit)} that "
                           f"{self._set_by}")


class _Turn:
    """The threads that want one file at the same time: the first fetches it for all."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.waiting = 0
        self.blob: Blob | None = None


class _Turns:
    """The turns at all files that are being fetched in this process, by cache and URL."""

    def __init__(self) -> None:
        self._turns: dict[tuple[Path, str], _Turn] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def at(self, cache: Path, url: str) -> Iterator[_Turn]:
        """Wait for one's turn; the file is there already where another thread has fetched it."""
        key = (cache.absolute(), url)
        with self._lock:
            turn = self._turns.setdefault(key, _Turn())
            turn.waiting += 1
        try:
            with turn.lock:
                yield turn
        finally:
            with self._lock:
                turn.waiting -= 1
                if not turn.waiting:
                    del self._turns[key]


def _fetch_once(url: str, cache: Cache, budget: _Budget) -> Blob:
    with cache.reach.network.shared.once("turns at files", _Turns).at(cache.folder, url) as turn:
        if turn.blob is None:
            turn.blob = _fetch(url, cache, budget)
        else:
            budget.add(turn.blob.size)
        return turn.blob


def _fetch(url: str, cache: Cache, budget: _Budget) -> Blob:
    shown, name = urls.redact(url), _file_name(url)
    source, reached = at(url, cache.reach)
    known = cache.known.get(shown)
    if known and (blob := _held(cache.folder, shown, name, known)):
        budget.add(blob.size)
        return blob
    part = cache.partial / files.sha256_bytes(urls.redact(reached).encode())
    note = part.with_suffix(".json")
    with locked(part) as stream:
        body = Body(stream, note=note, counted=budget.add, expected=lambda total: budget.expect(
            total - body.size))
        before = read_note(note)
        if before and (blob := _held(cache.folder, shown, name, before.sha256)):
            remote = persist(reached, cache.reach.network.hosts, lambda: source.look(reached))
            if remote and (remote.validator, remote.size) == (before.validator, before.size):
                part.unlink()
                budget.add(blob.size)
                return blob
        if before:
            body.resume(before)
        else:
            body.restart(None)
        resumed = body.size
        try:
            persist(reached, cache.reach.network.hosts, lambda: source.receive(reached, body),
                    so_far=lambda: body.size)
        except BaseException as error:
            if body.size and body.validator and not isinstance(error, Exceeded):
                body.note()
            else:
                part.unlink()
                note.unlink(missing_ok=True)
            raise
        _refuse_page(stream, reached, part, note)
        target = cache.folder / body.digest.hexdigest() / name
        target.parent.mkdir(parents=True, exist_ok=True)
        part.replace(target)
        if body.size >= MIN_NOTED_SIZE:
            body.note()
        else:
            note.unlink(missing_ok=True)
    logger.info("fetched %s  %s%s", shown, files.human_size(body.size),
                f", {files.human_size(resumed)} of it before" if resumed else "")
    return Blob(url=shown, name=name, sha256=target.parent.name, size=body.size)


def _file_name(url: str) -> str:
    if set(path_of(url)) & set("*{}"):
        raise SourceError("the URL is a pattern, and stands for no single file")
    name = basename(path_of(url))
    if not name:
        raise SourceError("the URL ends without a file's name")
    return name


def _refuse_page(stream: IO[bytes], reached: str, *kept: Path) -> None:
    """SourceError for a web page instead of the file, of which nothing is `kept`."""
    stream.flush()
    stream.seek(0)
    if page := web_page.instead_of(reached, stream.read(web_page.LOOKED_AT)):
        for path in kept:
            path.unlink(missing_ok=True)
        raise SourceError(page, where=urls.redact(reached), todo=web_page.TODO)


def _held(cache: Path, url: str, name: str, sha256: str) -> Blob | None:
    """A file that the cache holds with this digest, under whatever name; hashed, not believed."""
    target = cache / sha256 / name
    if not target.is_file():
        other = next((file for file in sorted((cache / sha256).glob("*")) if file.is_file()), None)
        if other is None:
            return None
        files.link_or_copy(other, target)
    if files.sha256(target) != sha256:
        return None
    return Blob(url=url, name=name, sha256=sha256, size=target.stat().st_size)


def _forget_old(partial: Path) -> None:
    for path in partial.glob("*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > MAX_PARTIAL_AGE:
                with path.open("rb") as stream, contextlib.suppress(BlockingIOError):
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink(missing_ok=True)
