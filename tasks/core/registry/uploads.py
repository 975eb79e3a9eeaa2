"""Uploads of blobs: in one piece, or in chunks where that fails or would lose too much.

After the OCI distribution specification 1.1, "Pushing blobs".
"""

from __future__ import annotations

import threading
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.core import parsing
from tasks.core.errors import RegistryError
from tasks.core.net import bounds, redirects, urls
from tasks.core.net.request import ATTEMPTS, Broken
from tasks.core.registry.endpoint import Endpoint, Full

if TYPE_CHECKING:
    import urllib3

CHUNK = 8 << 20
"""Bytes of a chunk, which are kept so that it can be sent again: one for each upload."""
LARGEST_CHUNK = 1 << 28
"""Bytes of a chunk that a registry may insist on."""
LARGE = 1 << 30
"""Bytes from which a blob goes in chunks: a broken connection then costs one of them."""
NO_WHOLE = (405, 411, 413, 415, 501)
"""Answers of registries and of proxies before them that take no blob in one piece."""
READ_ONLY = (405, 501)
"""Answers to the begin of an upload where a registry takes none."""
TAKEN = (200, 201, 202, 204)
"""Answers to a chunk that was taken; the specification's is 202."""
SMALL = 1 << 16
"""Bytes up to which a blob is sent with the request that opens its upload."""
PASSING = (400, 401, 404, 408, 416, 429)
"""Refusals that another upload may not meet: an upload that was lost, or met another's."""

Opener = Callable[[], AbstractContextManager[Iterable[bytes]]]


class Holders:
    """The repositories of one registry that this process has brought one blob to."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.repositories: set[str] = set()

    @property
    def first(self) -> str | None:
        """One of them, the same each time."""
        return min(self.repositories, default=None)


@dataclass(frozen=True, kw_only=True)
class Started:
    """An upload that a registry has opened: where it goes on, and the smallest chunk it takes."""

    location: str
    smallest_chunk: int


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """An upload that the registry didn't take, and whether another attempt makes sense."""

    error: RegistryError
    status: int

    @property
    def passes(self) -> bool:
        return not isinstance(self.error, Full) and (
            self.status in (*PASSING, *NO_WHOLE) or self.status >= 500)


