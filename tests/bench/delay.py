"""A server behind a round trip: a TCP proxy that keeps each direction's bytes back for a while.

    python -m tests.bench.delay HOST:PORT SECONDS     # of one direction; prints its own port

It runs in a process of its own, so that what it costs is not the client's. Connections are accepted
at once: the round trip of TCP's own handshake is not in what is measured.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.kit.registries import Server

MOST_UNDER_WAY = 8 << 20
"""Bytes that are kept back on one connection before no more are read."""


class Side(asyncio.Protocol):
    """One end of a connection; what it receives goes to the other end later."""

    def __init__(self, delay: float) -> None:
        self._delay, self._held, self._size = delay, deque[bytes | None](), 0
        self._loop = asyncio.get_running_loop()
        self.other: Side | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MOST_UNDER_WAY and self.transport:
            self.transport.pause_reading()
        self._later(data)

    def eof_received(self) -> bool:
        self._later(None)
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self._later(None)

    def _later(self, data: bytes | None) -> None:
        self._held.append(data)
        self._loop.call_later(self._delay, self._pass_on)

    def _pass_on(self) -> None:
        data = self._held.popleft()
        target = self.other.transport if self.other else None
        if target is None:
            return
        if data is None:
            target.close()
            return
        target.write(data)
        self._size -= len(data)
        if self.transport and self._size <= MOST_UNDER_WAY and not self.transport.is_closing():
            self.transport.resume_reading()


class Client(Side):
    """The end that a client connects to."""

    def __init__(self, delay: float, host: str, port: int) -> None:
        super().__init__(delay)
        self._upstream = (host, port)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.transport is not None
        self.transport.pause_reading()
        self._connecting = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        _, server = await self._loop.create_connection(lambda: Side(self._delay), *self._upstream)
        self.other, server.other = server, self
        if self.transport and not self.transport.is_closing():
            self.transport.resume_reading()


async def serve(host: str, port: int, delay: float) -> None:
    """Stand before a server until the process ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Client(delay, host, port), "127.0.0.1", 0,
                                      backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def behind(server: Server, round_trip: float) -> Iterator[Server]:
    """The server as a client finds it over a way of so many seconds there and back."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.delay", server.address, str(round_trip / 2)],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).resolve().parents[2])
    try:
        assert process.stdout is not None
        yield replace(server, port=int(process.stdout.readline()))
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    name, _, number = sys.argv[1].partition(":")
    asyncio.run(serve(name, int(number), float(sys.argv[2])))
