"""EC2's metadata service, as IMDSv2 answers: a token first, then everything with that token."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from socket import socket

from tests.kit.web import Quiet

ROLE = "airlock-instance"
ROLES = "/latest/meta-data/iam/security-credentials/"
TTL, TOKEN = "X-aws-ec2-metadata-token-ttl-seconds", "X-aws-ec2-metadata-token"


@dataclass(kw_only=True)
class Metadata:
    """What it says; `role` is None where the instance has no profile. `asked` are the requests."""

    access: str
    secret: str
    session: str = "a-session-token+/=="
    role: str | None = ROLE
    code: str = "Success"
    token: str = field(default_factory=lambda: secrets.token_urlsafe(40))
    asked: list[str] = field(default_factory=list)

    @property
    def credentials(self) -> str:
        """The answer's text, in the form of EC2: one field a line."""
        return json.dumps({
            "Code": self.code, "LastUpdated": "2025-01-01T00:00:00Z", "Type": "AWS-HMAC",
            "AccessKeyId": self.access, "SecretAccessKey": self.secret, "Token": self.session,
            "Expiration": "2035-01-01T00:00:00Z"}, indent=2)


@contextmanager
def serving(metadata: Metadata, listener: socket) -> Iterator[None]:
    """Answer on a socket that listens already, wherever that is."""
    class Handler(Quiet):
        def do_PUT(self) -> None:
            metadata.asked.append(f"PUT {self.path}")
            if self.path != "/latest/api/token" or not self.headers.get(TTL, "").isdecimal():
                self._answer(400, "")
            else:
                self._answer(200, metadata.token)

        def do_GET(self) -> None:
            metadata.asked.append(f"GET {self.path}")
            if self.headers.get(TOKEN) != metadata.token:
                self._answer(401, "")
            elif metadata.role and self.path == ROLES:
                self._answer(200, metadata.role)
            elif metadata.role and self.path == ROLES + metadata.role:
                self._answer(200, metadata.credentials)
            else:
                self._answer(404, "<html>Not Found</html>")

        def _answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