class Uploads:
    """Uploads to one registry."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._at = endpoint
        self._refuses_whole = False
        self._refuses_one_request = False

    def send(self, path: str, digest: str, size: int, source: Opener,
             present: Callable[[], bool], started: Started | None = None) -> None:
        """Send a blob, into the upload that is `started` already where there is one.

        That one is a favour: where it fails in any way, the blob goes by an upload of its own.
        `source` is opened anew for each attempt. `present` tells whether the repository has the
        blob: a refusal may mean that another process has just finished the same one.
        """
        if started is not None and self._into(started, path, digest, size, source):
            return
        self._send(path, digest, size, source, present)

    def _into(self, started: Started, path: str, digest: str, size: int, source: Opener) -> bool:
        """Send a blob into an upload that was opened in place of a mount; whether it was taken."""
        send = self._whole if not self._refuses_whole and size < LARGE else self._chunked
        try:
            return send(path, digest, size, source, started) is None
        except RegistryError:
            return False

    def _send(self, path: str, digest: str, size: int, source: Opener,
              present: Callable[[], bool]) -> None:
        breaks = 0
        started: Started | None = None
        if size <= SMALL and not self._refuses_one_request:
            started = self._one_request(path, digest, size, source)
            if started is None:
                return
        for attempt in range(1, ATTEMPTS + 1):
            whole = not self._refuses_whole and size < LARGE and breaks < 2
            send = self._whole if whole else self._chunked
            try:
                place = started or self._start(path, self._at.name(path, digest))
                started = None
                refusal = send(path, digest, size, source, place)
            except Broken:
                if attempt == ATTEMPTS:
                    raise
                breaks += 1
            else:
                if refusal is None or present():
                    return
                if attempt == ATTEMPTS or not refusal.passes:
                    raise refusal.error
                if whole and refusal.status in NO_WHOLE:
                    self._refuses_whole = True
                    continue
            self._at.transport.rest(self._at.base, attempt)

    def _start(self, path: str, name: str) -> Started:
        url = self._at.url(path, "blobs/uploads/")
        response = self._at.ask("POST", url, self._at.push(path), name,
                                {"Content-Length": "0"}, b"")
        if response.status != 202:
            raise self._at.unexpected(response, name, url)
        return self.started(url, name, response)

    def begin_and_end(self, path: str) -> None:
        """Open an upload and cancel it: RegistryError where nothing may be pushed to `path`.

        Registries that make no repository by themselves, and odd ones, answer otherwise than by a
        refusal; what they make of a push is then known by the push alone.
        """
        url, name = self._at.url(path, "blobs/uploads/"), f"a push to {self._at.address}/{path}"
        response = self._at.ask("POST", url, self._at.push(path), name, {"Content-Length": "0"},
                                b"", attempts=1)
        if response.status in READ_ONLY:
            raise RegistryError(f"{self._at.address} takes no pushes to {path} "
                                f"({response.status}): it is read-only, or passes on another's",
                                where=url, todo="name one that takes pushes in registry.host, "
                                "registry.port and registry.prefix; in Nexus a hosted repository")
        if response.status != 202:
            bounds.dismiss(response)
            return
        with suppress(RegistryError):  # one that is left open ends by itself
            bounds.dismiss(self._at.ask("DELETE", self.started(url, name, response).location,
                                        self._at.push(path), name, attempts=1))

    def started(self, url: str, name: str, response: urllib3.BaseHTTPResponse) -> Started:
        """Return the upload that a response of 202 has opened.

        RegistryError where it doesn't say where it goes on, or says what can't be used.
        """
        if not response.headers.get("Location"):
            bounds.dismiss(response)
            raise RegistryError(f"{self._at.host} opens an upload of {name} and doesn't say where "
                                "it goes on (Location)", where=urls.shown(url),
                                todo="see what stands before the registry: a proxy may drop it")
        smallest = parsing.whole_number(response.headers.get("OCI-Chunk-Min-Length", "")) or 0
        if smallest > LARGEST_CHUNK:
            raise RegistryError(f"{self._at.host} takes {name} only in chunks of {smallest} bytes "
                                "or more, which are not held in memory", where=self._at.base)
        return Started(location=self._at.location(url, response), smallest_chunk=smallest)

    def _one_request(self, path: str, digest: str, size: int, source: Opener) -> Started | None:
        """Send a blob with the request that opens its upload; None where it was taken.

        Registries that can't do that answer as if the blob had not been sent, or with a refusal:
        they are not asked for it again.
        """
        url, name = self._at.url(path, "blobs/uploads/"), self._at.name(path, digest)
        with source() as chunks:
            body = b"".join(chunks)
        response = self._at.ask("POST", f"{url}?{urllib.parse.urlencode({'digest': digest})}",
                                self._at.push(path), name,
                                {"Content-Type": "application/octet-stream",
                                 "Content-Length": str(size)}, body)
        if response.status == 201:
            bounds.dismiss(response)
            return None
        self._refuses_one_request = True
        if response.status == 202:
            return self.started(url, name, response)
        bounds.dismiss(response)
        return self._start(path, name)

    def _whole(self, path: str, digest: str, size: int, source: Opener,
               started: Started) -> Refusal | None:
        """One PUT with the blob as it comes from the source, again where a redirect leads."""
        name = self._at.name(path, digest)
        location = _with_digest(started.location, digest)
        for _ in range(redirects.MAX_REDIRECTS):
            with source() as chunks:
                response = self._put(path, name, location, chunks, size)
            target = redirects.pointed_to(location, response, redirects.KEEPING)
            if target is None:
                return self._outcome(response, name, location)
            bounds.dismiss(response)
            location = target
        raise RegistryError(f"{self._at.host} sends the upload of {name} on more than "
                            f"{redirects.MAX_REDIRECTS} times", where=urls.shown(location))

    def _chunked(self, path: str, digest: str, size: int, source: Opener,
                 started: Started) -> Refusal | None:
        """A PATCH for each chunk, and a PUT without a body."""
        name = self._at.name(path, digest)
        location, offset = started.location, 0
        with source() as chunks:
            for chunk in _pieces(chunks, max(CHUNK, started.smallest_chunk)):
                answer = self._patch(path, name, location, offset, chunk)
                if isinstance(answer, Refusal):
                    return answer
                location, offset = answer, offset + len(chunk)
        location = _with_digest(location, digest)
        return self._outcome(self._put(path, name, location, b"", 0), name, location)

    def _put(self, path: str, name: str, location: str, body: bytes | Iterable[bytes],
             size: int) -> urllib3.BaseHTTPResponse:
        return self._at.ask(
            "PUT", location, self._at.push(path), name,
            {"Content-Type": "application/octet-stream", "Content-Length": str(size)}, body,
            attempts=1)

    def _outcome(self, response: urllib3.BaseHTTPResponse, name: str,
                 location: str) -> Refusal | None:
        if response.status == 201:
            bounds.dismiss(response)
            return None
        return self._refusal(response, name, location)

    def _patch(self, path: str, name: str, location: str, offset: int,
               chunk: bytes) -> str | Refusal:
        """Send one chunk, again where it broke: the rest of what has not arrived."""
        end = offset + len(chunk)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = self._at.ask(
                    "PATCH", location, self._at.push(path), name,
                    {"Content-Type": "application/octet-stream", "Content-Length": str(len(chunk)),
                     "Content-Range": f"{offset}-{end - 1}"}, chunk, attempts=1)
            except Broken:
                if attempt == ATTEMPTS:
                    raise
            else:
                if response.status in TAKEN:
                    return self._at.location(location, response)
                refusal = self._refusal(response, name, location)
                if attempt == ATTEMPTS or not (response.status >= 500 or
                                               response.status in (408, 416, 429)):
                    return refusal
            self._at.transport.rest(self._at.base, attempt)
            location, held = self._status(path, name, location)
            if not offset <= held <= end:
                raise Broken(f"{self._at.host} has lost a part of {name} in its upload",
                             where=self._at.base, todo="run the same command again")
            chunk, offset = chunk[held - offset:], held
            if not chunk:
                return location
        raise AssertionError(f"no outcome for {name}")

    def _status(self, path: str, name: str, location: str) -> tuple[str, int]:
        """Where an upload goes on, and how many bytes it has."""
        response = self._at.ask("GET", location, self._at.push(path), name)
        first, _, end = response.headers.get("Range", "").removeprefix("bytes=").partition("-")
        last = parsing.whole_number(end)
        if response.status not in (200, 204) or first != "0" or last is None:
            response.close()
            raise Broken(f"{self._at.host} has lost the upload of {name}", where=self._at.base,
                         todo="run the same command again")
        # Registries say 0-0 of an upload without bytes; no chunk is a single byte.
        return self._at.location(location, response), last + 1 if last else 0

    def _refusal(self, response: urllib3.BaseHTTPResponse, name: str, location: str) -> Refusal:
        return Refusal(status=response.status,
                       error=self._at.unexpected(response, name, location))


def _with_digest(location: str, digest: str) -> str:
    """The URL that finishes an upload: what a registry put into its query stays as it is."""
    joint = "&" if "?" in location else "?"
    return f"{location}{joint}{urllib.parse.urlencode({'digest': digest})}"


def _pieces(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in pieces of `size`, the last one smaller."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
    if held:
        yield bytes(held)
