"""An FTP server over a folder."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer


class _Login(FTPHandler):  # type: ignore[misc]  # the library has no types
    banner = "ready"
    log_prefix = ""


@contextmanager
def ftp_server(root: Path) -> Iterator[int]:
    """An FTP server, anonymous, and with a login `user:pass word`; its port."""
    authorizer = DummyAuthorizer()
    authorizer.add_anonymous(str(root / "public"))
    authorizer.add_user("user", "pass word", str(root / "private"))
    handler = type("Handler", (_Login,), {"authorizer": authorizer})
    server = FTPServer(("127.0.0.1", 0), handler)
    done = threading.Event()

    def serve() -> None:
        while not done.is_set():
            server.serve_forever(timeout=0.05, blocking=False)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.address[1]
    finally:
        done.set()
        thread.join()
        server.close_all()
