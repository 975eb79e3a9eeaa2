"""HTTP to registries: connections, proxies, TLS, limits per host, retries and redirects."""

from __future__ import annotations

import ipaddress
import threading
import time
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core.errors import RegistryError

if TYPE_CHECKING:
    import ssl

    import urllib3

Body = bytes | Iterable[bytes] | None
CONNECTIONS = 8
"""Requests under way at once to one host, by this whole process."""
ATTEMPTS = 5
LONGEST_WAIT = 60.0
"""Seconds that a server's Retry-After is obeyed for; more is an error that says so."""
RETRIED = (408, 429, 500, 502, 503, 504)
REDIRECTS = 5
TIMEOUT = 60.0


class Broken(RegistryError):
    """A connection that failed or ended early: worth another attempt."""


class _Host:
    """What this process owes to one host: few connections, and a rest when it asks for one."""

    def __init__(self) -> None:
        self.slots = threading.BoundedSemaphore(CONNECTIONS)
        self.rest_until = 0.0
        self.held = threading.local()


_hosts: dict[str, _Host] = {}
_hosts_lock = threading.Lock()


def _host(address: str) -> _Host:
    with _hosts_lock:
        return _hosts.setdefault(address, _Host())


@contextmanager
def slot(address: str) -> Iterator[None]:
    """One of the host's connections; a thread that has one already shares it with itself."""
    host = _host(address)
    depth = getattr(host.held, "depth", 0)
    if depth == 0:
        host.slots.acquire()
    host.held.depth = depth + 1
    try:
        yield
    finally:
        host.held.depth = depth
        if depth == 0:
            host.slots.release()


class Transport:
    """Sends requests, each of them again where that can help."""

    def __init__(self, ca: Path | None) -> None:
        self._context = _context(ca)
        self._ca = ca
        self._pools: dict[str | None, urllib3.PoolManager] = {}
        self._lock = threading.Lock()

    def send(self, method: str, url: str, headers: Mapping[str, str], body: Body = None, *,
             attempts: int = ATTEMPTS) -> urllib3.BaseHTTPResponse:
        """The answer to a request, whatever its status; its body is not read yet.

        A failed connection and the statuses in RETRIED are tried again, after Retry-After or a
        growing pause with jitter. Redirects of GET and HEAD are followed, without Authorization
        to another origin. Raises RegistryError at last.
        """
        for attempt in range(1, attempts + 1):
            last = attempt == attempts
            try:
                response = self._follow(method, url, headers, body)
            except Broken:
                if last:
                    raise
                pause = None
            else:
                if response.status not in RETRIED or last:
                    return response
                pause = _retry_after(response, url)
                response.drain_conn()
                response.release_conn()
            self.rest(url, pause if pause is not None else backoff(attempt))
        raise AssertionError("unreachable")

    def _follow(self, method: str, url: str, headers: Mapping[str, str],
                body: Body) -> urllib3.BaseHTTPResponse:
        for _ in range(REDIRECTS):
            response = self._once(method, url, headers, body)
            if method not in ("GET", "HEAD") or response.status not in (301, 302, 303, 307, 308):
                return response
            target = urllib.parse.urljoin(url, response.headers.get("Location", ""))
            response.drain_conn()
            response.release_conn()
            if url.startswith("https:") and not target.startswith("https:"):
                raise RegistryError("the registry redirects from TLS to a plain connection",
                                    where=_shown(url), todo="mend the registry's external address")
            if origin(target) != origin(url):
                headers = {name: value for name, value in headers.items()
                           if name.lower() != "authorization"}
            url = target
        raise RegistryError("the registry redirects without end", where=_shown(url))

    def _once(self, method: str, url: str, headers: Mapping[str, str],
              body: Body) -> urllib3.BaseHTTPResponse:
        import urllib3
        address = urllib.parse.urlsplit(url).netloc
        with slot(address):
            wait = _host(address).rest_until - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            try:
                return self._pool(url).request(
                    method, url, body=body, headers=dict(headers), redirect=False, retries=False,
                    preload_content=False, decode_content=False,
                    timeout=urllib3.Timeout(connect=10.0, read=TIMEOUT))
            except urllib3.exceptions.SSLError as error:
                raise self._untrusted(address, error) from None
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise Broken(f"no answer from {address}: {_reason(error)}", where=_shown(url),
                             todo="check that the host is up and reachable from here, and "
                                  "HTTPS_PROXY and NO_PROXY") from None

    def _untrusted(self, address: str, error: Exception) -> RegistryError:
        if "CERTIFICATE_VERIFY_FAILED" not in str(error):
            return Broken(f"TLS with {address} failed: {_reason(error)}", where=address,
                          todo="check that this address speaks TLS")
        detail = str(error).partition("certificate verify failed: ")[2].partition(" (_ssl")[0]
        return RegistryError(
            f"the certificate of {address} is not trusted: {detail}",
            where=f"registry.ca: {self._ca or 'not set'}",
            todo="set registry.ca (AIRLOCK_REGISTRY_CA) to the certificate (PEM) of the CA that "
                 "signed it; verification is never switched off")

    @staticmethod
    def rest(url: str, seconds: float) -> None:
        """Let the host alone for a while: every thread of this process."""
        host = _host(urllib.parse.urlsplit(url).netloc)
        host.rest_until = max(host.rest_until, time.monotonic() + seconds)

    def _pool(self, url: str) -> urllib3.PoolManager:
        import urllib3
        proxy = proxy_for(url)
        with self._lock:
            if proxy not in self._pools:
                if proxy is None:
                    self._pools[proxy] = urllib3.PoolManager(
                        ssl_context=self._context, maxsize=CONNECTIONS)
                else:
                    login = urllib3.util.parse_url(proxy).auth
                    headers = urllib3.make_headers(
                        proxy_basic_auth=urllib.parse.unquote(login)) if login else None
                    self._pools[proxy] = urllib3.ProxyManager(
                        proxy, proxy_headers=headers, ssl_context=self._context,
                        maxsize=CONNECTIONS)
            return self._pools[proxy]


