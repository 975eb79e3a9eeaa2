"""How long an answer may take in all, and how much may come: whoever sends it decides neither.

A timeout of a socket bounds the time between two bytes; a server that sends one now and then holds
its client for ever.
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from tasks.core.errors import NetError
from tasks.core.net.inner_addresses import Inside

if TYPE_CHECKING:
    import urllib3

RESPONSE_TIME = 120.0
"""Seconds that an answer may take in all; of one that may be large, those for its first bytes."""
MIN_SPEED = 1000.0
"""Bytes a second that a large answer must bring on the average, once RESPONSE_TIME is over."""
MAX_SMALL_RESPONSE = 32 << 20
"""Bytes of an answer that isn't large: of its head, its framing and its body."""
MAX_DRAINED = 1 << 14
"""Bytes of a body that is read although nobody wants it, so that its connection serves again."""

Base = TypeVar("Base")


class Exceeded(NetError):
    """What came was too much, or too slow: what has arrived of it is of no use."""


class Bound:
    """What one answer has cost so far: the time that was spent waiting for it, and its bytes."""

    def __init__(self, host: str) -> None:
        self._host, self._spent, self._got = host, 0.0, 0
        self.is_large = False

    def read(self, connection: socket.socket, take: Callable[[], int]) -> int:
        """What `take` reads from the connection, within what is left. Raises Exceeded."""
        timeout, left = connection.gettimeout(), self._left()
        is_last = timeout is None or left < timeout
        if is_last:
            connection.settimeout(left)
        begun = time.monotonic()
        try:
            count = take()
        except TimeoutError:
            self._spent += time.monotonic() - begun
            if is_last:
                self._left()
            raise
        finally:
            if is_last and connection.fileno() >= 0:
                connection.settimeout(timeout)
        self._spent += time.monotonic() - begun
        self._got += count
        if self._got > MAX_SMALL_RESPONSE and not self.is_large:
            raise Exceeded(f"{self._host} sends more than {MAX_SMALL_RESPONSE >> 20} MiB for an "
                           "answer that can't be so long", where=self._host)
        return count

    def _left(self) -> float:
        allowed = RESPONSE_TIME + (self._got / MIN_SPEED if self.is_large else 0)
        left = allowed - self._spent
        if left <= 0.001:
            raise Exceeded(f"{self._host} is too slow: {self._got} bytes in {self._spent:.0f} "
                           "seconds", where=self._host,
                           todo="try again later, or map the address to a mirror in hosts.urls "
                                "or hosts.registries of the site's config")
        return left


class Raw(io.RawIOBase):
    """What a connection receives, within a bound."""

    def __init__(self, raw: Any, connection: socket.socket, bound: Bound) -> None:
        self._raw, self._connection, self._bound = raw, connection, bound

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self._raw.fileno())

    def readinto(self, buffer: Any) -> int:
        return self._bound.read(self._connection, lambda: self._raw.readinto(buffer) or 0)

    def close(self) -> None:
        self._raw.close()
        super().close()


def watched(base: type[Base], hosts: Inside | None) -> type[Base]:
    """A class of urllib3's connections whose answers are bounded, and whose address is judged.

    Without `hosts` it is not: that of a proxy is named by the user's environment.
    """
    from http.client import HTTPResponse

    from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

    class Watched(base):  # type: ignore[valid-type,misc]
        bound: Bound | None = None

        def response_class(self, connection: Any, *args: Any, **options: Any) -> HTTPResponse:
            self.bound = Bound(self.host)
            answer = HTTPResponse(connection, *args, **options)
            answer.fp = io.BufferedReader(Raw(answer.fp.detach(), connection, self.bound))
            return answer

        def _new_conn(self) -> socket.socket:
            if hosts is None:
                return super()._new_conn()  # type: ignore[no-any-return]
            try:
                return hosts.connect(self._dns_host, self.port, self.timeout,
                                     self.socket_options or ())
            except socket.gaierror as error:
                raise NameResolutionError(self.host, self, error) from error
            except TimeoutError as error:
                raise ConnectTimeoutError(self, f"no connection to {self.host}") from error
            except OSError as error:
                raise NewConnectionError(self, str(error)) from error

    return Watched


def pools(hosts: Inside | None) -> dict[str, Any]:
    """The classes for `pool_classes_by_scheme` of urllib3's managers."""
    from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
    from urllib3.connection import HTTPConnection, HTTPSConnection
    return {"http": type("Plain", (HTTPConnectionPool,),
                         {"ConnectionCls": watched(HTTPConnection, hosts)}),
            "https": type("Secure", (HTTPSConnectionPool,),
                          {"ConnectionCls": watched(HTTPSConnection, hosts)})}


def allow_large(response: urllib3.BaseHTTPResponse) -> None:
    """Let an answer be large, and take its time for it; who reads it bounds its bytes."""
    bound = getattr(response.connection, "bound", None)
    if bound is not None:
        bound.is_large = True


def dismiss(response: urllib3.BaseHTTPResponse) -> None:
    """Let an answer's body be, and its connection serve again where that costs little."""
    length = getattr(response, "length_remaining", None)
    try:
        if length is None or length > MAX_DRAINED:
            response.close()
        else:
            response.drain_conn()
    except Exceeded:
        response.close()
    response.release_conn()
