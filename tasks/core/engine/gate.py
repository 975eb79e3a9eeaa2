"""A gate before the container engine: a socket at which a confined run asks for containers.

Who may talk to an engine may do anything as root. Here each request is read whole, held against
the rules, and written anew; the containers that were made through the gate are all that it knows.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.core.engine import rules
from tasks.core.engine.create import Rules
from tasks.core.engine.http import MAX_HEAD, Refused, Request, parse
from tasks.core.engine.rules import IDENTITY, Forward

MAX_CONNECTIONS = 512
"""At a time; each running task has two, of which one waits."""
MAX_CONTAINERS = 256
"""That are there at a time."""
TIMEOUT = 30.0
"""Seconds in which a request must have come whole, and the engine must have made a container."""
MAX_ANSWER = 1 << 20
"""Bytes of the engine's answer to a create, and of its list of what was left behind."""
BLOCK = 1 << 16
SOCKET = "engine.sock"

Connect = Callable[[], socket.socket]


class Gate:
    """Serves a Unix socket until it is closed; a thread for each connection, of one request."""

    def __init__(self, place: Path, connect: Connect, rules: Rules) -> None:
        self._connect, self._rules = connect, rules
        self._lock, self._making = threading.Lock(), threading.Lock()
        self._open: set[socket.socket] = set()
        self._containers: dict[str, str] = {}
        """The containers that are there: identity to name."""
        self._ended = False
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(place))
        self._listener.listen(128)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """End every connection, and remove the containers that are left."""
        with self._lock:
            self._ended = True
            held = [self._listener, *self._open]
        for stream in held:
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._making:  # one that is on its way is waited for
            sweep(self._connect, self._rules.launch)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._hold(client):
                threading.Thread(target=self._answer, args=(client,), daemon=True).start()
            else:
                client.close()

    def _hold(self, stream: socket.socket) -> bool:
        with self._lock:
            if self._ended or len(self._open) >= 2 * MAX_CONNECTIONS:
                return False
            self._open.add(stream)
            return True

    def _let_go(self, stream: socket.socket) -> None:
        with self._lock:
            self._open.discard(stream)
        with contextlib.suppress(OSError):
            stream.shutdown(socket.SHUT_RDWR)  # a thread that still reads would keep it open
        stream.close()

    def _answer(self, client: socket.socket) -> None:
        try:
            request, body, rest = receive(client)
            forward = rules.allowed(request, body, self._rules, self._find)
            if forward.attaches and not request.upgrades:
                raise Refused("an attach must ask for an upgrade", 400)
            self._forward(client, forward, rest)
        except Refused as error:
            _respond(client, error.status, {"message": f"nf-airlock's gate: {error.message}"})
        except (OSError, http.client.HTTPException) as error:
            _respond(client, 502, {"message": f"nf-airlock's gate: the engine fails: {error}"})
        finally:
            self._let_go(client)

    def _find(self, name: str) -> str | None:
        with self._lock:
            if name in self._containers:
                return name
            return next((key for key, value in self._containers.items() if value == name), None)

    def _forward(self, client: socket.socket, forward: Forward, rest: bytes) -> None:
        if forward.creates:
            self._create(client, forward)
            return
        engine = self._connect()
        if not self._hold(engine):
            engine.close()
            raise Refused("there are too many connections, or the run has ended", 503)
        try:
            engine.sendall(written(forward))
            if forward.attaches:
                _join(client, engine, rest)
            else:
                _relay(client, engine)
        finally:
            self._let_go(engine)
        if forward.removes:
            self._forget(forward.container)

    def _create(self, client: socket.socket, forward: Forward) -> None:
        """Make one container at a time, so that the gate knows all of them when it ends."""
        with self._making:
            if self._ended or len(self._containers) >= MAX_CONTAINERS:
                raise Refused("there are too many containers, or the run has ended", 503)
            status, answer = ask(self._connect, forward)
            identity = answer.get("Id") if isinstance(answer, dict) else None
            if status == 201 and isinstance(identity, str) and IDENTITY.fullmatch(identity):
                with self._lock:
                    self._containers[identity] = forward.container
            elif status == 201:
                raise Refused("the engine named no container", 502)
        _respond(client, status, answer)

    def _forget(self, identity: str) -> None:
        """Forget a container that is gone; the engine may have refused to remove it."""
        status, _ = ask(self._connect, Forward(method="GET",
                                               target=f"/containers/{identity}/json"))
        if status == 404:
            with self._lock:
                self._containers.pop(identity, None)


