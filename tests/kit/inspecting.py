"""A corporate proxy that inspects TLS: all that goes through it is seen, under its own CA.

It answers for hosts that nobody else here resolves, by the servers that a test gives it, so what
arrives has come by the proxy and trusts its CA.
"""

from __future__ import annotations

import base64
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from tests.kit.web import Quiet, Server, running

LOGIN = "clerk:pass@word"
"""Of proxies that ask for one."""
OWN = {"host", "connection", "proxy-connection", "proxy-authorization", "transfer-encoding",
       "content-length", "keep-alive"}
"""Headers of one connection, which aren't passed on."""


class Proxy(Server):
    """Passes requests for a host on to the plain server at `upstream[host]`, host:port.

    `seen` has `host path` of each request; `asks_login` whether CONNECT needs LOGIN.
    """

    def __init__(self, folder: Path, upstream: Mapping[str, str]) -> None:
        super().__init__(Handler)
        self.folder, self.upstream = folder, upstream
        self.seen: list[str] = []
        self.asks_login = False
        self.ca, self._key = folder / "inspecting.crt", folder / "inspecting.key"
        _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                 "/CN=inspecting CA", "-keyout", self._key, "-out", self.ca,
                 "-addext", "keyUsage=critical,keyCertSign")

    def at(self, login: str = "") -> str:
        """The proxy's URL, as HTTPS_PROXY names it."""
        return f"http://{login}{'@' if login else ''}127.0.0.1:{self.server_port}"

    def context(self, host: str) -> ssl.SSLContext:
        """A server's side of TLS with a certificate for `host`, made up as one goes."""
        crt, key = self.folder / f"{host}.crt", self.folder / f"{host}.key"
        if not crt.is_file():
            with tempfile.TemporaryDirectory() as name:
                csr, ext = Path(name) / "csr", Path(name) / "ext"
                ext.write_text(f"subjectAltName=DNS:{host}\n")
                own = Path(name) / "key"
                _openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={host}",
                         "-keyout", own, "-out", csr)
                _openssl("x509", "-req", "-in", csr, "-CA", self.ca, "-CAkey", self._key,
                         "-CAcreateserial", "-days", "2", "-extfile", ext, "-out",
                         Path(name) / "crt")
                key.write_bytes(own.read_bytes())
                crt.write_bytes((Path(name) / "crt").read_bytes())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(crt, key)
        return context


class Handler(Quiet):
    """CONNECT, then requests under TLS of our own."""

    server: Proxy
    host = ""

    def do_CONNECT(self) -> None:
        wanted = f"Basic {base64.b64encode(LOGIN.encode()).decode()}"
        if self.server.asks_login and self.headers["Proxy-Authorization"] != wanted:
            self.send_response(407)
            self.send_header("Proxy-Authenticate", 'Basic realm="proxy"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.host = self.path.partition(":")[0]
        if self.host not in self.server.upstream:
            self.send_error(403)
            return
        self.send_response_only(200)
        self.end_headers()
        try:
            self.connection = self.server.context(self.host).wrap_socket(
                self.connection, server_side=True)
        except (ssl.SSLError, OSError):
            self.close_connection = True
            return
        self.rfile = self.connection.makefile("rb", -1)
        self.wfile = self.connection.makefile("wb", 0)
        self.close_connection = False  # http.client asks for a tunnel by HTTP/1.0

    def do_GET(self) -> None:
        host = self.host or urlsplit(self.path).hostname or ""
        path = self.path if self.host else self.path.split("/", 3)[-1].join(("/", ""))
        self.server.seen.append(f"{host} {path}")
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.headers["Transfer-Encoding"] == "chunked":
            body = b"".join(self._chunks())
        connection = HTTPConnection(self.server.upstream[host], timeout=30)
        connection.request(self.command, path, body or None, {
            "Host": host, **{name: value for name, value in self.headers.items()
                             if name.lower() not in OWN}})
        answer = connection.getresponse()
        data = answer.read()
        self.send_response_only(answer.status)
        length = answer.headers["Content-Length"] if self.command == "HEAD" else str(len(data))
        for name, value in answer.getheaders():
            if name.lower() not in OWN:
                self.send_header(name, value)
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(data)
        connection.close()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


@contextmanager
def inspecting(folder: Path, upstream: Mapping[str, str]) -> Iterator[Proxy]:
    """The proxy, ended with the block; its CA and certificates lie in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with running(Proxy(folder, upstream)) as proxy:
        yield proxy
