"""Downloads: resumed when they break off, polite to each host."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from tasks.core import files
from tasks.core.errors import IntegrityError, SourceError
from tasks.core.net import urls, web
from tasks.core.net.bounds import LARGEST, Exceeded
from tasks.core.net.inside import Inside
from tasks.core.net.pace import CONNECTIONS, host, slot
from tasks.core.net.transfer import Body, Passing

PER_HOST = CONNECTIONS
ATTEMPTS = 5
"""How often in a row a request is sent that brings less than `WORTH` bytes."""
ATTEMPTS_IN_ALL = 100
"""How often a request is sent at most, whatever each has brought."""
WORTH = 1 << 20
LONGEST_WAIT = 60.0
"""Seconds that a server's wish for a pause is obeyed for; more is an error that says so."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A file that was fetched: its SHA-256 (64 hexadecimal digits) and its size in bytes."""

    sha256: str
    size: int


def fetch(url: str, target: Path, *, hosts: Inside, most: int) -> Fetched:
    """Write what lies at `url` (http, https; file for a site's own map) to the file `target`.

    `hosts` says what of the inner network may be asked, `most` how many bytes are taken. Proxies
    come from the usual variables, CAs from the system. A broken transfer goes on from where it
    broke, if the server can say that the content is the same (RFC 9110, If-Range).
    Raises SourceError, whose text holds no secret of the URL.
    """
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
            body = Body(stream, counted=count, expected=lambda total: count(total - body.size))
            if urlsplit(url).scheme == "file":
                copy(Path(unquote(urlsplit(url).path)), body)
            else:
                persist(url, lambda: web.receive(url, body, hosts, is_large=most > LARGEST),
                        so_far=lambda: body.size)
    except Exceeded:
        target.unlink()
        raise
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


def persist(url: str, ask: Callable[[], T], *, so_far: Callable[[], int] = lambda: 0) -> T:
    """What `ask` returns, asked again after Passing, within the limits of the URL's host.

    What brought the count of `so_far` up by `WORTH` bytes counts as no failure. Raises
    SourceError at last.
    """
    address = urlsplit(url).netloc.rpartition("@")[2]
    attempt, in_all, mark = 0, 0, so_far()
    while True:
        try:
            with slot(address) as at:
                at.wait()
                return ask()
        except Passing as fault:
            attempt = 1 if so_far() - mark >= WORTH else attempt + 1
            mark, in_all = max(mark, so_far()), in_all + 1
            if attempt == ATTEMPTS or in_all == ATTEMPTS_IN_ALL:
                tried = ATTEMPTS if attempt == ATTEMPTS else in_all
                raise SourceError(f"{fault} ({tried} attempts)", where=urls.redact(url),
                                  todo="look at the network, HTTPS_PROXY and NO_PROXY, and "
                                       "hosts.urls in the site's config") from fault
            _pause(url, attempt, fault.wait, address)


def _pause(url: str, attempt: int, asked: float | None, address: str) -> None:
    if asked is None:
        time.sleep(min(LONGEST_WAIT, 0.25 * 2 ** attempt))
    elif asked > LONGEST_WAIT:
        raise SourceError(f"the host asks to wait {asked:.0f} seconds", where=urls.redact(url),
                          todo="run the same command again after that time; what has arrived is "
                               "kept")
    else:
        host(address).rest(asked)  # every thread of this process