@contextmanager
def opened(connect: Connect, rules: Rules) -> Iterator[Path]:
    """Open a gate; yield its socket, in a folder with a short path (108 bytes are all that fit)."""
    sweep(connect, rules.launch)
    with tempfile.TemporaryDirectory(prefix="airlock-", dir="/tmp") as folder:
        place = Path(folder) / SOCKET
        gate = Gate(place, connect, rules)
        try:
            yield place
        finally:
            gate.close()


def receive(client: socket.socket) -> tuple[Request, bytes, bytes]:
    """Read a request; return it, its body, and what came after it."""
    ends, data = time.monotonic() + TIMEOUT, b""

    def more() -> bytes:
        client.settimeout(max(ends - time.monotonic(), 0.01))
        try:
            block = client.recv(BLOCK)
        except TimeoutError as error:
            raise Refused("the request did not come in time", 408) from error
        if not block:
            raise Refused("the request has no end", 400)
        return block

    while b"\r\n\r\n" not in data:
        if len(data) > MAX_HEAD:
            raise Refused("the request's head is too long", 431)
        data += more()
    head, _, rest = data.partition(b"\r\n\r\n")
    request = parse(head + b"\r\n\r\n")
    while len(rest) < request.length:
        rest += more()
    client.settimeout(None)
    return request, rest[:request.length], rest[request.length:]


def written(forward: Forward) -> bytes:
    """Return the request as bytes, in the one form in which the engine is asked."""
    lines = [f"{forward.method} {forward.target} HTTP/1.1", "Host: docker",
             "Content-Type: application/json", f"Content-Length: {len(forward.body)}",
             *(("Connection: Upgrade", "Upgrade: tcp") if forward.attaches
               else ("Connection: close",))]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + forward.body


def ask(connect: Connect, forward: Forward) -> tuple[int, Any]:
    """Return the engine's status and its answer in JSON, or None where that is something else."""
    with connect() as engine:
        engine.settimeout(TIMEOUT)
        engine.sendall(written(forward))
        response = http.client.HTTPResponse(engine, method=forward.method)
        response.begin()
        body = response.read(MAX_ANSWER)
    try:
        return response.status, json.loads(body)
    except ValueError:
        return response.status, None


def sweep(connect: Connect, launch: Path) -> None:
    """End and remove the containers of this launch folder, with their volumes."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        _, containers = ask(connect, Forward(method="GET", target=rules.leftovers(launch)))
        for container in containers if isinstance(containers, list) else ():
            ask(connect, Forward(method="DELETE",
                                 target=f"/containers/{container['Id']}?force=1&v=1"))


def _respond(client: socket.socket, status: int, answer: Any) -> None:
    body = json.dumps(answer).encode()
    reason = http.client.responses.get(status, "Error")
    head = (f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n")
    with contextlib.suppress(OSError):
        client.settimeout(TIMEOUT)
        client.sendall(head.encode() + body)


def _relay(client: socket.socket, engine: socket.socket) -> None:
    """Pass the answer on as it comes, until either side ends; the client is no longer heard."""
    ended = threading.Thread(target=_watch, args=(client, engine), daemon=True)
    ended.start()
    _pump(engine, client)


def _watch(client: socket.socket, engine: socket.socket) -> None:
    with contextlib.suppress(OSError):
        client.recv(1)
        engine.shutdown(socket.SHUT_RDWR)


def _join(client: socket.socket, engine: socket.socket, rest: bytes) -> None:
    """Join both streams after the engine's 101; either side may end its own first."""
    head = b""
    while b"\r\n\r\n" not in head:
        block = engine.recv(1)
        if not block or len(head) > MAX_HEAD:
            raise OSError("it did not answer an attach")
        head += block
    client.sendall(head)
    if head.startswith(b"HTTP/1.1 101 "):
        def up() -> None:
            with contextlib.suppress(OSError):
                engine.sendall(rest)
                _pump(client, engine)
                engine.shutdown(socket.SHUT_WR)

        threading.Thread(target=up, daemon=True).start()
    _pump(engine, client)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(BLOCK):
            target.sendall(block)
