"""Servers on loopback that never come to an end: they drip a byte now and then, or flood."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Speak = Callable[[socket.socket, str], None]


@contextmanager
def speaking(speak: Speak) -> Iterator[int]:
    """A server on a port of loopback that says what `speak` says to whoever comes."""
    ends = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def one(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, _Ended):
            connection.settimeout(0.5)
            head = connection.recv(1 << 16).decode() if speak.__name__ != "ftp_speak" else ""
            connection.settimeout(None)
            speak(_Ending(connection, ends), head)  # type: ignore[arg-type]

    def serve_all() -> None:
        while True:
            try:
                connection = server.accept()[0]
            except OSError:
                return
            threads.append(threading.Thread(target=one, args=(connection,), daemon=True))
            threads[-1].start()

    main = threading.Thread(target=serve_all, daemon=True)
    main.start()
    try:
        yield server.getsockname()[1]
    finally:
        ends.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        main.join()
        for thread in threads:
            thread.join(2)


class _Ended(Exception):
    """The test is over."""


class _Ending:
    """A connection that says nothing more once the test is over."""

    def __init__(self, connection: socket.socket, ends: threading.Event) -> None:
        self._connection, self._ends = connection, ends

    def sendall(self, data: bytes) -> None:
        if self._ends.is_set():
            raise _Ended
        self._connection.sendall(data)


def drip(connection: socket.socket, text: bytes = b"x") -> None:
    """A byte now and then, for ever: no timeout between two of them is reached."""
    while True:
        for byte in text:
            connection.sendall(bytes([byte]))
            time.sleep(0.02)


def flood(connection: socket.socket, piece: bytes = b"x" * (1 << 16)) -> None:
    while True:
        connection.sendall(piece)


def head_drips(connection: socket.socket, head: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    drip(connection, b"X-A: b\r\n")


def head_floods(connection: socket.socket, head: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-A: ")
    flood(connection)


def continues(connection: socket.socket, head: str) -> None:
    """Status lines that say that another follows."""
    flood(connection, b"HTTP/1.1 100 Continue\r\n\r\n")


def body_drips(connection: socket.socket, head: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 100000\r\n\r\n")
    drip(connection)


def chunks_drip(connection: socket.socket, head: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    drip(connection, b"1\r\nx\r\n")


def body_floods(connection: socket.socket, head: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nETag: \"a\"\r\n\r\n")
    flood(connection)


def chunks_flood(connection: socket.socket, head: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    flood(connection, b"10000\r\n" + b"x" * (1 << 16) + b"\r\n")


def chunk_head_floods(connection: socket.socket, head: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;")
    flood(connection)


def error_drips(connection: socket.socket, head: str) -> None:
    connection.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 4000\r\n\r\n")
    drip(connection)


def error_floods(connection: socket.socket, head: str) -> None:
    connection.sendall(b"HTTP/1.1 400 No\r\n\r\n")
    flood(connection)


def redirect_floods(connection: socket.socket, head: str) -> None:
    if head.startswith(("GET /there", "HEAD /there")):
        connection.sendall(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
        return
    connection.sendall(b"HTTP/1.1 307 There\r\nLocation: /there\r\n\r\n")
    flood(connection)


DRIPS = [head_drips, body_drips, chunks_drip]
FLOODS = [head_floods, continues, body_floods, chunks_flood, chunk_head_floods]
OTHERS = [error_drips, error_floods, redirect_floods]


def ftp_server(answer: Speak, data: Speak) -> contextlib.AbstractContextManager[int]:
    """An FTP server that answers as `answer` does once it is asked for a listing or a file."""
    def ftp_speak(connection: socket.socket, _: str) -> None:
        real = connection._connection  # type: ignore[attr-defined]
        connection.sendall(b"220 ready\r\n")
        lines = real.makefile("r")
        passive = socket.create_server(("127.0.0.1", 0))
        high, low = divmod(passive.getsockname()[1], 256)
        replies = {"USER": "230 in", "TYPE": "200 ok", "OPTS": "200 ok", "SIZE": "213 100000",
                   "MDTM": "213 20200101000000", "EPSV": "500 no",
                   "PASV": f"227 ok (127,0,0,1,{high},{low})"}
        with passive:
            for line in lines:
                word = line.split()[0]
                if word in replies:
                    connection.sendall(replies[word].encode() + b"\r\n")
                    continue
                answer(connection, word)
                with passive.accept()[0] as there:
                    data(_Ending(there, connection._ends), word)  # type: ignore[attr-defined,arg-type]
                connection.sendall(b"226 done\r\n")

    return speaking(ftp_speak)


def opens(connection: socket.socket, word: str) -> None:
    connection.sendall(b"150 here it comes\r\n")


def reply_drips(connection: socket.socket, word: str) -> None:
    drip(connection, b"150-x\r\n")


def reply_floods(connection: socket.socket, word: str) -> None:
    flood(connection, b"150-more follows\r\n" * 1000)


def drips(connection: socket.socket, word: str) -> None:
    drip(connection, b"type=file; a\r\n")


def floods(connection: socket.socket, word: str) -> None:
    for number in range(10**9):
        connection.sendall(b"type=file; %d\r\n" % number)


def some(connection: socket.socket, word: str) -> None:
    """More files than are taken, after which the listing ends."""
    connection.sendall(b"".join(b"type=file; %d\r\n" % number for number in range(1001)))
