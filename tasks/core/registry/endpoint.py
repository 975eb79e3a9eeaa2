"""Where one registry is asked: its addresses, what lets us in, and what its refusals mean."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core.errors import RegistryError, SourceError, plain
from tasks.core.net import bounds, redirects, urls, web_page
from tasks.core.net.pace import Host
from tasks.core.net.request import ATTEMPTS, Body, Transport, says_full
from tasks.core.registry.auth import Authenticator

if TYPE_CHECKING:
    import urllib3


SAID = 2000
"""Bytes that are read of a refusal."""
MAX_WORDS = 300
"""Characters of it that are shown."""
TOO_LARGE = 413


class Missing(RegistryError):
    """A registry that answers 404 for an image or blob; `host` is its address."""

    def __init__(self, what: str, *, host: str, where: object = None,
                 todo: str | None = None) -> None:
        self.host = host
        super().__init__(what, where=where, todo=todo)


class Full(RegistryError):
    """A registry without room, or one that lets this user have no more of it."""


class Endpoint:
    """Requests to one registry; `path` is always a repository's path, without the host.

    `url` is where the host is asked, or all that stands below `prefix` there.
    """

    def __init__(self, host: str, url: str, authfile: Path | None, transport: Transport,
                 prefix: str = "") -> None:
        self.host, self._prefix = host, prefix
        parts = urllib.parse.urlsplit(url)
        self.base = f"{parts.scheme}://{parts.netloc}"
        self.origin = redirects.origin(self.base)
        self.transport = transport
        self._below = parts.path.strip("/")
        self._auth = Authenticator(self.base, authfile, transport)

    @property
    def limits(self) -> Host:
        """How many connections to this registry there may be, and the pace of its requests."""
        return self.transport.limits(self.base)

    @property
    def address(self) -> str:
        """host[:port], as it is asked; an image's name may have another host."""
        return urls.address(self.base)

    def ask(self, method: str, url: str, scopes: tuple[str, ...], name: str,
            headers: Mapping[str, str] | None = None, body: Body = None, *,
            attempts: int = ATTEMPTS) -> urllib3.BaseHTTPResponse:
        """A request with what it takes to be let in; 403, and 401 in spite of that, are errors.

        Redirects that keep method and body are followed, but for a body that comes as a stream:
        whoever sends it has it once more.
        """
        once = not (body is None or isinstance(body, bytes))
        for _ in range(3):
            permit = self._auth.header(scopes) if self.is_own(url) else {}
            response = self._send(method, url, {**(headers or {}), **permit}, body,
                                  attempts=1 if once else attempts)
            words = _words(response) if response.status == 403 and method != "HEAD" else ""
            if method == "HEAD" or response.status in (401, 403):
                bounds.dismiss(response)
            if response.status in (401, 403) and not self.is_own(response.url or url):
                raise self._refused_elsewhere(name, response)
            if says_full(response.status, words):
                raise self._full(response.status, words, name, url)
            if response.status == 403:
                raise self._auth.refused(name, words)
            if response.status != 401:
                self._auth.let_in(permit)
                return response
            if not self._auth.learn(response.headers.getlist("WWW-Authenticate"), scopes,
                                    permit.get("Authorization")):
                break
            if once:
                return response
        raise self._auth.refused(name)

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: Body, *,
              attempts: int) -> urllib3.BaseHTTPResponse:
        def send(at: str, left: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
            return self.transport.send(method, at, left, body, attempts=attempts)

        if body is None or isinstance(body, bytes):
            return redirects.follow(url, headers, send, redirects.KEEPING)
        return send(url, headers)

    def is_own(self, url: str) -> bool:
        """Whether a URL is of this registry's origin, so that it may see the login.

        So is the same host over TLS, where the registry is asked without.
        """
        (scheme, *place), (own_scheme, *own) = redirects.origin(url), self.origin
        if (scheme, own_scheme) == ("https", "http"):
            return place == own or (place[0] == own[0] and (place[1], own[1]) == (443, 80))
        return (scheme, place) == (own_scheme, own)

    def _refused_elsewhere(self, name: str, response: urllib3.BaseHTTPResponse) -> RegistryError:
        """The error for an address that a registry sends us on to, and that wants a login."""
        at = urls.shown(response.url or "")
        return RegistryError(f"{self.host} sends {name} on to another address, which answers "
                             f"{response.status}; it gets no login, which is the registry's own",
                             where=at, todo="name that address as the registry's, or have the "
                             "registry's administrator look at its redirects")

    def ping(self) -> None:
        """Ask the registry whether it is one, and lets us in."""
        response = self.ask("GET", f"{self.base}/v2/", (), "the API")
        if response.status != 200:
            raise self.unexpected(response, "the API", f"{self.base}/v2/")
        begins = _begins(response, web_page.LOOKED_AT)
        bounds.dismiss(response)
        if web_page.is_page(begins):
            raise RegistryError(f"{self.host} answered with a web page, as no registry does",
                                where=f"{self.base}/v2/", todo=web_page.TODO)

    def unexpected(self, response: urllib3.BaseHTTPResponse, name: str, url: str) -> RegistryError:
        """An error with the registry's own words."""
        words = _words(response) if response.status >= 400 else ""
        response.close()
        if says_full(response.status, words):
            return self._full(response.status, words, name, url)
        if response.status == TOO_LARGE:
            return RegistryError(f"{self.host} takes nothing of the size of {name} (413): "
                                 f"{words}".rstrip(": "), where=(response.url or url),
                                 todo="have the limit of what stands before it raised (nginx: "
                                      "client_max_body_size 0), or its own")
        if 300 <= response.status < 400:
            words = "it points to " + urls.redact(response.headers.get("Location", "nowhere"))[:300]
        return RegistryError(f"{self.host} answered {response.status} for {name}"
                             + (f": {words}" if words else ""),
                             where=(response.url or url).partition("?")[0],
                             todo="see the registry's log; if it was busy, run the same command "
                                  "again: what was moved is kept")

    def _full(self, status: int, words: str, name: str, url: str) -> Full:
        return Full(f"{self.host} is full, or its quota is used up: it answered {status} for "
                    f"{name}" + (f": {words}" if words else ""), where=url.partition("?")[0],
                    todo="free space there, or have the quota raised (in Nexus: the blob store's "
                         "disk and its soft quota, cleanup policies, then compact the blob store);"
                         " what was moved is kept, and the same command goes on from here")

    def location(self, start: str, response: urllib3.BaseHTTPResponse) -> str:
        """The address of an upload, which may be relative; `start` where the response has none.

        It must be the registry's own, or of the origin that a redirect led to.
        """
        at = response.url or start
        location = urls.without_login(
            redirects.joined(at, response.headers.get("Location", "")))[0]
        bounds.dismiss(response)
        if not self.is_own(location) and redirects.origin(location) != redirects.origin(at):
            shown = urllib.parse.urlsplit(urls.shown(location))
            raise RegistryError(f"{self.host} wants uploads at {shown.scheme}://{shown.netloc}",
                                where=self.base, todo="set the registry's external address (in "
                                "Nexus: base URL and the proxy's X-Forwarded headers)")
        return location

    def inner(self, path: str) -> str:
        """The repository's path at this address, below the endpoint's own."""
        rest = path.removeprefix(self._prefix).lstrip("/")
        return "/".join(filter(None, (self._below, rest)))

    def url(self, path: str, rest: str) -> str:
        """The URL of something in a repository."""
        return f"{self.base}/v2/{self.inner(path)}/{rest}"

    def name(self, path: str, reference: str) -> str:
        """What an image or blob is called in messages."""
        return f"{self.host}/{path}{'@' if ':' in reference else ':'}{reference}"

    def pull(self, path: str) -> tuple[str, ...]:
        """The scope of a token to read a repository."""
        return (f"repository:{self.inner(path)}:pull",)

    def push(self, path: str) -> tuple[str, ...]:
        """The scope of a token to write into a repository."""
        return (f"repository:{self.inner(path)}:pull,push",)


def _words(response: urllib3.BaseHTTPResponse) -> str:
    """What a refusal says, in one line."""
    return plain(" ".join(_begins(response, SAID).decode(errors="replace").split()))[:MAX_WORDS]


def _begins(response: urllib3.BaseHTTPResponse, most: int) -> bytes:
    """The first bytes of a body; none where it breaks off, or is no body at all."""
    import urllib3
    try:
        return response.read(most)
    except (urllib3.exceptions.HTTPError, OSError, SourceError):
        return b""
