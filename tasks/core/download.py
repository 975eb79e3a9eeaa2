"""Downloads: hashed as they stream, resumed when they break off, polite to each host."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from tasks.core import files, urls
from tasks.core.errors import SourceError

if TYPE_CHECKING:
    import urllib3

PER_HOST = 8
ATTEMPTS = 5
REDIRECTS = 10
LONGEST_WAIT = 60.0
PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Statuses after which the same request may succeed (RFC 9110, RFC 6585, RFC 8470)."""

_slots: defaultdict[str, threading.BoundedSemaphore] = defaultdict(
    lambda: threading.BoundedSemaphore(PER_HOST))
_slots_lock = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A file that was fetched: its SHA-256 (64 hexadecimal digits) and its size in bytes."""

    sha256: str
    size: int


class _Passing(Exception):
    """A fault that may be gone at the next attempt; `wait` is what the server asked for."""

    def __init__(self, what: str, wait: float | None = None) -> None:
        self.wait = wait
        super().__init__(what)


class _Body:
    """What has arrived so far."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.validator: str | None = None
        self.restart(None)

    def restart(self, validator: str | None) -> None:
        """Forget what has arrived: the server starts from the first byte."""
        self.stream.seek(0)
        self.stream.truncate()
        self.digest, self.size, self.validator = hashlib.sha256(), 0, validator

    def add(self, block: bytes) -> None:
        self.stream.write(block)
        self.digest.update(block)
        self.size += len(block)


def fetch(url: str, target: Path) -> Fetched:
    """Write what lies at `url` (http, https; file for a site's own map) to the file `target`.

    Proxies come from the usual variables, CAs from the system. A broken transfer goes on from
    where it broke, if the server can say that the content is the same (RFC 9110, If-Range).
    Raises SourceError, whose text holds no secret of the URL.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as stream:
        body = _Body(stream)
        if urlsplit(url).scheme == "file":
            _copy(url, body)
        else:
            _fetch(url, body)
    return Fetched(sha256=body.digest.hexdigest(), size=body.size)


def _copy(url: str, body: _Body) -> None:
    path = Path(unquote(urlsplit(url).path))
    if not path.is_file():
        raise SourceError("there is no such file", where=url)
    with path.open("rb") as reader:
        while block := reader.read(files.CHUNK):
            body.add(block)


def _fetch(url: str, body: _Body) -> None:
    with _slots_lock:
        slot = _slots[urlsplit(url).netloc.rpartition("@")[2]]
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with slot:
                _receive(url, body)
            return
        except _Passing as fault:
            if attempt == ATTEMPTS:
                raise SourceError(f"{fault} ({ATTEMPTS} attempts)", where=urls.redact(url),
                                  todo="look at the network, HTTPS_PROXY and NO_PROXY, and "
                                       "hosts.urls in the site's config") from fault
            time.sleep(min(LONGEST_WAIT, fault.wait or 0.25 * 2 ** attempt))


def _receive(url: str, body: _Body) -> None:
    from urllib3.exceptions import HTTPError, SSLError
    headers = {"Accept-Encoding": "identity"}
    if body.size and body.validator:
        headers |= {"Range": f"bytes={body.size}-", "If-Range": body.validator}
    try:
        response = _follow(url, headers)
        try:
            _begin(response, body, url)
            for block in response.stream(files.CHUNK, decode_content=False):
                body.add(block)
        finally:
            response.close()
    except SSLError as error:
        raise SourceError(f"TLS: {error}", where=urls.redact(url),
                          todo="a private CA goes into the system's store, or into "
                               "SSL_CERT_FILE") from error
    except HTTPError as error:
        raise _Passing(_says(error)) from error


def _begin(response: urllib3.BaseHTTPResponse, body: _Body, url: str) -> None:
    """Judge the answer's head: go on, start anew, try again, or give up."""
    if response.status == 206:
        if response.headers.get("Content-Range", "").startswith(f"bytes {body.size}-"):
            return
        body.restart(None)
        raise _Passing("the server sent another part than was asked for")
    if response.status == 416:
        body.restart(None)
        raise _Passing("the file became shorter meanwhile")
    said = f"{response.status} {response.reason or ''}".rstrip()
    if response.status in PASSING:
        wait = response.headers.get("Retry-After", "")
        raise _Passing(said, float(wait) if wait.isdecimal() else None)
    if response.status != 200:
        raise SourceError(said, where=urls.redact(url))
    tag = response.headers.get("ETag", "")
    strong = tag if tag and not tag.startswith("W/") else None
    body.restart(strong or response.headers.get("Last-Modified"))


def _follow(url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
    """GET, through redirects: never from TLS to plain, never to a file, no login elsewhere."""
    from urllib3.util import make_headers
    origin, login = _without_login(url)
    at = origin
    for _ in range(REDIRECTS):
        same = urlsplit(at)[:2] == urlsplit(origin)[:2]
        more = make_headers(basic_auth=login) if login and same else {}
        response: urllib3.BaseHTTPResponse = _pool(_proxy(at)).request(
            "GET", at, headers={**headers, **more}, redirect=False, retries=False,
            preload_content=False)
        location = response.get_redirect_location()
        if not location:
            return response
        response.close()
        before, at = at, _without_login(urljoin(at, location))[0]
        step = (urlsplit(before).scheme, urlsplit(at).scheme)
        if step[1] not in ("http", "https") or step == ("https", "http"):
            raise SourceError(f"the server redirects from {step[0]} to {step[1] or 'nowhere'}, "
                              "which is refused", where=urls.redact(url))
    raise SourceError(f"more than {REDIRECTS} redirects", where=urls.redact(url))


def _without_login(url: str) -> tuple[str, str | None]:
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=host, fragment="")), unquote(login) or None


def _proxy(url: str) -> str | None:
    parts = urlsplit(url)
    host = parts.hostname or ""
    # Programs on this machine are never behind a proxy.
    if host == "localhost" or host.startswith("127.") or host == "::1":
        return None
    import urllib.request
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


@lru_cache
def _pool(proxy: str | None) -> urllib3.PoolManager:
    import ssl

    import urllib3
    options: dict[str, Any] = {
        "maxsize": PER_HOST, "timeout": urllib3.Timeout(connect=15, read=60),
        "ssl_context": ssl.create_default_context()}
    if proxy is None:
        return urllib3.PoolManager(**options)
    address, login = _without_login(proxy)
    return urllib3.ProxyManager(
        address, proxy_headers=urllib3.make_headers(proxy_basic_auth=login) if login else None,
        **options)


def _says(error: Exception) -> str:
    """What happened, without the address, which may hold secrets."""
    from urllib3 import exceptions
    kinds: list[tuple[type[Exception], str]] = [
        (exceptions.NameResolutionError, "the host's name is not known"),
        (exceptions.ProxyError, "the proxy does not answer as it should"),
        (exceptions.NewConnectionError, "the host does not take connections"),
        (exceptions.TimeoutError, "no answer in time"),
        (exceptions.ProtocolError, "the connection broke off"),
    ]
    return next((text for kind, text in kinds if isinstance(error, kind)), type(error).__name__)
