"""What lies at http:// and https:// addresses: looked at, and received from where it broke off."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from tasks.core import files
from tasks.core.errors import SourceError
from tasks.core.net import bounds, urls
from tasks.core.net.inside import Inside
from tasks.core.net.pace import CONNECTIONS, retry_after
from tasks.core.net.transfer import Body, Denied, Found, Passing
from tasks.core.parsing import whole_number

if TYPE_CHECKING:
    import urllib3

REDIRECTS = 10
PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Statuses after which the same request may succeed (RFC 9110, RFC 6585, RFC 8470)."""
MISSING = (404, 410)
UNSURE = (400, 403, 405, 501)
"""What servers answer to HEAD although they would answer GET: signed URLs name their method."""
SETTLED = 60
"""Seconds that a file must have been left alone before its date proves its content."""
COMPRESSED = (".gz", ".tgz", ".bgz", ".z", ".bz2", ".xz", ".zst", ".zip")


def look(url: str, hosts: Inside) -> Found | None:
    """What the server says of a file without sending it; None where there is none."""
    response = _ask("HEAD", url, {}, hosts)
    if response.status in UNSURE:
        response = _ask("GET", url, {"Range": "bytes=0-0"}, hosts)
    if response.status in MISSING:
        return None
    if response.status not in (200, 206, 416):
        raise _refused(response, url)
    told = response.headers
    whole = re.fullmatch(r"bytes (?:\d+-\d+|\*)/(\d+)", told.get("Content-Range", ""))
    length = told.get("Content-Length", "") if response.status == 200 else ""
    return Found(size=whole_number(whole[1] if whole else length), validator=_validator(told),
                 page=told.get("Content-Type", "").lower().startswith("text/html"))


def receive(url: str, body: Body, hosts: Inside, *, is_large: bool = True) -> None:
    """Bring what `body` lacks, in one request; Passing where another may bring more.

    What isn't large has a minute or two in all; else what counts is the average speed.
    """
    headers = {}
    if body.size and body.validator:
        headers = {"Range": f"bytes={body.size}-", "If-Range": body.validator}
    from urllib3.exceptions import HTTPError
    response = _follow("GET", url, headers, hosts)
    if is_large:
        bounds.allow_large(response)
    try:
        _begin(response, body, url)
        for block in response.stream(files.CHUNK, decode_content=False):
            body.add(block)
    except HTTPError as error:
        raise Passing(_says(error)) from error
    finally:
        response.close()
    if body.total is not None and body.size != body.total:
        what = f"the server sent {body.size} bytes of the {body.total} that it named"
        if body.size > body.total:
            body.restart(None)
        raise Passing(what)


def _ask(method: str, url: str, headers: Mapping[str, str],
         hosts: Inside) -> urllib3.BaseHTTPResponse:
    """The head of an answer; what follows it is left alone."""
    response = _follow(method, url, headers, hosts)
    if method == "HEAD":
        response.drain_conn()
    else:
        response.close()
    _refuse_passing(response)
    return response


def _begin(response: urllib3.BaseHTTPResponse, body: Body, url: str) -> None:
    """Judge the answer's head: go on, start anew, try again, or give up."""
    told = response.headers
    if response.status == 206:
        part = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", told.get("Content-Range", ""))
        if part and whole_number(part[1]) == body.size and body.validator:
            body.expect(whole_number(part[2]))
            return
        body.restart(None)
        raise Passing("the server sent another part than was asked for")
    if response.status == 416:
        body.restart(None)
        raise Passing("the file became shorter meanwhile")
    _refuse_passing(response)
    if response.status != 200:
        raise _refused(response, url)
    coding = told.get("Content-Encoding", "identity").lower()
    if coding != "identity" and not urlsplit(url).path.lower().endswith(COMPRESSED):
        raise SourceError(f"the server sends it packed ({coding}), though it was asked not to, and "
                          "nothing that arrives is unpacked", where=urls.redact(url))
    length = told.get("Content-Length", "")
    body.restart(_validator(told), whole_number(length))


