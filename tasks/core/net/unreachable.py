"""Hosts that can't be reached: said at once, with the way that was tried.

A host that has answered before may be gone for a moment, and is asked again. One that never did is
most often behind a proxy that nobody named, or there is no way to the internet at all: trying again
would only take time.
"""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from tasks.core.errors import NetError
from tasks.core.net import urls
from tasks.core.net.pools import proxy_for


class Unreachable(NetError):
    """No connection to a host that hasn't answered this process yet; not tried again."""


def unreachable(url: str, why: str) -> Unreachable:
    """The error that names the host, and the proxy by which it was asked, if any.

    It is the same for all that is asked of one host, so that it is shown once.
    """
    address = urls.address(url)
    return Unreachable(
        f"no answer from {address}: {why}", where=f"{urlsplit(url).scheme}://{address}",
        todo=f"see that it is up, and reachable from here: {_way(url)}. Where another server has "
             "the same, map it in hosts of the site's config (registries, urls)")


def has_no_connection(error: BaseException) -> bool:
    """Whether an error of urllib3, or of a socket, says that there never was a connection.

    A proxy that answers, but makes no tunnel to the host, gave none either.
    """
    from urllib3 import exceptions
    if isinstance(error, exceptions.ProxyError):
        cause = error.original_error
        return has_no_connection(cause) or "Tunnel connection failed" in str(cause)
    return isinstance(error, exceptions.NewConnectionError | exceptions.ConnectTimeoutError
                      | socket.gaierror | ConnectionRefusedError)


def _way(url: str) -> str:
    """How the URL's host is asked; git, Maven and ssh may be set up otherwise."""
    variable = f"{urlsplit(url).scheme.upper()}_PROXY"
    proxy = proxy_for(url)
    if proxy is None:
        return f"it is asked without a proxy, by {variable}, ALL_PROXY and NO_PROXY"
    return f"it is asked through the proxy {urls.shown(proxy)}, by {variable} or ALL_PROXY"
