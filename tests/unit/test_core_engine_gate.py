"""The gate's server, before an engine that notes what reaches it: Unix sockets alone."""

from __future__ import annotations

import json
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tasks.core.engine import gate as engine_gate
from tests.kit.engine_requests import ASKED, MINE, OTHERS, RULES

CREATE = json.dumps(ASKED).encode()


@dataclass(kw_only=True)
class Engine:
    """Answers as Docker's does, as far as the gate asks; `seen` are the bytes of each request."""

    place: Path
    seen: list[bytes] = field(default_factory=list)
    there: list[str] = field(default_factory=list)

    def connect(self) -> socket.socket:
        stream = socket.socket(socket.AF_UNIX)
        stream.connect(str(self.place))
        return stream

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                stream, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(stream,), daemon=True).start()

    def answer(self, stream: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += stream.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += stream.recv(65536)
        self.seen.append(head + b"\r\n\r\n" + body)
        line = head.split(b"\r\n")[0].decode()
        if "/attach" in line:
            stream.sendall(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
            said = b""
            while block := stream.recv(65536):
                said += block
            stream.sendall(b"heard " + said)  # after the other side has ended its own
        elif "/wait" in line:
            stream.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            time.sleep(0.2)
            stream.sendall(b'{"StatusCode": 0}')
        else:
            self.plain(stream, line)
        stream.close()

    def plain(self, stream: socket.socket, line: str) -> None:
        response: Any = {}
        status = 200
        if "/containers/create" in line:
            status, response = 201, {"Id": MINE, "Warnings": []}
            self.there.append(MINE)
        elif "/containers/json" in line:
            response = [{"Id": container} for container in self.there]
        elif line.startswith("DELETE"):
            self.there.remove(line.split("/")[2 if "/v1" not in line else 3].partition("?")[0])
        elif "/json" in line and MINE not in self.there:
            status = 404
        body = json.dumps(response).encode()
        stream.sendall(f"HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {len(body)}"
                       "\r\n\r\n".encode() + body)


@pytest.fixture
def engine() -> Iterator[Engine]:
    with tempfile.TemporaryDirectory(prefix="airlock-test-") as folder, \
            socket.socket(socket.AF_UNIX) as listener:
        made = Engine(place=Path(folder) / "engine.sock")
        listener.bind(str(made.place))
        listener.listen(64)
        threading.Thread(target=made.serve, args=(listener,), daemon=True).start()
        yield made
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def gate(engine: Engine) -> Iterator[Path]:
    with engine_gate.opened(engine.connect, RULES) as place:
        engine.seen.clear()
        yield place


def dial(gate: Path) -> socket.socket:
    stream = socket.socket(socket.AF_UNIX)
    stream.settimeout(10)
    stream.connect(str(gate))
    return stream


def read_all(stream: socket.socket) -> bytes:
    data = b""
    while block := stream.recv(65536):
        data += block
    return data


def ask(gate: Path, line: str, body: bytes = b"", more: str = "", after: bytes = b"") -> bytes:
    with dial(gate) as stream:
        stream.sendall(f"{line} HTTP/1.1\r\nHost: d\r\n{more}Content-Length: {len(body)}\r\n\r\n"
                       .encode() + body + after)
        return read_all(stream)


def create(gate: Path, name: str = "mine") -> None:
    assert b" 201 " in ask(gate, f"POST /v1.41/containers/create?name={name}", CREATE)


def test_a_container_is_made_started_waited_for_and_removed(gate: Path, engine: Engine) -> None:
    create(gate)
    assert b" 200 " in ask(gate, "POST /v1.41/containers/mine/start")
    assert ask(gate, "POST /containers/mine/wait?condition=next-exit").endswith(
        b'{"StatusCode": 0}')
    assert b" 200 " in ask(gate, "DELETE /v1.41/containers/mine")
    assert b" 404 " in ask(gate, "POST /v1.41/containers/mine/start")
    create(gate)
    assert engine.there == [MINE]


def test_an_attached_stream_goes_both_ways_and_each_side_ends_its_own(gate: Path) -> None:
    create(gate)
    with dial(gate) as stream:
        # What comes together with the head is the stream's, too.
        stream.sendall(b"POST /containers/mine/attach?stream=1&stdin=1 HTTP/1.1\r\nHost: d\r\n"
                       b"Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\nto ")
        stream.sendall(b"be" * 100_000)
        stream.shutdown(socket.SHUT_WR)
        head, _, said = read_all(stream).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert said == b"heard to " + b"be" * 100_000


def test_of_two_requests_at_once_the_second_reaches_nobody(gate: Path, engine: Engine) -> None:
    hidden = b"POST /containers/" + OTHERS.encode() + b"/stop HTTP/1.1\r\nHost: d\r\n\r\n"
    for line, body in (("GET /_ping", b""), ("POST /containers/create", CREATE)):
        ask(gate, line, body, after=hidden)
    assert len(engine.seen) == 2
    assert not [request for request in engine.seen if OTHERS.encode() in request]


def test_what_reaches_the_engine_is_never_the_clients_own_head(gate: Path,
                                                               engine: Engine) -> None:
    ask(gate, "GET /_ping", more="X-Registry-Auth: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n")
    assert engine.seen == [b"GET /_ping HTTP/1.1\r\nHost: docker\r\nContent-Type: "
                           b"application/json\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"]


@pytest.mark.parametrize(("line", "more"), [
    ("POST /containers/create", "Transfer-Encoding: chunked\r\n"),
    ("POST /containers/create", "Content-Length: 3\r\n"),
    ("POST /containers/mine/exec", ""), (f"POST /containers/{OTHERS}/stop", ""),
    ("POST /containers/mine/attach?stream=1", ""), ("POST /images/create?fromImage=x", "")])
def test_what_is_refused_reaches_nobody(gate: Path, engine: Engine, line: str, more: str) -> None:
    create(gate)
    before = list(engine.seen)
    said = ask(gate, line, CREATE if "create" in line else b"", more)
    assert said.split()[1] in (b"400", b"403", b"404")
    assert b"nf-airlock's gate: " in said
    assert engine.seen == before


def test_an_endless_head_and_a_silent_client_are_left(gate: Path, engine: Engine,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_gate, "TIMEOUT", 0.3)
    with dial(gate) as stream:
        stream.sendall(b"GET /_ping HTTP/1.1\r\nX: " + b"a" * 40_000)
        assert b" 431 " in read_all(stream)
    with dial(gate) as stream:
        stream.sendall(b"GET /_ping HTTP/1.1\r\n")
        assert b" 408 " in read_all(stream)
    with dial(gate) as stream:
        stream.sendall(b"POST /containers/create HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n")
        assert b" 413 " in read_all(stream)
    assert engine.seen == []


def test_connections_and_containers_are_bounded(gate: Path, monkeypatch: pytest.MonkeyPatch
                                                ) -> None:
    monkeypatch.setattr(engine_gate, "MAX_CONTAINERS", 1)
    create(gate)
    assert b" 503 " in ask(gate, "POST /containers/create?name=next", CREATE)
    monkeypatch.setattr(engine_gate, "MAX_CONNECTIONS", 2)
    held = [dial(gate) for _ in range(4)]
    time.sleep(0.1)
    with dial(gate) as stream:
        assert read_all(stream) == b""
    for connection in held:
        connection.close()


def test_what_is_left_is_removed_at_the_end_and_before_the_next(engine: Engine) -> None:
    engine.there.append(OTHERS)  # of this launch's label: a killed run left it
    with engine_gate.opened(engine.connect, RULES) as place:
        assert engine.there == []
        create(place)
    assert engine.there == []
    assert not place.exists()