def _refuse_passing(response: urllib3.BaseHTTPResponse) -> None:
    if response.status in PASSING:
        raise Passing(f"{response.status} {response.reason or ''}".rstrip(),
                      retry_after(response.headers.get("Retry-After", "")))


def _refused(response: urllib3.BaseHTTPResponse, url: str) -> SourceError:
    kind = Denied if response.status in (401, 403) else SourceError
    return kind(f"{response.status} {response.reason or ''}".rstrip(), where=urls.redact(url))


def _validator(headers: Mapping[str, str]) -> str | None:
    """The entity tag, else the date where it proves as much (RFC 9110, 8.8.1 and 8.8.2.2)."""
    from email.utils import parsedate_to_datetime
    tag = headers.get("ETag", "")
    if tag.startswith('"'):
        return tag
    changed = headers.get("Last-Modified", "")
    try:
        now: datetime = parsedate_to_datetime(headers.get("Date", ""))
        age = (now - parsedate_to_datetime(changed)).total_seconds()
    except (TypeError, ValueError):
        return None
    return changed if not tag and age >= SETTLED else None


def _follow(method: str, url: str, headers: Mapping[str, str],
            hosts: Inside) -> urllib3.BaseHTTPResponse:
    """Ask, through redirects: never from TLS to plain, never to a file, no login elsewhere."""
    from urllib3.exceptions import HTTPError, LocationValueError, SSLError
    from urllib3.util import make_headers
    origin, login = without_login(url)
    at = origin
    for _ in range(REDIRECTS):
        same = urlsplit(at)[:2] == urlsplit(origin)[:2]
        more = make_headers(basic_auth=login) if login and same else {}
        try:
            response: urllib3.BaseHTTPResponse = _pool(at, hosts).request(
                method, at, headers={"Accept-Encoding": "identity", **headers, **more},
                redirect=False, retries=False, preload_content=False)
        except SSLError as error:
            raise SourceError(f"TLS: {error}", where=urls.redact(url),
                              todo="a private CA goes into the system's store, or into "
                                   "SSL_CERT_FILE") from error
        except LocationValueError as error:
            raise SourceError("that is no URL", where=urls.redact(url)) from error
        except HTTPError as error:
            raise Passing(_says(error)) from error
        location = response.get_redirect_location()
        if not location:
            return response
        response.close()
        try:
            before, at = at, without_login(urljoin(at, location))[0]
        except ValueError as error:
            raise SourceError("the server redirects to what is no URL",
                              where=urls.redact(url)) from error
        step = (urlsplit(before).scheme, urlsplit(at).scheme)
        if step[1] not in ("http", "https") or step == ("https", "http"):
            raise SourceError(f"the server redirects from {step[0]} to {step[1] or 'nowhere'}, "
                              "which is refused", where=urls.redact(url))
    raise SourceError(f"more than {REDIRECTS} redirects", where=urls.redact(url))


def without_login(url: str) -> tuple[str, str | None]:
    """The URL without its login and fragment, and the login, `user[:password]`, in plain."""
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


def _pool(url: str, hosts: Inside) -> urllib3.PoolManager:
    proxy = _proxy(url)
    if proxy is not None:
        hosts.judge(url)
    return _made(proxy, hosts)


@lru_cache
def _made(proxy: str | None, hosts: Inside) -> urllib3.PoolManager:
    import ssl

    import urllib3
    options: dict[str, Any] = {
        "maxsize": CONNECTIONS, "timeout": urllib3.Timeout(connect=15, read=60),
        "ssl_context": ssl.create_default_context()}
    if proxy is None:
        manager = urllib3.PoolManager(**options)
    else:
        address, login = without_login(proxy)
        manager = urllib3.ProxyManager(
            address, proxy_headers=urllib3.make_headers(proxy_basic_auth=login) if login else None,
            **options)
    manager.pool_classes_by_scheme = bounds.pools(hosts if proxy is None else None)
    return manager


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
