"""A proxy before a real registry that spoils what passes, as its list of faults says.

It asks for bearer tokens of its own, answers a HEAD falsely, breaks bodies off, and so on.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.kit.registries import PASSWORD, USER
from tests.kit.web import Quiet, Server, running

STALL = 0.6
"""Seconds that a stalled body stands still: more than the client waits in these tests."""
LOGIN = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

Reply = tuple[int, dict[str, str], bytes]

BEFORE = ("429", "429 with Retry-After", "500", "502", "503", "504", "expired token", "lying HEAD",
          "refused upload", "finished upload", "redirect", "reset")
AFTER = ("lost answer", "torn body", "reset in mid-body", "stall in mid-body", "short body",
         "over-long body", "flipped bit", "wrong digest header")
KINDS = (*BEFORE, *AFTER)


@dataclass(kw_only=True)
class Fault:
    """Spoils `times` requests of the class `on`, after letting `skip` of them pass."""

    kind: str
    on: str
    skip: int
    times: int
    met: int = 0

    def fits(self, requested: str) -> bool:
        if requested != self.on or not self.times:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        self.met += 1
        return True


def classify(method: str, path: str) -> str:
    """What a request is about: `GET blob`, `PUT manifest`, `POST upload` …"""
    kind = ("upload" if "/blobs/uploads" in path else "blob" if "/blobs/" in path else
            "manifest" if "/manifests/" in path else "api")
    return f"{method} {kind}"


@dataclass(kw_only=True)
class Proxy:
    """What stands before the registry at `upstream` (host:port); `sizes` are those of blobs."""

    upstream: str
    faults: list[Fault]
    sizes: Mapping[str, int]
    elsewhere: str = ""
    asks_token: bool = False
    url: str = ""
    leaked: bool = False
    seen: int = 0
    tokens: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, method: str, path: str) -> Fault | None:
        """The first fault that this request meets."""
        with self.lock:
            self.seen += 1
            requested = classify(method, path)
            return next((fault for fault in self.faults if fault.fits(requested)), None)

    def admits(self, headers: Mapping[str, str]) -> Reply | None:
        """The refusal of a request without a valid token."""
        if not self.asks_token:
            self.leaked = self.leaked or "authorization" in headers
            return None
        if headers.get("authorization", "").removeprefix("Bearer ") in self.tokens:
            return None
        return 401, {"WWW-Authenticate": f'Bearer realm="{self.url}/token",service="test"'}, b""

    def token(self, headers: Mapping[str, str]) -> Reply:
        if headers.get("authorization") != LOGIN:
            return 401, {}, b""
        with self.lock:
            token = f"token-{len(self.tokens)}-{time.monotonic_ns()}"
            self.tokens.add(token)
        return 200, {}, json.dumps({"token": token, "expires_in": 300}).encode()

    def instead(self, fault: Fault, path: str) -> Reply | None:
        """The answer that a fault gives in the registry's place."""
        code = fault.kind.partition(" ")[0]
        if code.isdecimal():
            return int(code), ({"Retry-After": "0"} if "Retry" in fault.kind else {}), b"busy"
        if fault.kind == "expired token" and self.asks_token:
            self.tokens.clear()
            return self.admits({})
        if fault.kind == "lying HEAD":
            size = self.sizes.get(path.rpartition("/")[2], 1)
            return 200, {"Content-Length": str(size)}, b""
        if fault.kind == "refused upload":
            return 400, {}, b'{"errors":[{"code":"BLOB_UPLOAD_INVALID"}]}'
        if fault.kind == "redirect":
            return 307, {"Location": f"{self.elsewhere}{path}"}, b""
        return None

    def forward(self, method: str, target: str, headers: Mapping[str, str],
                body: bytes) -> Reply:
        """The registry's own answer."""
        connection = http.client.HTTPConnection(self.upstream, timeout=20)
        try:
            connection.request(method, target, body=body or None, headers={
                name: value for name, value in headers.items()
                if name not in ("authorization", "connection")})
            answer = connection.getresponse()
            kept = {name: value for name, value in answer.getheaders()
                    if name.lower() not in ("connection", "transfer-encoding", "date")}
            return answer.status, kept, answer.read()
        finally:
            connection.close()


def spoil(fault: Fault, reply: Reply) -> Reply:
    """An answer whose content is not what the registry sent."""
    status, headers, body = reply
    middle = len(body) // 2
    if fault.kind == "flipped bit" and body:
        body = body[:middle] + bytes([body[middle] ^ 4]) + body[middle + 1:]
    elif fault.kind == "short body" and body:
        body = body[:middle]
    elif fault.kind == "over-long body":
        body += b"more than there is"
    elif fault.kind == "wrong digest header":
        headers = {**headers, "Docker-Content-Digest": "sha256:" + "0" * 64}
    elif fault.kind == "finished upload":
        return 400, {}, b'{"errors":[{"code":"BLOB_UPLOAD_INVALID"}]}'
    if body != reply[2]:
        headers = {**headers, "Content-Length": str(len(body))}
    return status, headers, body


class Handler(Quiet):
    """Answers as `proxy` says, which serve() sets."""

    proxy: Proxy

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length") or 0))
        if path == "/token":
            self.answer(self.proxy.token(headers))
            return
        refused = self.proxy.admits(headers)
        if refused:
            self.answer(refused)
            return
        fault = self.proxy.fault(self.command, path)
        if fault and fault.kind == "reset":
            self.reset()
            return
        reply = self.proxy.instead(fault, path) if fault else None
        if reply is None:
            reply = self.proxy.forward(self.command, self.path, headers, body)
            if fault:
                reply = spoil(fault, reply)
        self.answer(reply, fault.kind if fault else "")

    do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = do_GET

    def answer(self, reply: Reply, kind: str = "") -> None:
        status, headers, body = reply
        if kind == "lost answer":
            self.reset()
            return
        self.send_response(status)
        if not any(name.lower() == "content-length" for name in headers):
            self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        broken = kind in ("torn body", "reset in mid-body", "stall in mid-body")
        self.wfile.write(body[:len(body) // 2] if broken else body)
        if kind == "stall in mid-body":
            self.wfile.flush()
            time.sleep(STALL)
        if kind == "reset in mid-body":
            self.reset()
        self.close_connection = self.close_connection or broken

    def reset(self) -> None:
        """End the connection by RST, not by FIN."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                   struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True
        self.wfile = self.rfile  # so that nothing is flushed


@contextmanager
def serve(proxy: Proxy) -> Iterator[Proxy]:
    """The proxy on a free port of loopback."""
    with running(Server(type("Handler", (Handler,), {"proxy": proxy}))) as server:
        proxy.url = server.url
        yield proxy
