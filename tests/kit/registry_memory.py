"""A small registry in memory whose answers a test can spoil, one request at a time."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from tasks.core.net.network import Network
from tasks.core.registry.client import Access, Registries, Registry
from tests.kit.images import OCI, OCI_CONFIG, OCI_LAYER
from tests.kit.web import Quiet, Server, running

Answer = tuple[int, dict[str, str], bytes]
Spoil = Callable[["Request"], "Answer | None"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]


@dataclass(kw_only=True)
class Memory:
    """What the registry holds and has seen; `spoil` may answer in its place."""

    url: str = ""
    blobs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict)
    seen: list[Request] = field(default_factory=list)
    spoil: Spoil = lambda request: None
    mounts: bool = True
    takes_one_request: bool = False
    ranges: bool = False
    least_chunk: int = 0
    parts: dict[str, bytearray] = field(default_factory=dict)
    absolute: bool = False
    lock: AbstractContextManager[object] = field(default_factory=threading.Lock)

    def add_blob(self, repository: str, data: bytes) -> str:
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.blobs[repository, digest] = data
        return digest

    def add_manifest(self, repository: str, reference: str, media_type: str, data: bytes) -> str:
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        for name in (reference, digest):
            self.manifests[repository, name] = (media_type, data)
        return digest

    def add_image(self, repository: str, layers: Sequence[bytes]) -> str:
        """An image of this repository's name, tagged 1; returns its digest."""
        config = json.dumps({"os": "linux", "architecture": "amd64", "name": repository}).encode()
        manifest = {"schemaVersion": 2, "mediaType": OCI,
                    "config": self._described(repository, config, OCI_CONFIG),
                    "layers": [self._described(repository, layer, OCI_LAYER) for layer in layers]}
        return self.add_manifest(repository, "1", OCI, json.dumps(manifest).encode())

    def _described(self, repository: str, data: bytes, media_type: str) -> dict[str, object]:
        return {"mediaType": media_type, "digest": self.add_blob(repository, data),
                "size": len(data)}

    def count(self, method: str, pattern: str) -> int:
        """How many requests there were."""
        return sum(request.method == method and re.search(pattern, request.path) is not None
                   for request in self.seen)

    def repeated(self) -> list[tuple[str, str]]:
        """Requests that came more than once."""
        return [key for key, times in Counter((e.method, e.path) for e in self.seen).items()
                if times > 1]

    def answer(self, request: Request, body: bytes) -> Answer:
        if request.path == "/v2/":
            return 200, {}, b"{}"
        match = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/(uploads/.*|[^/]+)", request.path)
        if not match:
            return 404, {}, b""
        repository, kind, name = match.groups()
        if kind == "manifests":
            return self._manifest(request, repository, name, body)
        if name.startswith("uploads/"):
            return self._upload(request, repository, body)
        return self._blob(request, self.blobs.get((repository, name)))

    def _blob(self, request: Request, data: bytes | None) -> Answer:
        if data is None:
            return 404, {}, b""
        first, _, last = request.headers.get("range", "bytes=0-")[6:].partition("-")
        start, end = int(first), int(last or len(data) - 1)
        if self.ranges and (start or last):
            content_range = f"bytes {start}-{end}/{len(data)}"
            return 206, {"Content-Range": content_range}, data[start:end + 1]
        return 200, {}, data

    def _manifest(self, request: Request, repository: str, name: str, body: bytes) -> Answer:
        if request.method == "PUT":
            digest = self.add_manifest(repository, name, request.headers["content-type"], body)
            return 201, {"Docker-Content-Digest": digest}, b""
        if (repository, name) not in self.manifests:
            return 404, {}, b""
        media_type, data = self.manifests[repository, name]
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        return 200, {"Content-Type": media_type, "Docker-Content-Digest": digest}, data

    def _upload(self, request: Request, repository: str, body: bytes) -> Answer:
        place = f"/v2/{repository}/blobs/uploads/1?state=a%2Bb"
        held = self.parts.setdefault(repository, bytearray())
        if request.method in ("PATCH", "GET"):
            return self._part(request, held, body, place)
        if request.method == "PUT":
            digest = request.query["digest"][0]
            body = bytes(held) + body
            if "sha256:" + hashlib.sha256(body).hexdigest() != digest:
                return 400, {}, b'{"errors":[{"code":"DIGEST_INVALID"}]}'
            self.blobs[repository, digest] = body
            return 201, {}, b""
        return self._start(request, repository, place, body)

    def _part(self, request: Request, held: bytearray, body: bytes, place: str) -> Answer:
        start = request.headers.get("content-range", f"{len(held)}-").partition("-")[0]
        if int(start) != len(held):
            return 416, {}, b""
        held += body
        return (202 if request.method == "PATCH" else 204), {
            "Location": place, "Range": f"0-{max(len(held) - 1, 0)}"}, b""

    def _start(self, request: Request, repository: str, place: str, body: bytes) -> Answer:
        if request.method == "DELETE":
            return 204, {}, b""
        if self.takes_one_request and "digest" in request.query:
            self.add_blob(repository, body)
            return 201, {}, b""
        mount = request.query.get("mount", [""])[0]
        source = (request.query.get("from", [""])[0], mount)
        if mount and self.mounts and source in self.blobs:
            self.blobs[repository, mount] = self.blobs[source]
            return 201, {}, b""
        self.parts[repository] = bytearray()
        return 202, {"Location": self.url + place if self.absolute else place,
                     **({"OCI-Chunk-Min-Length": str(self.least_chunk)} if self.least_chunk
                        else {})}, b""


def once(condition: Callable[[Request], bool], answer: Answer, times: int = 1,
         ) -> Callable[[Request], Answer | None]:
    """Give `answer` to the first `times` requests that fit."""
    left = [times]

    def spoil(request: Request) -> Answer | None:
        if left[0] and condition(request):
            left[0] -= 1
            return answer
        return None

    return spoil


def client(url: str, network: Network | None = None) -> Registry:
    """A client of the registry at a URL, which images name as the host `it`."""
    return Registries(Access(registries={"it": url}, ca=None, authfile=None,
                             network=network or Network())).at("it")


@contextmanager
def serve(memory: Memory) -> Iterator[Memory]:
    """The registry on a free port of loopback."""

    class Handler(Quiet):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            request = Request(method=self.command, path=parts.path, query=parse_qs(parts.query),
                              headers={name.lower(): value for name, value in self.headers.items()})
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with memory.lock:
                memory.seen.append(request)
                status, headers, data = (memory.spoil(request)
                                         or memory.answer(request, body))
            self.send_response(status)
            if "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(data)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)
            if headers.get("Content-Length", str(len(data))) != str(len(data)):
                self.close_connection = True

        do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = do_GET

    with running(Server(Handler)) as server:
        memory.url = server.url
        yield memory
