"""A client of one registry, after the OCI distribution specification 1.1."""

from __future__ import annotations

import hashlib
import re
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core import parsing
from tasks.core.errors import IntegrityError, RegistryError
from tasks.core.net import bounds, web_page
from tasks.core.net.network import Network
from tasks.core.net.pace import Host
from tasks.core.net.redirects import joined, origin
from tasks.core.net.request import Transport
from tasks.core.registry.auth import Refused
from tasks.core.registry.docker_hub import DOCKER_HUB, HUB_ADDRESS
from tasks.core.registry.downloads import Download
from tasks.core.registry.endpoint import Endpoint, Missing
from tasks.core.registry.heads import Heads
from tasks.core.registry.jws import payload
from tasks.core.registry.streams import checked, read_whole
from tasks.core.registry.uploads import Holders, Opener, Started, Uploads

if TYPE_CHECKING:
    import urllib3

INDEXES = ("application/vnd.oci.image.index.v1+json",
           "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFESTS = ("application/vnd.oci.image.manifest.v1+json",
             "application/vnd.docker.distribution.manifest.v2+json")
SCHEMA1 = ("application/vnd.docker.distribution.manifest.v1+prettyjws",
           "application/vnd.docker.distribution.manifest.v1+json")
ACCEPT = ", ".join((*INDEXES, *MANIFESTS, *SCHEMA1))
LARGEST_MANIFEST = 4 << 20
"""Bytes; the specification asks registries to take no more."""
LARGEST_LIST = 16 << 20
PAGES, LONGEST_LIST = 1000, 600.0
"""Pages that a list may have, and seconds after which no further one is asked for."""
SMALL, MANY = 1 << 14, 1 << 10
"""Bytes up to which a blob is kept, and how many: configs are read to be locked and carried."""
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
FAILED_MOUNTS = 3
"""Mounts in a row that may fail otherwise than by a refusal, until none is asked for any more."""
NEXT = re.compile(r'<([^<>]+)>\s*;\s*rel="?next"?')
"""The next page's address in a Link header (RFC 8288)."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """How registries are reached: the site's map of hosts, its CA and its logins."""

    registries: Mapping[str, str]
    ca: Path | None
    authfile: Path | None
    network: Network = field(default_factory=Network)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A manifest or index by its bytes."""

    data: bytes
    media_type: str

    @property
    def digest(self) -> str:
        signed = payload(self.data) if self.media_type == SCHEMA1[0] else self.data
        return "sha256:" + hashlib.sha256(signed).hexdigest()


class Seen:
    """What this process has read of any registry: public ones count each read."""

    def __init__(self) -> None:
        self.manifests: dict[str, Manifest] = {}
        """By digest."""
        self.small_blobs: dict[str, bytes] = {}
        """By URL."""


class Registries:
    """Clients by host, and by what the site maps below one; each made once."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._transport = Transport(access.network.naming(*access.registries.values()), access.ca)
        self._made: dict[str, Registry] = {}
        self._lock = threading.Lock()

    def at(self, name: str) -> Registry:
        """The client for a registry's `host`, or for a repository, `host/path`, of image names."""
        key = mapped_by(name, self._access.registries) or name.partition("/")[0]
        with self._lock:
            if key not in self._made:
                host, _, prefix = key.partition("/")
                self._made[key] = Registry(host, endpoint(key, self._access.registries),
                                           self._access.authfile, self._transport, prefix)
            return self._made[key]


def mapped_by(name: str, registries: Mapping[str, str]) -> str | None:
    """The longest key of the site's map that a host or repository lies below, at a path's border.

    So quay.io/org stands for quay.io/org/tool, and not for quay.io/organisation.
    """
    return max((key for key in registries if name == key or name.startswith(f"{key}/")),
               key=len, default=None)


def endpoint(name: str, registries: Mapping[str, str]) -> str:
    """The URL where a host or repository is asked, by the site's map, else at its own over TLS."""
    key = mapped_by(name, registries)
    if key is not None:
        return registries[key].rstrip("/") + name[len(key):]
    host, slash, path = name.partition("/")
    return f"https://{HUB_ADDRESS if host == DOCKER_HUB else host}{slash}{path}"


def _then_close(chunks: Iterator[bytes], held: ExitStack, limits: Host) -> Iterator[bytes]:
    """Pass bytes on, and give the connection back after the last of them.

    The destination of an upload may answer long after that. Where it is the same host, the upload
    shares this thread's connection, which is kept until both are done.
    """
    yield from chunks
    if limits.held.depth == 1:
        held.close()


