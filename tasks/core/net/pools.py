"""Connections: through the proxies of the environment, under TLS that is always verified.

Only addresses that were judged are connected to, and answers are bounded.
"""

from __future__ import annotations

import ipaddress
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tasks.core.net import bounds
from tasks.core.net.inner_addresses import Inside
from tasks.core.net.pace import MOST_CONNECTIONS
from tasks.core.net.urls import without_login

if TYPE_CHECKING:
    import ssl

    import urllib3


CONNECT_TIMEOUT, TIMEOUT = 15.0, 60.0
"""Seconds to connect, and without a byte until a connection counts as broken."""


class Pools:
    """Connections that are kept for further requests, by proxy and host; so many of each host.

    Without `inside` no address is judged: the site's configuration names it.
    """

    def __init__(self, inside: Inside | None, context: ssl.SSLContext, *,
                 connections: int = MOST_CONNECTIONS) -> None:
        self._inside, self._context, self._connections = inside, context, connections
        self._managers: dict[str | None, urllib3.PoolManager] = {}
        self._by_address: dict[str, urllib3.PoolManager] = {}
        self._lock = threading.Lock()

    def at(self, url: str) -> urllib3.PoolManager:
        """Return the connections for a URL; the environment is asked once for each host."""
        address = "/".join(url.split("/", 3)[:3])
        if address not in self._by_address:
            proxy = proxy_for(url)
            if proxy is not None and self._inside is not None:
                self._inside.judge(address)
            with self._lock:
                if proxy not in self._managers:
                    self._managers[proxy] = self._manager(proxy)
                self._by_address[address] = self._managers[proxy]
        return self._by_address[address]

    def _manager(self, proxy: str | None) -> urllib3.PoolManager:
        import urllib3
        options: dict[str, Any] = {
            "ssl_context": self._context, "maxsize": self._connections,
            "timeout": urllib3.Timeout(connect=min(CONNECT_TIMEOUT, TIMEOUT), read=TIMEOUT)}
        if proxy is None:
            manager = urllib3.PoolManager(**options)
            manager.pool_classes_by_scheme = bounds.pools(self._inside)
            return manager
        address, login = without_login(proxy)
        through = urllib3.ProxyManager(
            address, proxy_headers=urllib3.make_headers(proxy_basic_auth=login) if login else None,
            **options)
        through.pool_classes_by_scheme = bounds.pools(None)
        return through


def proxy_for(url: str) -> str | None:
    """The proxy by HTTP_PROXY, HTTPS_PROXY and NO_PROXY; loopback is never asked through one."""
    import urllib.request
    parts = urlsplit(url)
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
