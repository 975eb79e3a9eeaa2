"""A client of one registry, after the OCI distribution specification 1.1."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core.errors import IntegrityError, RegistryError
from tasks.core.registry.auth import Authenticator
from tasks.core.registry.jws import payload
from tasks.core.registry.streams import checked, chunks_of
from tasks.core.registry.transport import (
    ATTEMPTS,
    Body,
    Broken,
    Transport,
    backoff,
    origin,
    slot,
)

if TYPE_CHECKING:
    import urllib3

INDEXES = ("application/vnd.oci.image.index.v1+json",
           "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFESTS = ("application/vnd.oci.image.manifest.v1+json",
             "application/vnd.docker.distribution.manifest.v2+json")
SCHEMA1 = ("application/vnd.docker.distribution.manifest.v1+prettyjws",
           "application/vnd.docker.distribution.manifest.v1+json")
ACCEPT = ", ".join((*INDEXES, *MANIFESTS, *SCHEMA1))
DOCKER_HUB, HUB_ADDRESS = "docker.io", "registry-1.docker.io"
"""Docker Hub as references name it, and where it answers."""
LARGEST_MANIFEST = 4 << 20
"""Bytes; the specification asks registries to take no more."""

LARGEST_LIST = 16 << 20
NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')
"""The next page's address in a Link header (RFC 8288)."""

Opener = Callable[[], AbstractContextManager[Iterable[bytes]]]



class Upload:
    """What this process knows of one blob at one registry: a repository that has it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.held_by: str | None = None


_uploads: dict[tuple[str, str], Upload] = {}
_uploads_lock = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Access:
    """How registries are reached: the site's map of hosts, its CA and its logins."""

    registries: Mapping[str, str]
    ca: Path | None
    authfile: Path | None


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A manifest or index by its bytes."""

    data: bytes
    media_type: str

    @property
    def digest(self) -> str:
        signed = payload(self.data) if self.media_type == SCHEMA1[0] else self.data
        return "sha256:" + hashlib.sha256(signed).hexdigest()


class Registries:
    """Clients by host, each made once."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._transport = Transport(access.ca)
        self._made: dict[str, Registry] = {}
        self._lock = threading.Lock()

    def at(self, host: str) -> Registry:
        """The client for `host` as it stands in image references."""
        with self._lock:
            if host not in self._made:
                self._made[host] = Registry(host, endpoint(host, self._access.registries),
                                            self._access.authfile, self._transport)
            return self._made[host]


def endpoint(host: str, registries: Mapping[str, str]) -> str:
    """The URL where `host` is asked, by the site's map, else at its own address over TLS."""
    mapped = registries.get(host)
    return (mapped or f"https://{HUB_ADDRESS if host == DOCKER_HUB else host}").rstrip("/")


@contextmanager
def uploading(registry: Registry, digest: str) -> Iterator[Upload]:
    """Hold the right to upload this blob: one at a time for the whole process.

    Two uploads of one new layer make Nexus refuse both (nexus-public#967).
    """
    with _uploads_lock:
        upload = _uploads.setdefault((registry.address, digest), Upload())
    with upload.lock:
        yield upload


