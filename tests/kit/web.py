"""A web server with real faults, on a port of its own on loopback."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeVar

from tasks.core.net.inner_addresses import Inside
from tasks.core.net.network import Network

STEP = 1 << 16


def near() -> Network:
    """What a site says whose servers are those of these tests."""
    return Network(inside=Inside(allowed=("127.0.0.0/8", "::1")))


def was_reached(listener: socket.socket) -> bool:
    """Whether anybody connected to a listener that doesn't block."""
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


class Quiet(BaseHTTPRequestHandler):
    """A handler that logs nothing."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """A server on a port of loopback, 0 being a free one, whose clients may hang up.

    `tls` are certificate and key; without them it speaks plain HTTP.
    """

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler], *, port: int = 0,
                 tls: tuple[Path, Path] | None = None) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self.scheme = "https" if tls else "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            # A handshake in the thread that accepts would let one client hold up all others.
            self.socket = context.wrap_socket(self.socket, server_side=True,
                                              do_handshake_on_connect=False)

    @property
    def url(self) -> str:
        """The server's address, without a slash at its end."""
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    def handle_error(self, *args: object) -> None:
        """Clients hang up here."""


AnyServer = TypeVar("AnyServer", bound=Server)


@contextmanager
def running(server: AnyServer) -> Iterator[AnyServer]:
    """The server, ended with the block."""
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Web(Server):
    """Serves `files` by path, else what lies in `folder`; `seen` is what was asked for.

    `cuts` says how often a path's body ends half-way, `statuses` what it answers first,
    `redirects` where it points to, `headers` what it sends besides or instead (None: not at all).
    `heads` are the paths of HEAD requests, `queries` what stood behind each path that was asked
    for, `pause` seconds after each 64 KiB of a body.
    """

    def __init__(self) -> None:
        super().__init__(Handler)
        self.files: dict[str, bytes] = {}
        self.folder: Path | None = None
        self.cuts: dict[str, int] = {}
        self.statuses: dict[str, list[int]] = {}
        self.redirects: dict[str, str] = {}
        self.headers: dict[str, dict[str, str | None]] = {}
        self.heads: list[str] = []
        self.pause = 0.0
        self.queries: defaultdict[str, list[str]] = defaultdict(list)
        self.seen: list[tuple[str, str | None, str | None]] = []

    def asked(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(request[0] == path for request in self.seen)

    def content(self, path: str) -> bytes | None:
        """What lies at a path."""
        if path in self.files:
            return self.files[path]
        place = self.folder / path.lstrip("/") if self.folder else None
        return place.read_bytes() if place and place.is_file() else None


class Handler(Quiet):
    """One request, answered as the server's tables say."""

    server: Web

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        self.server.queries[path].append(query)
        self.server.seen.append((path, self.headers["Range"], self.headers["Authorization"]))
        self._reply(path)

    def do_HEAD(self) -> None:
        path = self.path.partition("?")[0]
        self.server.heads.append(path)
        self._reply(path)

    def _reply(self, path: str) -> None:
        web = self.server
        content = web.content(path)
        if web.statuses.get(path):
            self._answer(web.statuses[path].pop(0), b"", {})
        elif path in web.redirects:
            self._answer(302, b"", {"Location": web.redirects[path]})
        elif content is None:
            self._answer(404, b"not here", {})
        else:
            self._send(path, content)

    def _send(self, path: str, content: bytes) -> None:
        tag = f'"{hashlib.sha256(content).hexdigest()}"'
        wanted = self.headers["Range"]
        if wanted and self.headers["If-Range"] in (None, tag):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            body = content[int(first):int(last) + 1 if last else None]
            about = f"bytes {first}-{int(first) + len(body) - 1}/{len(content)}"
            self._answer(206, body, {"ETag": tag, "Content-Range": about})
        elif self.server.cuts.get(path):
            self.server.cuts[path] -= 1
            self._answer(200, content, {"ETag": tag}, sent=len(content) // 2)
        else:
            self._answer(200, content, {"ETag": tag})

    def _answer(self, status: int, body: bytes, headers: dict[str, str],
                sent: int | None = None) -> None:
        self.send_response(status)
        more = self.server.headers.get(self.path, {})
        for name, value in {"Content-Length": str(len(body)), **headers, **more}.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.close_connection = sent is not None
        left = body[:sent] if self.command == "GET" else b""
        with contextlib.suppress(ConnectionError):  # who asked was killed
            for at in range(0, len(left), STEP):
                self.wfile.write(left[at:at + STEP])
                if self.server.pause:
                    time.sleep(self.server.pause)


@contextmanager
def serving() -> Iterator[Web]:
    """A server that is ended with the block."""
    with running(Web()) as web:
        yield web