def backoff(attempt: int) -> float:
    """Seconds to wait after an attempt that failed, with jitter so that threads spread."""
    import random
    return float(min(LONGEST_WAIT, 0.25 * 2 ** attempt) * random.uniform(0.5, 1.0))  # noqa: S311


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a URL."""
    parts = urllib.parse.urlsplit(url)
    port = parts.port or {"https": 443}.get(parts.scheme, 80)
    return parts.scheme, (parts.hostname or "").lower(), port


def proxy_for(url: str) -> str | None:
    """The proxy by HTTP_PROXY, HTTPS_PROXY and NO_PROXY; loopback is never asked through one."""
    import urllib.request
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    proxies = urllib.request.getproxies_environment()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if loopback or not proxy or urllib.request.proxy_bypass_environment(  # type: ignore[attr-defined]
            parts.netloc, proxies):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _context(ca: Path | None) -> ssl.SSLContext:
    """The system's CAs, and `ca` beside them."""
    import ssl
    context = ssl.create_default_context()
    if ca is not None:
        try:
            context.load_verify_locations(ca)
        except (OSError, ssl.SSLError) as error:
            what = "is missing" if isinstance(error, FileNotFoundError) else "is no PEM certificate"
            raise RegistryError(f"the registry's CA file {what}", where=ca,
                                todo="set registry.ca (AIRLOCK_REGISTRY_CA) to the CA's "
                                     "certificate in PEM form") from None
    return context


def _retry_after(response: urllib3.BaseHTTPResponse, url: str) -> float | None:
    """Seconds by the Retry-After header, a number or a date (RFC 9110, 10.2.3)."""
    from email.utils import parsedate_to_datetime
    told = response.headers.get("Retry-After", "")
    if told.isdecimal():
        seconds = float(told)
    else:
        try:
            seconds = parsedate_to_datetime(told).timestamp() - time.time()
        except (TypeError, ValueError):
            return None
    if seconds > LONGEST_WAIT:
        raise RegistryError(f"the registry asks to wait {seconds:.0f} seconds (its rate limit)",
                            where=_shown(url), todo="run the same command again after that time; "
                            "what was moved is kept. A login often has a higher limit")
    return max(0.0, seconds)


def _shown(url: str) -> str:
    """A URL without user and query, which can hold secrets."""
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _reason(error: Exception) -> str:
    """The innermost cause in words, without addresses of objects or URLs."""
    while getattr(error, "reason", None) is not None and isinstance(error.reason, Exception):  # type: ignore[attr-defined]
        error = error.reason  # type: ignore[attr-defined]
    for cause in (error.__cause__, error.__context__):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return type(error).__name__