class Registry:
    """Requests to one registry; `path` is always a repository's path, without the host."""

    def __init__(self, host: str, url: str, authfile: Path | None, transport: Transport) -> None:
        self.host = host
        parts = urllib.parse.urlsplit(url)
        self.base = f"{parts.scheme}://{parts.netloc}"
        self.address = parts.netloc
        self._below = parts.path.strip("/")
        self._transport = transport
        self._auth = Authenticator(self.base, authfile, transport)

    def ping(self) -> None:
        """Ask the registry whether it is one, and lets us in."""
        response = self._send("GET", f"{self.base}/v2/", (), "the API")
        if response.status != 200:
            raise self._unexpected(response, "the API", f"{self.base}/v2/")
        response.drain_conn()

    def manifest(self, path: str, reference: str) -> Manifest:
        """A manifest or index by tag or digest; by digest, its bytes are held against it.

        Raises RegistryError that names the image where there is none.
        """
        url = self._url(path, f"manifests/{reference}")
        name = self._name(path, reference)
        response = self._send("GET", url, self._pull(path), name, {"Accept": ACCEPT})
        if response.status == 404:
            raise RegistryError(f"there is no image {name}", where=url,
                                todo="check the name and the tag in the pipeline; if it was there "
                                     "before, its tag may have moved: try relock=1")
        if response.status != 200:
            raise self._unexpected(response, name, url)
        manifest = Manifest(data=self._read(response, LARGEST_MANIFEST, name),
                            media_type=response.headers.get("Content-Type", "").partition(";")[0])
        promised = reference if ":" in reference else response.headers.get("Docker-Content-Digest")
        if promised and promised != manifest.digest:
            raise IntegrityError(f"the manifest of {name} has other bytes than its digest says\n"
                                 f"  promised: {promised}\n  found:    {manifest.digest}",
                                 where=url,
                                 todo="the registry's data are damaged; ask its administrator")
        return manifest

    def manifest_digest(self, path: str, reference: str) -> str | None:
        """The digest that a tag or digest stands for here, or None where there is none."""
        url = self._url(path, f"manifests/{reference}")
        response = self._send("HEAD", url, self._pull(path), self._name(path, reference),
                              {"Accept": ACCEPT})
        if response.status == 404:
            return None
        if response.status != 200:
            raise self._unexpected(response, self._name(path, reference), url)
        return (response.headers.get("Docker-Content-Digest")
                or self.manifest(path, reference).digest)

    def tags(self, path: str) -> list[str]:
        """A repository's tags; none where there is no such repository."""
        return self._list(self._url(path, "tags/list"), "tags", self._pull(path), path)

    def repositories(self) -> list[str]:
        """The paths of all repositories; RegistryError where that may not be asked."""
        names = self._list(f"{self.base}/v2/_catalog", "repositories", ("registry:catalog:*",),
                           "its list of repositories")
        below = f"{self._below}/" if self._below else ""
        return [name.removeprefix(below) for name in names if name.startswith(below)]

    def _list(self, url: str, key: str, scopes: tuple[str, ...], name: str) -> list[str]:
        """A list that comes in pages, each linked from the one before."""
        found: list[str] = []
        while True:
            response = self._send("GET", url, scopes, name)
            if response.status == 404:
                response.drain_conn()
                return found
            if response.status != 200:
                raise self._unexpected(response, name, url)
            try:
                found += map(str, json.loads(self._read(response, LARGEST_LIST, name))[key] or [])
            except (ValueError, KeyError, TypeError):
                raise RegistryError(f"{self.host} answered nonsense for {name}",
                                    where=url) from None
            link = NEXT.search(response.headers.get("Link", ""))
            following = urllib.parse.urljoin(url, link[1]) if link else url
            if following == url or origin(following) != origin(url):
                return found
            url = following

    def blob_size(self, path: str, digest: str) -> int | None:
        """A blob's size in bytes, or None where the repository doesn't have it."""
        url = self._url(path, f"blobs/{digest}")
        name = self._name(path, digest)
        response = self._send("HEAD", url, self._pull(path), name)
        if response.status == 404:
            return None
        if response.status != 200:
            raise self._unexpected(response, name, url)
        return int(response.headers.get("Content-Length", "-1"))

    @contextmanager
    def blob(self, path: str, digest: str, size: int) -> Iterator[Iterator[bytes]]:
        """The blob's bytes as they come; they end with IntegrityError where they aren't it."""
        url = self._url(path, f"blobs/{digest}")
        name = self._name(path, digest)
        with slot(self.address):
            response = self._send("GET", url, self._pull(path), name)
            if response.status != 200:
                raise self._unexpected(response, name, url)
            try:
                yield checked(chunks_of(response, name), digest, size, name, url)
            finally:
                response.close()
                response.release_conn()

    def mount(self, path: str, digest: str, source: str) -> bool:
        """Make a blob of repository `source` one of `path` too; False where that is refused."""
        query = urllib.parse.urlencode({"mount": digest, "from": self._inner(source)})
        url = f"{self._url(path, 'blobs/uploads/')}?{query}"
        response = self._send("POST", url, (*self._push(path), *self._pull(source)),
                              self._name(path, digest), {"Content-Length": "0"}, b"")
        if response.status == 201:
            return True
        if response.status == 202:
            self._cancel(path, response)
        elif response.status not in (400, 403, 404, 405):
            raise self._unexpected(response, self._name(path, digest), url)
        return False

    def upload(self, path: str, digest: str, size: int, source: Opener) -> None:
        """Send a blob in one piece, as it comes from `source`; opened anew for each attempt."""
        name = self._name(path, digest)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                refusal = self._upload_once(path, digest, size, source)
            except Broken:
                if attempt == ATTEMPTS:
                    raise
            else:
                # A 400 may mean that another process has just finished the same blob.
                if refusal is None or self.blob_size(path, digest) == size:
                    return
                if attempt == ATTEMPTS or not refusal[1]:
                    raise refusal[0]
            self._transport.rest(self.base, backoff(attempt))
        raise AssertionError(f"no outcome for {name}")

    def put_manifest(self, path: str, reference: str, manifest: Manifest) -> bool:
        """Put a manifest by tag or digest; False where the registry misses one of its blobs."""
        url = self._url(path, f"manifests/{reference}")
        name = self._name(path, reference)
        response = self._send("PUT", url, self._push(path), name,
                              {"Content-Type": manifest.media_type}, manifest.data)
        if response.status in (200, 201, 202):
            told = response.headers.get("Docker-Content-Digest")
            response.drain_conn()
            if told and told != manifest.digest:
                raise IntegrityError(f"{self.host} took the manifest of {name} as {told}, but it "
                                     f"is {manifest.digest}", where=url)
            return True
        error = self._unexpected(response, name, url)
        if response.status in (400, 404) and "BLOB_UNKNOWN" in str(error):
            return False
        raise error

    def _upload_once(self, path: str, digest: str, size: int,
                     source: Opener) -> tuple[RegistryError, bool] | None:
        """One attempt; the refusal and whether another attempt makes sense, or None."""
        name = self._name(path, digest)
        start = self._url(path, "blobs/uploads/")
        response = self._send("POST", start, self._push(path), name, {"Content-Length": "0"}, b"")
        if response.status != 202:
            return self._unexpected(response, name, start), False
        location = self._location(start, response)
        joint = "&" if "?" in location else "?"
        url = f"{location}{joint}{urllib.parse.urlencode({'digest': digest})}"
        with source() as chunks:
            response = self._send(
                "PUT", url, self._push(path), name,
                {"Content-Type": "application/octet-stream", "Content-Length": str(size)}, chunks)
        if response.status == 201:
            response.drain_conn()
            return None
        again = response.status in (400, 401, 404, 408, 416, 429) or response.status >= 500
        return self._unexpected(response, name, start), again

    def _location(self, start: str, response: urllib3.BaseHTTPResponse) -> str:
        """The address of an upload, which may be relative, and must be the registry's own."""
        location = urllib.parse.urljoin(start, response.headers.get("Location", ""))
        response.drain_conn()
        if urllib.parse.urlsplit(location).netloc != self.address or (
                self.base.startswith("https:") and not location.startswith("https:")):
            shown = urllib.parse.urlsplit(location)
            raise RegistryError(f"{self.host} wants uploads at {shown.scheme}://{shown.netloc}",
                                where=self.base, todo="set the registry's external address (in "
                                "Nexus: base URL and the proxy's X-Forwarded headers)")
        return location

    def _cancel(self, path: str, response: urllib3.BaseHTTPResponse) -> None:
        """Give back the upload that a registry opened in place of a mount."""
        location = self._location(self._url(path, "blobs/uploads/"), response)
        self._send("DELETE", location, self._push(path), path).drain_conn()

    def _send(self, method: str, url: str, scopes: tuple[str, ...], name: str,
              headers: Mapping[str, str] | None = None,
              body: Body = None) -> urllib3.BaseHTTPResponse:
        """A request with what it takes to be let in; 403, and 401 in spite of that, are errors."""
        once = not (body is None or isinstance(body, bytes))
        for _ in range(3):
            permit = self._auth.header(scopes)
            response = self._transport.send(
                method, url, {"Accept-Encoding": "identity", "User-Agent": "nf-airlock",
                              **(headers or {}), **permit},
                body, attempts=1 if once else ATTEMPTS)
            if method == "HEAD" or response.status in (401, 403):
                response.drain_conn()
                response.release_conn()
            if response.status == 403:
                raise self._auth.refused(name)
            if response.status != 401:
                return response
            if not self._auth.learn(response.headers.getlist("WWW-Authenticate"), scopes,
                                    permit.get("Authorization")):
                break
            if once:
                return response
        raise self._auth.refused(name)

    def _unexpected(self, response: urllib3.BaseHTTPResponse, name: str, url: str) -> RegistryError:
        """An error with the registry's own words."""
        said = response.read(2000) if response.status >= 400 else b""
        response.close()
        words = " ".join(said.decode(errors="replace").split())[:300]
        return RegistryError(f"{self.host} answered {response.status} for {name}"
                             + (f": {words}" if words else ""), where=url.partition("?")[0],
                             todo="see the registry's log; if it was busy, run the same command "
                                  "again: what was moved is kept")

    def _read(self, response: urllib3.BaseHTTPResponse, most: int, name: str) -> bytes:
        data = b"".join(chunks_of(response, name, most))
        response.release_conn()
        return data

    def _inner(self, path: str) -> str:
        return f"{self._below}/{path}" if self._below else path

    def _url(self, path: str, rest: str) -> str:
        return f"{self.base}/v2/{self._inner(path)}/{rest}"

    def _name(self, path: str, reference: str) -> str:
        return f"{self.host}/{path}{'@' if ':' in reference else ':'}{reference}"

    def _pull(self, path: str) -> tuple[str, ...]:
        return (f"repository:{self._inner(path)}:pull",)

    def _push(self, path: str) -> tuple[str, ...]:
        return (f"repository:{self._inner(path)}:pull,push",)
