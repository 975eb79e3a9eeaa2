"""Redirects, and what goes along: never from TLS to plain, never a login to another host."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from tasks.core.errors import NetError
from tasks.core.net import bounds, urls

if TYPE_CHECKING:
    import urllib3

MAX_REDIRECTS = 10
STATUSES = (301, 302, 303, 307, 308)
KEEPING = (307, 308)
"""Redirects that keep a request's method and body (RFC 9110, 15.4)."""


def follow(url: str, headers: Mapping[str, str],
           send: Callable[[str, Mapping[str, str]], urllib3.BaseHTTPResponse],
           statuses: Collection[int] = STATUSES) -> urllib3.BaseHTTPResponse:
    """Return the response where redirects end: those of a GET or HEAD, or those of `statuses`.

    An Authorization that was left behind at another origin doesn't come back, wherever the next
    redirect leads. Raises NetError.
    """
    at = url
    for _ in range(MAX_REDIRECTS):
        response = send(at, headers)
        target = pointed_to(at, response, statuses)
        if target is None:
            return response
        bounds.dismiss(response)
        if origin(target) != origin(at):
            headers = {name: value for name, value in headers.items()
                       if name.lower() != "authorization"}
        at = target
    raise NetError(f"more than {MAX_REDIRECTS} redirects", where=urls.shown(url))


def pointed_to(at: str, response: urllib3.BaseHTTPResponse,
               statuses: Collection[int]) -> str | None:
    """Return where a redirect from `at` leads; None if it is none. NetError for TLS to plain."""
    location = response.headers.get("Location", "")
    if response.status not in statuses or not location:
        return None
    target = urls.without_login(joined(at, location))[0]
    before, after = urlsplit(at).scheme, urlsplit(target).scheme
    if after not in ("http", "https") or (before, after) == ("https", "http"):
        raise NetError(f"the server redirects from {before} to {after or 'nowhere'}, which is "
                       f"refused: {urls.shown(target)}", where=urls.shown(at),
                       todo="if it is yours, mend its external address")
    return target


def joined(url: str, location: str) -> str:
    """Where a server points to from `url`; NetError where that is no address."""
    try:
        target = urljoin(url, location)
        origin(target)
    except ValueError as error:  # such as an open bracket in the host, or no number for a port
        raise NetError("the server points to what is no URL", where=urls.shown(url),
                       todo="if it is yours, mend its external address") from error
    return target


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a URL, however they are spelled (RFC 6454, RFC 5952)."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443}.get(parts.scheme, 80)
    host = (parts.hostname or "").lower()
    if ":" in host:
        host = str(ipaddress.ip_address(host.partition("%")[0]))
    return parts.scheme, host, port
