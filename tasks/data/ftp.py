"""Files on FTP servers, as archives of sequences have them."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from datetime import datetime, timezone
from ftplib import FTP, Error, all_errors, error_perm
from urllib.parse import unquote, urlsplit

from tasks.core import files
from tasks.core.errors import SourceError
from tasks.core.transfer import Body, Denied, Found, Passing

SETTLED = 60
"""Seconds that a file must have been left alone before its date proves its content."""
DEEPEST, MOST = 32, 100_000
"""Folders in folders, and files below one, that a listing may have."""
_LISTED = re.compile(r"(?P<kind>[-dl])\S{9}\S*\s+\d+\s+\S+\s+\S+\s+\d+\s+\S+\s+\d+\s+[\d:]+ "
                     r"(?P<name>.+)")
"""A line of LIST in the form of `ls -l`, which servers use that know no MLSD."""


class Ftp:
    """ftp:// in passive mode; anonymous, unless the URL has a login."""

    def look(self, url: str) -> Found | None:
        with _session(url) as (server, path):
            return _look(server, path)

    def receive(self, url: str, body: Body) -> None:
        """Bring what `body` lacks, by REST if size and date are still the same."""
        with _session(url) as (server, path):
            found = _look(server, path)
            if found is None:
                raise SourceError("there is no such file")
            if body.size and body.validator and body.validator == found.validator:
                body.expect(found.size)
            else:
                body.restart(found.validator, found.size)
            if not body.size or body.size != body.total:
                _transfer(server, path, body)
        if body.total is not None and body.size != body.total:
            what = f"the server sent {body.size} bytes of the {body.total} that it named"
            if body.size > body.total:
                body.restart(None)
            raise Passing(what)

    def names(self, url: str) -> Iterator[str]:
        """The files below a folder."""
        with _session(url) as (server, path):
            for count, name in enumerate(_below(server, path, "", 0)):
                if count == MOST:
                    raise SourceError(f"the folder holds more than {MOST} files")
                yield name


@contextlib.contextmanager
def _session(url: str) -> Iterator[tuple[FTP, str]]:
    """A server that is logged in to, and the path in the URL."""
    parts = urlsplit(url)
    server = FTP(timeout=60)  # noqa: S321 - what is fetched is held to the lock's digest
    try:
        server.connect(parts.hostname or "", parts.port or 21)
        server.login(unquote(parts.username or ""), unquote(parts.password or ""))
        server.voidcmd("TYPE I")
        yield server, unquote(parts.path).lstrip("/")
    except error_perm as error:
        kind = Denied if str(error)[:3] in ("530", "532") else SourceError
        raise kind(f"the server refuses: {_said(error)}") from error
    except Error as error:  # 4xx, and replies that make no sense
        raise Passing(f"the server says: {_said(error)}") from error
    except UnicodeError as error:
        raise SourceError("the server's names are not in UTF-8") from error
    except all_errors as error:  # OSError and EOFError
        raise Passing(_broken(error)) from error
    finally:
        server.close()


def _broken(error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return "the host's name is not known"
    if isinstance(error, ConnectionRefusedError):
        return "the host does not take connections"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return f"the connection broke off ({type(error).__name__})"


def _said(error: Exception) -> str:
    """A server's reply, which may hold anything."""
    return "".join(each if each.isprintable() else " " for each in str(error))[:200]


def _look(server: FTP, path: str) -> Found | None:
    try:
        size = server.size(path)
    except error_perm as error:
        if str(error).startswith("550"):
            return None
        size = None  # a server without SIZE
    try:
        changed = server.sendcmd(f"MDTM {path}").partition(" ")[2].strip()
        age = datetime.now(timezone.utc) - datetime.strptime(
            changed[:14], "%Y%m%d%H%M%S").replace(tzinfo=timezone.utc)
    except (error_perm, ValueError):
        return Found(size=size, validator=None)
    settled = size is not None and age.total_seconds() >= SETTLED
    return Found(size=size, validator=f"{changed} {size}" if settled else None)


def _transfer(server: FTP, path: str, body: Body) -> None:
    try:
        data = server.transfercmd(f"RETR {path}", rest=body.size or None)
    except error_perm as error:
        if not body.size:
            raise
        body.restart(None)
        raise Passing("the server can't go on with a file") from error
    with data:
        while block := data.recv(files.CHUNK):
            body.add(block)
    server.voidresp()


def _below(server: FTP, folder: str, above: str, depth: int) -> Iterator[str]:
    if depth > DEEPEST:
        raise SourceError(f"folders lie more than {DEEPEST} deep")
    for name, is_folder in _entries(server, folder):
        if name in ("", ".", "..") or "/" in name:
            raise SourceError(f"the server lists a name that no file can have: {name!r}")
        if is_folder:
            yield from _below(server, f"{folder.rstrip('/')}/{name}", f"{above}{name}/", depth + 1)
        else:
            yield above + name


def _entries(server: FTP, folder: str) -> list[tuple[str, bool]]:
    """Names in a folder, and whether each is a folder."""
    try:
        return [(name, facts["type"] == "dir") for name, facts in server.mlsd(folder, ["type"])
                if facts.get("type") in ("file", "dir")]
    except error_perm as error:
        if not str(error).startswith("50"):
            raise
    lines: list[str] = []
    server.retrlines(f"LIST {folder}", lines.append)
    found = []
    for match in filter(None, map(_LISTED.fullmatch, lines)):
        if match["kind"] == "l":
            raise SourceError(f"{match['name']!r} is a link, which isn't followed")
        found.append((match["name"], match["kind"] == "d"))
    return found
