"""Requests: sent at their host's pace, and again where that can help."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from tasks.core.errors import NetError, SourceError
from tasks.core.net import bounds, certificates, redirects, urls
from tasks.core.net.network import Network
from tasks.core.net.pace import Host, Hosts, backoff, pause
from tasks.core.net.unreachable import has_no_connection, unreachable

if TYPE_CHECKING:
    import urllib3

Body = bytes | Iterable[bytes] | None
T = TypeVar("T")
ATTEMPTS = 5
"""How often in a row a request is sent that brings less than `PROGRESS` bytes; twice that for 429,
which says that it will be answered."""
ATTEMPTS_IN_ALL = 100
"""How often a request is sent at most, whatever each attempt has brought."""
PROGRESS = 1 << 20
MAX_TIME_WITHOUT_PROGRESS = 600.0
"""Seconds from a first failure after which a request that brings nothing isn't sent again."""
RETRIED = (408, 425, 429, 500, 502, 503, 504)
"""Statuses after which the same request may succeed (RFC 9110, RFC 6585, RFC 8470)."""
INSUFFICIENT_STORAGE = 507
"""The status of RFC 4918."""
FULL = re.compile(r"quota|storage ?full|no space left|insufficient ?storage|disk (is )?full|"
                  r"not enough (disk )?space|exceed the configured upper limit|"
                  r"\"Err\": ?(28|122)\b", re.IGNORECASE)
"""What servers say, by code or in words, where there is no room: Ceph (QuotaExceeded, 403), MinIO
(XMinioStorageFull, 507; XMinioAdminBucketQuotaExceeded), Harbor (403, a project's limit), Nexus (a
blob store's quota), docker-registry (the system's number, ENOSPC or EDQUOT), file systems behind
others."""
HEADERS = {"Accept-Encoding": "identity", "User-Agent": "nf-airlock"}


class Broken(NetError):
    """A request that failed, or whose answer ended early: worth another attempt.

    `status` is that of the answer, if there was one; `wait` are seconds that the server asked for.
    """

    def __init__(self, what: str, *, where: object = None, todo: str | None = None,
                 status: int | None = None, wait: float | None = None) -> None:
        self.status, self.wait = status, wait
        super().__init__(what, where=where, todo=todo)


class Attempts:
    """How often one thing was tried, and whether it is worth trying again."""

    def __init__(self, most: int) -> None:
        self._most, self._until = most, 0.0
        self.in_row = self.in_all = 0

    def again(self, status: int | None = None, *, progress: bool = False) -> bool:
        """Count a failed attempt, and say whether there is to be another."""
        if progress or not self.in_row:
            self.in_row, self._until = 0, time.monotonic() + MAX_TIME_WITHOUT_PROGRESS
        self.in_row, self.in_all = self.in_row + 1, self.in_all + 1
        most = 2 * self._most if status == 429 and self._most > 1 else self._most
        return (self.in_row < most and self.in_all < ATTEMPTS_IN_ALL
                and time.monotonic() < self._until)


