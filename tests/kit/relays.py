"""A relay before a real server that ends a connection when it has sent so many bytes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Relay:
    """Passes all on to a port of this machine; `cuts` are the bytes after which to end, in turn."""

    def __init__(self, port: int, listener: socket.socket | None = None) -> None:
        self._to = port
        self._listener = listener or socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cuts: list[int] = []
        self.came = 0
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def close(self) -> None:
        # A close alone would leave the thread in accept(), and give the number to another socket.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                there = socket.create_connection(("127.0.0.1", self._to))
                for source, target, back in ((here, there, False), (there, here, True)):
                    threading.Thread(target=self._pass, args=(source, target, back),
                                     daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, back: bool) -> None:
        passed = 0
        with suppress(OSError):
            while block := source.recv(1 << 16):
                target.sendall(block)
                if back:
                    passed += len(block)
                    self.came += len(block)
                    if self.cuts and passed > self.cuts[0]:
                        self.cuts.pop(0)
                        break
        for connection in (source, target):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


@contextmanager
def relay(port: int, listener: socket.socket | None = None) -> Iterator[Relay]:
    """A relay that takes no more connections after the block; on `listener`, where one is given."""
    between = Relay(port, listener)
    try:
        yield between
    finally:
        between.close()
