"""Files on FTP servers, as archives of sequences have them."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from ftplib import FTP, Error, all_errors, error_perm
from typing import Any
from urllib.parse import unquote, urlsplit

from tasks.core import files
from tasks.core.errors import SourceError
from tasks.core.net.bounds import Bound, Exceeded
from tasks.core.net.network import Network
from tasks.core.net.request import Broken
from tasks.core.net.transfer import Body, Denied, RemoteFile
from tasks.core.net.unreachable import unreachable

MIN_AGE = 60
"""Seconds that a file must have been left alone before its date proves its content."""
MAX_DEPTH, MAX_ENTRIES, MAX_LISTING_TIME = 32, 100_000, 1800.0
"""Folders in folders, entries below one, and seconds, that a listing may have."""
_LIST_LINE = re.compile(r"(?P<kind>[-dl])\S{9}\S*\s+\d+\s+\S+\s+\S+\s+\d+\s+\S+\s+\d+\s+[\d:]+ "
                     r"(?P<name>.+)")
"""A line of LIST in the form of `ls -l`, which servers use that know no MLSD."""


class Ftp:
    """ftp:// in passive mode; anonymous, unless the URL has a login."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def look(self, url: str) -> RemoteFile | None:
        with _session(url, self._network) as (server, path):
            return _look(server, path)

    def receive(self, url: str, body: Body) -> None:
        """Bring what `body` lacks, by REST if size and date are still the same."""
        with _session(url, self._network) as (server, path):
            remote = _look(server, path)
            if remote is None:
                raise SourceError("there is no such file")
            if body.size and body.validator and body.validator == remote.validator:
                body.expect(remote.size)
            else:
                body.restart(remote.validator, remote.size)
            if not body.size or body.size != body.total:
                _transfer(server, path, body)
        body.finish()

    def names(self, url: str) -> Iterator[str]:
        """The files below a folder."""
        with _session(url, self._network) as (server, path):
            yield from _below(server, path, "", _Listing(until=time.monotonic() + MAX_LISTING_TIME))


class _Connection(socket.socket):
    """A connection whose every read counts for a bound."""

    bound: Bound

    def recv_into(self, *args: Any) -> int:
        return self.bound.read(self, lambda: super(_Connection, self).recv_into(*args))


class _Server(FTP):
    """A server whose address is judged, and whose answers and transfers are bounded.

    Data come from the address that is connected to, whatever the answer to PASV names.
    """

    trust_server_pasv_ipv4_address = False

    def __init__(self, network: Network) -> None:
        super().__init__(timeout=60)
        self._network = network

    def connect(self, host: str = "", port: int = 0, *_: Any) -> str:
        self.host, self.port = host, port
        self.sock = self._bounded(self._network.inside.connect(host, port, self.timeout))
        self.af = self.sock.family
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()
        return self.welcome

    def putcmd(self, line: str) -> None:
        if isinstance(self.sock, _Connection):
            self.sock.bound = Bound(self.host)
        super().putcmd(line)

    def ntransfercmd(self, cmd: str, rest: int | str | None = None,
                     ) -> tuple[socket.socket, int | None]:
        connection, size = super().ntransfercmd(cmd, rest)
        bounded = self._bounded(connection)
        bounded.bound.is_large = cmd.startswith("RETR")
        return bounded, size

    def _bounded(self, connection: socket.socket) -> _Connection:
        timeout = connection.gettimeout()
        bounded = _Connection(fileno=connection.detach())
        bounded.settimeout(timeout)
        bounded.bound = Bound(self.host)
        return bounded


@contextlib.contextmanager
def _session(url: str, network: Network) -> Iterator[tuple[FTP, str]]:
    """A server that is logged in to, and the path in the URL."""
    parts = urlsplit(url)
    server = _Server(network)  # what is fetched is held to the lock's digest
    host = network.hosts.at(parts.netloc.rpartition("@")[2])
    host.wait()
    try:
        server.connect(parts.hostname or "", parts.port or 21)
        host.answered = True
        server.login(unquote(parts.username or ""), unquote(parts.password or ""))
        server.voidcmd("TYPE I")
        yield server, unquote(parts.path).lstrip("/")
    except error_perm as error:
        kind = Denied if str(error)[:3] in ("530", "532") else SourceError
        raise kind(f"the server refuses: {_reply(error)}") from error
    except Error as error:  # 4xx, and replies that make no sense
        raise Broken(f"the server says: {_reply(error)}") from error
    except UnicodeError as error:
        raise SourceError("the server's names are not in UTF-8") from error
    except all_errors as error:  # OSError and EOFError
        if not host.answered and isinstance(error, OSError):
            raise unreachable(url, _broken(error)) from error
        raise Broken(_broken(error)) from error
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


def _reply(error: Exception) -> str:
    """A server's reply, which may hold anything."""
    return "".join(character if character.isprintable() else " " for character in str(error))[:200]


def _look(server: FTP, path: str) -> RemoteFile | None:
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
        return RemoteFile(size=size, validator=None)
    settled = size is not None and age.total_seconds() >= MIN_AGE
    return RemoteFile(size=size, validator=f"{changed} {size}" if settled else None)


def _transfer(server: FTP, path: str, body: Body) -> None:
    try:
        data = server.transfercmd(f"RETR {path}", rest=body.size or None)
    except error_perm as error:
        if not body.size:
            raise
        body.restart(None)
        raise Broken("the server can't go on with a file") from error
    with data:
        block = bytearray(files.CHUNK)
        while count := data.recv_into(block):
            body.add(bytes(block[:count]))
    server.voidresp()


@dataclass(kw_only=True)
class _Listing:
    """What a listing has cost so far."""

    until: float
    entries: int = 0

    def count(self, entries: int) -> None:
        self.entries += entries
        if self.entries > MAX_ENTRIES:
            raise SourceError(f"the folder holds more than {MAX_ENTRIES} files and folders")
        if time.monotonic() > self.until:
            raise Exceeded(f"the server lists {self.entries} files and folders in "
                           f"{MAX_LISTING_TIME:.0f} seconds, and does not come to an end")


def _below(server: FTP, folder: str, above: str, listing: _Listing) -> Iterator[str]:
    if above.count("/") > MAX_DEPTH:
        raise SourceError(f"folders lie more than {MAX_DEPTH} deep")
    entries = _entries(server, folder)
    listing.count(len(entries))
    for name, is_folder in entries:
        if name in ("", ".", "..") or "/" in name:
            raise SourceError(f"the server lists a name that no file can have: {name!r}")
        if is_folder:
            yield from _below(server, f"{folder.rstrip('/')}/{name}", f"{above}{name}/", listing)
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
    entries = []
    for match in filter(None, map(_LIST_LINE.fullmatch, lines)):
        if match["kind"] == "l":
            raise SourceError(f"{match['name']!r} is a link, which isn't followed")
        entries.append((match["name"], match["kind"] == "d"))
    return entries
