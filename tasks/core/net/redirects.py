"""Redirects, and what goes along: never from TLS to plain, never a login to another host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from tasks.core.errors import NetError
from tasks.core.net import bounds, urls

if TYPE_CHECKING:
    import urllib3

MAX_REDIRECTS = 10
STATUSES = (301, 302, 303, 307, 308)


def follow(url: str, headers: Mapping[str, str],
           send: Callable[[str, Mapping[str, str]], urllib3.BaseHTTPResponse],
           ) -> urllib3.BaseHTTPResponse:
    """Return the response where the redirects of a GET or HEAD end.

    An Authorization that was left behind at another origin doesn't come back, wherever the next
    redirect leads. Raises NetError.
    """
    at = url
    for _ in range(MAX_REDIRECTS):
        response = send(at, headers)
        location = response.headers.get("Location", "")
        if response.status not in STATUSES or not location:
            return response
        target = urls.without_login(joined(at, location))[0]
        bounds.dismiss(response)
        before, after = urlsplit(at).scheme, urlsplit(target).scheme
        if after not in ("http", "https") or (before, after) == ("https", "http"):
            raise NetError(f"the server redirects from {before} to {after or 'nowhere'}, which is "
                           "refused", where=urls.shown(url),
                           todo="if it is yours, mend its external address")
        if origin(target) != origin(at):
            headers = {name: value for name, value in headers.items()
                       if name.lower() != "authorization"}
        at = target
    raise NetError(f"more than {MAX_REDIRECTS} redirects", where=urls.shown(url))


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
    """Scheme, host and port of a URL."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443}.get(parts.scheme, 80)
    return parts.scheme, (parts.hostname or "").lower(), port