class Transport:
    """Sends requests over one network; `ca` is trusted beside the system's CAs."""

    def __init__(self, network: Network, ca: Path | None = None) -> None:
        self._ca, self._pools, self._hosts = ca, network.pools(ca), network.hosts
        self.shared = network.shared

    def send(self, method: str, url: str, headers: Mapping[str, str], body: Body = None, *,
             attempts: int = ATTEMPTS) -> urllib3.BaseHTTPResponse:
        """Return the response to a request, whatever its status; its body is not read yet.

        A failed connection and the statuses in RETRIED are tried again, after Retry-After or a
        growing pause with jitter. Raises NetError at last.
        """
        tried = Attempts(attempts)
        while True:
            wait: float | None = None
            try:
                response = self.once(method, url, headers, body)
            except Broken:
                if not tried.again():
                    raise
            else:
                if response.status not in RETRIED or not tried.again(response.status):
                    return response
                wait = pause(response.headers, urls.shown(url))
                bounds.dismiss(response)
            self.rest(url, tried.in_row, wait)

    def once(self, method: str, url: str, headers: Mapping[str, str],
             body: Body = None) -> urllib3.BaseHTTPResponse:
        """Send a request once; redirects of GET and HEAD are followed. Raises NetError."""
        with self.limits(url).slot():
            if method not in ("GET", "HEAD"):
                return self._once(method, url, headers, body)
            return redirects.follow(url, headers, lambda at, left: self._once(method, at, left,
                                                                              body))

    def limits(self, url: str) -> Host:
        """The limits of a URL's host."""
        return self._hosts.at(urlsplit(url).netloc)

    def rest(self, url: str, attempt: int, seconds: float | None = None) -> None:
        """Let the host alone after a failed attempt: as long as it asked for, or a growing time."""
        self.limits(url).rest(backoff(attempt) if seconds is None else seconds)

    def _once(self, method: str, url: str, headers: Mapping[str, str],
              body: Body) -> urllib3.BaseHTTPResponse:
        import urllib3
        address = urlsplit(url).netloc
        limits = self._hosts.at(address)
        limits.wait()
        begun = time.monotonic()
        try:
            response = self._pools.at(url).request(
                method, url, body=body, headers={**HEADERS, **headers}, redirect=False,
                retries=False, preload_content=False, decode_content=False)
        except urllib3.exceptions.LocationValueError as error:
            raise NetError("that is no URL", where=urls.shown(url)) from error
        except urllib3.exceptions.SSLError as error:
            raise self._untrusted(address, error) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            if not limits.answered and has_no_connection(error):
                raise unreachable(url, reason(error)) from None
            raise Broken(f"no answer from {address}: {reason(error)}", where=urls.shown(url),
                         todo="check that the host is up and reachable from here, and "
                              "HTTPS_PROXY and NO_PROXY") from None
        response.url = url  # of the last redirect; urllib3 keeps a path alone
        limits.learn(response.status, response.headers)
        if body is None or isinstance(body, bytes):
            limits.connections.answered(time.monotonic() - begun)
        return response

    def _untrusted(self, address: str, error: Exception) -> NetError:
        if "CERTIFICATE_VERIFY_FAILED" not in str(error):
            return Broken(f"TLS with {address} failed: {reason(error)}", where=address,
                          todo="check that this address speaks TLS")
        detail = str(error).partition("certificate verify failed: ")[2].partition(" (_ssl")[0]
        named = certificates.by_environment()
        return NetError(
            f"the certificate of {address} is not trusted: {detail}"
            + (f"; the environment names {named}" if named else ""),
            where=f"registry.ca: {self._ca}" if self._ca else f"https://{address}",
            todo="set registry.ca (AIRLOCK_REGISTRY_CA) to the certificate (PEM) of the CA that "
                 "signed a registry's; for all else it goes into the system's store, or into "
                 "SSL_CERT_FILE. Verification is never switched off")


def persist(url: str, hosts: Hosts, work: Callable[[], T], *,
            so_far: Callable[[], int] = lambda: 0) -> T:
    """Return what `work` does, done again after Broken, within the limits of the URL's host.

    An attempt that brought the count of `so_far` up by `PROGRESS` counts as no failure. Raises
    SourceError at last, whose text holds no secret of the URL.
    """
    host = hosts.at(urls.address(url))
    tried, mark = Attempts(ATTEMPTS), so_far()
    while True:
        try:
            with host.slot():
                return work()
        except Broken as fault:
            count = so_far()
            if not tried.again(fault.status, progress=count - mark >= PROGRESS):
                raise SourceError(f"{fault.what} ({tried.in_all} attempts)",
                                  where=urls.redact(url),
                                  todo="look at the network, HTTPS_PROXY and NO_PROXY, and "
                                       "hosts.urls in the site's config") from fault
            mark = max(mark, count)
            host.rest(backoff(tried.in_row) if fault.wait is None else fault.wait)


def says_full(status: int, text: str) -> bool:
    """Whether a refusal says that there is no room, and not that a pace is too quick."""
    return status == INSUFFICIENT_STORAGE or (
        status not in (429, 503) and FULL.search(text) is not None)


def reason(error: Exception) -> str:
    """What happened, without the address, which may hold secrets."""
    from urllib3 import exceptions
    while isinstance(getattr(error, "reason", None), Exception):
        error = error.reason  # type: ignore[attr-defined]
    for cause in (error, error.__cause__, error.__context__):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    kinds = ((exceptions.ProxyError, "the proxy does not answer as it should"),
             (exceptions.TimeoutError, "it took too long"),
             (exceptions.ProtocolError, "the connection broke off"))
    return next((text for kind, text in kinds if isinstance(error, kind)), type(error).__name__)
