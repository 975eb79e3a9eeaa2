"""An engine as far as the bootstrap asks one: which images it holds, and pulls into it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tasks.core.engine.address import Engine
from tests.kit.web import Quiet, Server, running


@dataclass
class FakeEngine:
    """What it holds, by reference; the logins of the pulls that it was asked for.

    The next pulls end with its `faults`, one each; with those of `within` they end after an
    answer of status 200 has begun, as Podman's do.
    """

    held: set[str] = field(default_factory=set)
    logins: list[dict[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    within: list[str] = field(default_factory=list)
    url: str = ""

    @property
    def engine(self) -> Engine:
        return Engine(url=self.url)


@contextmanager
def engine() -> Iterator[FakeEngine]:
    """One that answers on loopback."""
    fake = FakeEngine()

    class Handler(Quiet):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path.endswith("/_ping"):
                self.answer(200, None)
            elif path.endswith("/version"):
                self.answer(200, {"ApiVersion": "1.45"})
            else:
                name = unquote(path.partition("/images/")[2].removesuffix("/json"))
                known = name in fake.held
                self.answer(200 if known else 404, {"Id": "sha256:" + "0" * 64} if known else
                            {"message": f"No such image: {name}"})

        def do_POST(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            login = self.headers.get("X-Registry-Auth", "")
            fake.logins.append(json.loads(base64.urlsafe_b64decode(login)) if login else {})
            if fake.faults:
                self.answer(500, {"message": fake.faults.pop()})
                return
            if fake.within:
                self.tell({"status": "Trying to pull"}, {"error": fake.within.pop()})
                return
            fake.held.add(f"{query['fromImage'][0]}@{query['tag'][0]}")
            self.tell({"status": "Trying to pull"}, {"status": "pulled"})

        def tell(self, *lines: Any) -> None:
            """Answer line by line, as engines tell how a pull goes on."""
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for data in (*(json.dumps(line).encode() + b"\r\n" for line in lines), b""):
                self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

        def answer(self, status: int, value: Any) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    with running(Server(Handler)) as server:
        fake.url = server.url.replace("http://", "tcp://")
        yield fake
