"""A server that stands in for S3: objects in memory, over TLS, for the CLI's `s3 cp` alone.

It checks no signature, only that there is one, and listens on loopback while a block runs.
"""

from __future__ import annotations

import hashlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tasks.core.parsing import whole_number

MAX_OBJECT = 1 << 20
"""Bytes of one object; those of a task's own files have some thousand."""
MAX_LINE = 1024
CHUNKED = "STREAMING-"
"""How x-amz-content-sha256 begins where the body comes in chunks with their sizes before them:
docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html."""


class S3(ThreadingHTTPServer):
    """Objects by `/bucket/key`."""

    daemon_threads = True

    def __init__(self, certificate: Path, key: Path, objects: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects = objects
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.socket = context.wrap_socket(self.socket, server_side=True,
                                          do_handshake_on_connect=False)

    @property
    def url(self) -> str:
        """The server's address."""
        return f"https://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """Clients that don't trust the certificate hang up: that is what is shown."""


@contextmanager
def serving(certificate: Path, key: Path, objects: dict[str, bytes]) -> Iterator[S3]:
    """The server, ended with the block; what was put stands in `objects`."""
    server = S3(certificate, key, objects)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: S3
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        self._send_object()

    def do_HEAD(self) -> None:
        self._send_object()

    def do_PUT(self) -> None:
        body = self._body()
        if body is None or not self._is_signed():
            self.close_connection = True
            self._answer(403, _error("AccessDenied"))
            return
        if self.headers.get("x-amz-content-sha256", "").startswith(CHUNKED):
            body = unchunked(body)
        self.server.objects[self._path()] = body
        self._answer(200, b"", {"ETag": _tag(body)})

    def _body(self) -> bytes | None:
        """The request's body; None where it is too large."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            size = whole_number(self.headers.get("Content-Length", "")) or 0
            return self.rfile.read(size) if size <= MAX_OBJECT else None
        body = b""
        while size := int(self.rfile.readline(MAX_LINE), 16):
            if len(body) + size > MAX_OBJECT:
                return None
            body += self.rfile.read(size)
            self.rfile.readline(MAX_LINE)
        self.rfile.readline(MAX_LINE)
        return body

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - its name there
        """Write nothing to the step's output."""

    def _send_object(self) -> None:
        body = self.server.objects.get(self._path())
        if not self._is_signed():
            self._answer(403, _error("AccessDenied"))
        elif body is None:
            self._answer(404, _error("NoSuchKey"))
        else:
            self._answer(200, body, {"ETag": _tag(body), "Accept-Ranges": "bytes",
                                     "Content-Type": "binary/octet-stream",
                                     "Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT"})

    def _is_signed(self) -> bool:
        return self.headers.get("Authorization", "").startswith("AWS4-HMAC-SHA256 ")

    def _path(self) -> str:
        return unquote(urlsplit(self.path).path)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def unchunked(body: bytes) -> bytes:
    """The content of a body in chunks: `<size in hexadecimal>[;…]\\r\\n<bytes>\\r\\n`, the last of
    size 0, and trailing headers."""
    content = bytearray()
    while body:
        line, _, body = body.partition(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        if size == 0:
            break
        content += body[:size]
        body = body[size + 2:]
    return bytes(content)


def _tag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def _error(code: str) -> bytes:
    return (f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code></Error>').encode()