class Registry(Endpoint):
    """What is asked of a registry, and sent to it."""

    def __init__(self, host: str, url: str, authfile: Path | None, transport: Transport,
                 prefix: str = "") -> None:
        super().__init__(host, url, authfile, transport, prefix)
        self._uploads = Uploads(self)
        self._heads = Heads(self)
        self._failed_mounts = 0
        self._seen: Seen = transport.shared.once(Seen, Seen)

    def known_manifest(self, digest: str) -> Manifest | None:
        """Return a manifest that this process has read, from whatever registry."""
        return self._seen.manifests.get(digest)

    @contextmanager
    def uploading(self, digest: str) -> Iterator[Holders]:
        """Hold the right to upload this blob to this registry: one at a time for the whole process.

        Two uploads of one new layer make Nexus refuse both (nexus-public#967).
        """
        holders = self.transport.shared.once((Holders, self.origin, digest), Holders)
        with holders.lock:
            yield holders

    def manifest(self, path: str, reference: str) -> Manifest:
        """A manifest or index by tag or digest; RegistryError names the image where there is none.

        Its bytes are held against the digest.
        """
        manifest = self.find_manifest(path, reference)
        if manifest is None:
            raise Missing(f"there is no image {self.name(path, reference)}", host=self.address,
                          where=self.url(path, f"manifests/{reference}"),
                          todo="check the name and the tag in the pipeline, and where "
                               "hosts.registries of the site's config leads")
        return manifest

    def find_manifest(self, path: str, reference: str) -> Manifest | None:
        """The same, or None where there is none."""
        url = self.url(path, f"manifests/{reference}")
        name = self.name(path, reference)
        response, data = self._get(url, self.pull(path), name, LARGEST_MANIFEST)
        if response.status == 404:
            return None
        if web_page.is_page(data):
            raise RegistryError(f"{self.host} answered with a web page instead of the manifest of "
                                f"{name}", where=url, todo=web_page.TODO)
        manifest = Manifest(data=data, media_type=response.headers.get(
            "Content-Type", "").partition(";")[0])
        promised = reference if ":" in reference else response.headers.get("Docker-Content-Digest")
        if promised and promised != manifest.digest:
            raise IntegrityError(f"the manifest of {name} has other bytes than its digest says\n"
                                 f"  promised: {promised}\n  found:    {manifest.digest}",
                                 where=url,
                                 todo="the registry's data are damaged; ask its administrator")
        self._seen.manifests[manifest.digest] = manifest
        return manifest

    def manifest_digest(self, path: str, reference: str) -> str | None:
        """The digest that a tag or digest stands for here, or None where there is none."""
        response = self._heads.ask(self.url(path, f"manifests/{reference}"), self.pull(path),
                                   self.name(path, reference), {"Accept": ACCEPT})
        if response is not None and response.status == 404:
            return None
        digest = "" if response is None else response.headers.get("Docker-Content-Digest", "")
        if DIGEST.fullmatch(digest):
            return digest
        manifest = self.find_manifest(path, reference)
        return manifest.digest if manifest else None

    def tags(self, path: str) -> list[str]:
        """A repository's tags; none where there is no such repository."""
        return self._list(self.url(path, "tags/list"), "tags", self.pull(path), path)

    def repositories(self) -> list[str]:
        """The paths of all repositories; RegistryError where that may not be asked."""
        names = self._list(f"{self.base}/v2/_catalog", "repositories", ("registry:catalog:*",),
                           "its list of repositories")
        below = f"{self._below}/" if self._below else ""
        return [name.removeprefix(below) for name in names if name.startswith(below)]

    def _list(self, url: str, key: str, scopes: tuple[str, ...], name: str) -> list[str]:
        """A list that comes in pages, each linked from the one before."""
        names: list[str] = []
        left, until = LARGEST_LIST, time.monotonic() + LONGEST_LIST
        for _ in range(PAGES):
            response, data = self._get(url, scopes, name, left)
            left -= len(data)
            if response.status == 404:
                return names
            try:
                names += map(str, parsing.from_json(data)[key] or [])
            except (ValueError, KeyError, TypeError):
                kind = "with a web page" if web_page.is_page(data) else "nonsense"
                raise RegistryError(f"{self.host} answered {kind} for {name}",
                                    where=url) from None
            link = NEXT.search(response.headers.get("Link", ""))
            following = joined(url, link[1]) if link else url
            if following == url or origin(following) != origin(url):
                return names
            url = following
            if time.monotonic() > until:
                break
        raise RegistryError(f"{self.host} does not come to an end with {name}: {len(names)} names "
                            "so far", where=self.base)

    def blob_size(self, path: str, digest: str, expected: int | None = None) -> int | None:
        """A blob's size in bytes, or None where the repository doesn't have it.

        Where it seems to be another than is `expected`, it is looked at twice.
        """
        return self._heads.blob_size(path, digest, expected)

    @contextmanager
    def blob(self, path: str, digest: str, size: int) -> Iterator[Iterator[bytes]]:
        """The blob's bytes as they come; they end with IntegrityError where they aren't it.

        Where the connection breaks, they go on from there.
        """
        url = self.url(path, f"blobs/{digest}")
        name = self.name(path, digest)
        small_blobs = self._seen.small_blobs
        if url in small_blobs:
            yield iter((small_blobs[url],))
            return
        with ExitStack() as held:
            limits = held.enter_context(self.limits.slot())
            chunks = held.enter_context(Download(self, url, self.pull(path), name))
            good = _then_close(checked(chunks, digest, size, name, url), held, limits)
            if 0 < size <= SMALL and len(small_blobs) < MANY:
                small_blobs[url] = b"".join(good)
                good = iter((small_blobs[url],))
            yield good

    def mount(self, path: str, digest: str, source: str) -> bool | Started:
        """Make a blob of repository `source` one of `path` too; whether that was done.

        A registry that doesn't mount it may have opened an upload in its place. It may as well
        answer anything else, or not at all: an upload then shows what is the matter. So a mount is
        asked for once, and no more of them where they fail in a way that can cost time.
        """
        if self._failed_mounts >= FAILED_MOUNTS:
            return False
        query = urllib.parse.urlencode({"mount": digest, "from": self.inner(source)})
        url, name = self.url(path, "blobs/uploads/"), self.name(path, digest)
        try:
            response = self.ask("POST", f"{url}?{query}", (*self.push(path), *self.pull(source)),
                                name, {"Content-Length": "0"}, b"", attempts=1)
            if response.status == 202:
                return self._uploads.started(url, name, response)
        except Refused:  # maybe to read the other repository; an upload asks for less
            return False
        except RegistryError:
            self._failed_mounts += 1
            return False
        bounds.dismiss(response)
        self._failed_mounts = self._failed_mounts + 1 if response.status >= 500 else 0
        return response.status == 201

    def upload(self, path: str, digest: str, size: int, source: Opener,
               started: Started | None = None) -> None:
        """Send a blob as it comes from `source`, which is opened anew for each attempt."""
        self._uploads.send(path, digest, size, source,
                           lambda: self.blob_size(path, digest, size) == size, started)

    def try_push(self, path: str) -> None:
        """Begin an upload to a repository and give it up; RegistryError where none may be."""
        self._uploads.begin_and_end(path)

    def put_manifest(self, path: str, reference: str, manifest: Manifest) -> bool:
        """Put a manifest by tag or digest; False where the registry misses one of its blobs."""
        url = self.url(path, f"manifests/{reference}")
        name = self.name(path, reference)
        response = self.ask("PUT", url, self.push(path), name,
                            {"Content-Type": manifest.media_type}, manifest.data)
        if response.status in (200, 201, 202, 204):
            taken_as = response.headers.get("Docker-Content-Digest")
            bounds.dismiss(response)
            if taken_as and taken_as != manifest.digest:
                raise IntegrityError(f"{self.host} took the manifest of {name} as {taken_as}, "
                                     f"but it is {manifest.digest}", where=url)
            return True
        error = self.unexpected(response, name, url)
        if response.status in (400, 404) and "BLOB_UNKNOWN" in str(error):
            return False
        raise error

    def lost_blob(self, path: str, image: str) -> RegistryError:
        """Return the error of a manifest that is refused again, now that its blobs were sent."""
        return RegistryError(f"{self.host} has no place for {image}: it misses a blob that was "
                             "just uploaded", where=path,
                             todo="see the registry's log; its blob store may be damaged")

    def _get(self, url: str, scopes: tuple[str, ...], name: str,
             most: int) -> tuple[urllib3.BaseHTTPResponse, bytes]:
        """An answer of 200 or 404 with its bytes, asked for again where the connection breaks."""
        def ask() -> urllib3.BaseHTTPResponse:
            response = self.ask("GET", url, scopes, name, {"Accept": ACCEPT})
            if response.status not in (200, 404):
                raise self.unexpected(response, name, url)
            return response

        return read_whole(ask, lambda attempt: self.transport.rest(url, attempt), name, most)
