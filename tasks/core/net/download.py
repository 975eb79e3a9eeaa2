"""Files at http:// and https:// addresses: asked about, and fetched from where it broke off."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tasks.core import disk, files
from tasks.core.errors import IntegrityError, SourceError
from tasks.core.net import bounds, urls, web_page
from tasks.core.net.bounds import MAX_SMALL_RESPONSE, Exceeded
from tasks.core.net.network import Network
from tasks.core.net.pace import pause
from tasks.core.net.request import RETRIED, Broken, Transport, persist, reason
from tasks.core.net.transfer import Body, Denied, RemoteFile
from tasks.core.parsing import whole_number

if TYPE_CHECKING:
    import urllib3

MISSING = (404, 410)
HEAD_REFUSED = (400, 403, 405, 501)
"""What servers answer to HEAD although they would answer GET: signed URLs name their method."""
MIN_AGE = 60
"""Seconds that a file must have been left alone before its date proves its content."""
COMPRESSED = (".gz", ".tgz", ".bgz", ".z", ".bz2", ".xz", ".zst", ".zip")


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A file that was fetched: its SHA-256 (64 hexadecimal digits) and its size in bytes."""

    sha256: str
    size: int


def fetch(url: str, target: Path, *, network: Network, most: int) -> Fetched:
    """Write what lies at `url` (http, https; file for a site's own map) to the file `target`.

    At most `most` bytes are taken. A broken transfer goes on from where it broke, if the server
    can say that the content is the same (RFC 9110, If-Range). Raises SourceError, whose text
    holds no secret of the URL.
    """
    def expect(total: int) -> None:
        count(total - body.size)
        disk.hold(target.parent, total - body.size, "this file")

    def count(further: int) -> None:
        if body.size + further > most:
            raise Exceeded(f"more would come than the {files.human_size(most)} that are taken here",
                           where=urls.redact(url))

    try:
        _ = urlsplit(url).port
    except ValueError as error:  # such as an open bracket in the host
        raise SourceError("that is no URL", where=urls.redact(url)) from error
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("wb") as stream:
            body = Body(stream, counted=count, expected=expect)
            if urlsplit(url).scheme == "file":
                copy(Path(unquote(urlsplit(url).path)), body)
            else:
                persist(url, network.hosts,
                        lambda: receive(url, body, network, is_large=most > MAX_SMALL_RESPONSE),
                        so_far=lambda: body.size)
    except Exceeded:
        target.unlink()
        raise
    with target.open("rb") as reader:
        page = web_page.instead_of(url, reader.read(web_page.LOOKED_AT))
    if page:
        target.unlink()
        raise SourceError(page, where=urls.redact(url), todo=web_page.TODO)
    return Fetched(sha256=body.digest.hexdigest(), size=body.size)


def hold(got: Fetched, promised: str | None, *, what: str, where: str, todo: str) -> None:
    """IntegrityError that shows both where a file's SHA-256 is not the one known beforehand."""
    if promised not in (None, got.sha256):
        raise IntegrityError(f"{what}:\n    promised: {promised}\n"
                             f"    found:    {got.sha256}", where=where, todo=todo)


def copy(path: Path, body: Body) -> None:
    """Bring a file of this machine; SourceError where it can't be read."""
    if not path.is_file():
        raise SourceError("there is no such file", where=path)
    try:
        reader = path.open("rb")
    except OSError as error:
        raise SourceError(f"can't be read: {error.strerror}", where=path) from error
    with reader:
        body.narrow(files.copied_mode(os.fstat(reader.fileno())))
        body.restart(None, path.stat().st_size)
        while block := reader.read(files.CHUNK):
            body.add(block)
    if body.size != body.total:
        raise SourceError("the file changed while it was read", where=path)


def look(url: str, network: Network) -> RemoteFile | None:
    """Return what the server says of a file without sending it; None where there is none."""
    response = _ask("HEAD", url, {}, network)
    bounds.dismiss(response)
    if response.status in HEAD_REFUSED:
        response = _ask("GET", url, {"Range": "bytes=0-0"}, network)
        bounds.dismiss(response)
    _refuse_transient(response, url)
    if response.status in MISSING:
        return None
    if response.status not in (200, 206, 416):
        raise _refused(response, url)
    headers = response.headers
    whole = re.fullmatch(r"bytes (?:\d+-\d+|\*)/(\d+)", headers.get("Content-Range", ""))
    length = headers.get("Content-Length", "") if response.status == 200 else ""
    return RemoteFile(size=whole_number(whole[1] if whole else length),
                      validator=_validator(headers),
                      page=headers.get("Content-Type", "").lower().startswith("text/html"))


def receive(url: str, body: Body, network: Network, *, is_large: bool = True) -> None:
    """Bring what `body` lacks, in one request; Broken where another may bring more.

    What isn't large has a minute or two in all; else what counts is the average speed.
    """
    from urllib3.exceptions import HTTPError
    resumed = body.size > 0 and body.validator is not None
    response = _ask("GET", url, {"Range": f"bytes={body.size}-",
                                 "If-Range": body.validator or ""} if resumed else {}, network)
    if is_large:
        bounds.allow_large(response)
    try:
        _begin(response, body, url)
        for block in response.stream(files.CHUNK, decode_content=False):
            body.add(block)
    except HTTPError as error:
        raise Broken(reason(error)) from error
    finally:
        bounds.dismiss(response)
    body.finish()


def _ask(method: str, url: str, headers: Mapping[str, str],
         network: Network) -> urllib3.BaseHTTPResponse:
    """Return the answer to one request, with the login that the URL may hold."""
    from urllib3.util import make_headers
    address, login = urls.without_login(url)
    return Transport(network).once(method, address, {
        **headers, **(make_headers(basic_auth=login) if login else {})})


def _begin(response: urllib3.BaseHTTPResponse, body: Body, url: str) -> None:
    """Judge the answer's head: go on, start anew, try again, or give up."""
    headers = response.headers
    if response.status == 206:
        part = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
        if part and whole_number(part[1]) == body.size and body.validator:
            body.expect(whole_number(part[2]))
            return
        body.restart(None)
        raise Broken("the server sent another part than was asked for")
    if response.status == 416:
        body.restart(None)
        raise Broken("the file became shorter meanwhile")
    _refuse_transient(response, url)
    if response.status != 200:
        raise _refused(response, url)
    coding = headers.get("Content-Encoding", "identity").lower()
    if coding != "identity" and not urlsplit(url).path.lower().endswith(COMPRESSED):
        raise SourceError(f"the server sends it packed ({coding}), though it was asked not to, and "
                          "nothing that arrives is unpacked", where=urls.redact(url))
    body.restart(_validator(headers), whole_number(headers.get("Content-Length", "")))


def _refuse_transient(response: urllib3.BaseHTTPResponse, url: str) -> None:
    if response.status in RETRIED:
        raise Broken(f"{response.status} {response.reason or ''}".rstrip(), status=response.status,
                     wait=pause(response.headers, urls.redact(url)))


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
    return changed if not tag and age >= MIN_AGE else None
