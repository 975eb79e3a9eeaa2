"""Where one registry is asked: its addresses, what lets us in, and what its refusals mean."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core.errors import RegistryError, SourceError
from tasks.core.net import bounds, web_page
from tasks.core.net.pace import Host
from tasks.core.net.redirects import joined
from tasks.core.net.request import ATTEMPTS, Body, Transport
from tasks.core.registry.auth import Authenticator

if TYPE_CHECKING:
    import urllib3


class Endpoint:
    """Requests to one registry; `path` is always a repository's path, without the host.

    `url` is where the host is asked, or all that stands below `prefix` there.
    """

    def __init__(self, host: str, url: str, authfile: Path | None, transport: Transport,
                 prefix: str = "") -> None:
        self.host, self._prefix = host, prefix
        parts = urllib.parse.urlsplit(url)
        self.base = f"{parts.scheme}://{parts.netloc}"
        self.address = parts.netloc
        self.transport = transport
        self._below = parts.path.strip("/")
        self._auth = Authenticator(self.base, authfile, transport)

    @property
    def limits(self) -> Host:
        """How many connections to this registry there may be, and the pace of its requests."""
        return self.transport.limits(self.base)

    def ask(self, method: str, url: str, scopes: tuple[str, ...], name: str,
            headers: Mapping[str, str] | None = None, body: Body = None, *,
            attempts: int = ATTEMPTS) -> urllib3.BaseHTTPResponse:
        """A request with what it takes to be let in; 403, and 401 in spite of that, are errors."""
        once = not (body is None or isinstance(body, bytes))
        for _ in range(3):
            permit = self._auth.header(scopes)
            response = self.transport.send(
                method, url, {**(headers or {}), **permit}, body,
                attempts=1 if once else attempts)
            if method == "HEAD" or response.status in (401, 403):
                bounds.dismiss(response)
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

    def ping(self) -> None:
        """Ask the registry whether it is one, and lets us in."""
        response = self.ask("GET", f"{self.base}/v2/", (), "the API")
        if response.status != 200:
            raise self.unexpected(response, "the API", f"{self.base}/v2/")
        begins = response.read(web_page.LOOKED_AT)
        bounds.dismiss(response)
        if web_page.is_page(begins):
            raise RegistryError(f"{self.host} answered with a web page, as no registry does",
                                where=f"{self.base}/v2/", todo=web_page.TODO)

    def unexpected(self, response: urllib3.BaseHTTPResponse, name: str, url: str) -> RegistryError:
        """An error with the registry's own words."""
        import urllib3
        try:
            said = response.read(2000) if response.status >= 400 else b""
        except (urllib3.exceptions.HTTPError, OSError, SourceError):
            said = b""
        response.close()
        words = " ".join(said.decode(errors="replace").split())[:300]
        return RegistryError(f"{self.host} answered {response.status} for {name}"
                             + (f": {words}" if words else ""), where=url.partition("?")[0],
                             todo="see the registry's log; if it was busy, run the same command "
                                  "again: what was moved is kept")

    def location(self, start: str, response: urllib3.BaseHTTPResponse) -> str:
        """The address of an upload, which may be relative, and must be the registry's own."""
        location = joined(start, response.headers.get("Location", ""))
        bounds.dismiss(response)
        if urllib.parse.urlsplit(location).netloc != self.address or (
                self.base.startswith("https:") and not location.startswith("https:")):
            shown = urllib.parse.urlsplit(location)
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
