"""HTTP to registries: connections, proxies, TLS, retries and redirects, within hosts' limits."""

from __future__ import annotations

import ipaddress
import threading
import time
import urllib.parse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core.errors import RegistryError, SourceError
from tasks.core.net import bounds
from tasks.core.net.inside import Inside
from tasks.core.net.pace import MOST_CONNECTIONS, backoff, host, pause, slot

if TYPE_CHECKING:
    import ssl

    import urllib3

Body = bytes | Iterable[bytes] | None
ATTEMPTS = 5
"""How often a request is sent; twice that for 429, which says that it will be answered."""
RETRIED = (408, 429, 500, 502, 503, 504)
REDIRECTS = 5
LONGEST = 600.0
"""Seconds after whose end a request isn't sent again, whatever its server asks for."""
TIMEOUT = 60.0
"""Seconds without a byte until a connection counts as broken."""


class Broken(RegistryError):
    """A connection that failed or ended early: worth another attempt."""


class Transport:
    """Sends requests, each of them again where that can help."""

    def __init__(self, ca: Path | None, hosts: Inside) -> None:
        self._context = _context(ca)
        self._ca, self._hosts = ca, hosts
        self._pools: dict[str | None, urllib3.PoolManager] = {}
        self._ways: dict[str, urllib3.PoolManager] = {}
        self._lock = threading.Lock()

    def send(self, method: str, url: str, headers: Mapping[str, str], body: Body = None, *,
             attempts: int = ATTEMPTS) -> urllib3.BaseHTTPResponse:
        """The answer to a request, whatever its status; its body is not read yet.

        A failed connection and the statuses in RETRIED are tried again, after Retry-After or a
        growing pause with jitter. Redirects of GET and HEAD are followed, without Authorization
        to another origin. Raises RegistryError at last.
        """
        attempt, until = 0, time.monotonic() + LONGEST
        while True:
            attempt += 1
            asked: float | None = None
            try:
                response = self._follow(method, url, headers, body)
            except Broken:
                if attempt >= attempts or time.monotonic() > until:
                    raise
            else:
                most = 2 * attempts if response.status == 429 and attempts > 1 else attempts
                if (response.status not in RETRIED or attempt >= most
                        or time.monotonic() > until):
                    return response
                asked = pause(response.headers, _shown(url))
                bounds.dismiss(response)
            self.rest(url, attempt, asked)

    def _follow(self, method: str, url: str, headers: Mapping[str, str],
                body: Body) -> urllib3.BaseHTTPResponse:
        for _ in range(REDIRECTS):
            response = self._once(method, url, headers, body)
            if method not in ("GET", "HEAD") or response.status not in (301, 302, 303, 307, 308):
                return response
            target = joined(url, response.headers.get("Location", ""))
            bounds.dismiss(response)
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
        with slot(address) as limits:
            limits.wait()
            begun = time.monotonic()
            try:
                response = self._pool(url).request(
                    method, url, body=body, headers=dict(headers), redirect=False, retries=False,
                    preload_content=False, decode_content=False,
                    timeout=urllib3.Timeout(connect=min(10.0, TIMEOUT), read=TIMEOUT))
            except SourceError as error:
                raise RegistryError(error.what, where=_shown(url), todo=error.todo) from None
            except urllib3.exceptions.SSLError as error:
                raise self._untrusted(address, error) from None
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise Broken(f"no answer from {address}: {_reason(error)}", where=_shown(url),
                             todo="check that the host is up and reachable from here, and "
                                  "HTTPS_PROXY and NO_PROXY") from None
            limits.learn(response.status, response.headers)
            if body is None or isinstance(body, bytes):
                limits.connections.answered(time.monotonic() - begun)
            return response

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
    def rest(url: str, attempt: int, seconds: float | None = None) -> None:
        """Let the host alone after a failed attempt: as long as it asked for, or a growing time."""
        host(urllib.parse.urlsplit(url).netloc).rest(
            backoff(attempt) if seconds is None else seconds)

    def _pool(self, url: str) -> urllib3.PoolManager:
        """The connections for a URL; the environment is asked once for each host."""
        way = "/".join(url.split("/", 3)[:3])
        if way not in self._ways:
            proxy = proxy_for(url)
            if proxy is not None:
                self._hosts.judge(way)
            self._ways[way] = self._through(proxy)
        return self._ways[way]

    def _through(self, proxy: str | None) -> urllib3.PoolManager:
        import urllib3
        with self._lock:
            if proxy not in self._pools:
                if proxy is None:
                    manager = urllib3.PoolManager(
                        ssl_context=self._context, maxsize=MOST_CONNECTIONS)
                else:
                    login = urllib3.util.parse_url(proxy).auth
                    headers = urllib3.make_headers(
                        proxy_basic_auth=urllib.parse.unquote(login)) if login else None
                    manager = urllib3.ProxyManager(
                        proxy, proxy_headers=headers, ssl_context=self._context,
                        maxsize=MOST_CONNECTIONS)
                manager.pool_classes_by_scheme = bounds.pools(
                    self._hosts if proxy is None else None)
                self._pools[proxy] = manager
            return self._pools[proxy]


def joined(url: str, location: str) -> str:
    """Where a registry points to from `url`; RegistryError where that is no address."""
    try:
        target = urllib.parse.urljoin(url, location)
        origin(target)
    except ValueError as error:  # such as an open bracket in the host, or no number for a port
        raise RegistryError("the registry points to what is no URL", where=_shown(url),
                            todo="mend the registry's external address") from error
    return target


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
