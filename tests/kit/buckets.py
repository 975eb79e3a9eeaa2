"""versitygw, an S3 server over a folder that refuses wrong checksums; started by the tests."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kit import go

VERSION = "v1.7.0"
ACCESS, SECRET = "testaccess", "testsecretkey0123"


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """A running server; a folder below `root` is a bucket."""

    endpoint: str
    root: Path
    pid: int


def program() -> Path:
    """The server's program, built once (about a minute)."""
    server = go.program("github.com/versity/versitygw/cmd/versitygw", VERSION)
    if server is None:
        pytest.skip("no Go to build versitygw with, the S3 server of this test")
    return server


@contextmanager
def gateway(root: Path, *, host: str = "127.0.0.1", port: int = 0,
            versions: bool = False) -> Iterator[Gateway]:
    """A server on the port, 0 being a free one; ended by its process id.

    With `versions` its buckets can keep older ones of each object.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        port = probe.getsockname()[1]
    data, log = root / "buckets", root / "versitygw.log"
    data.mkdir(parents=True)
    words: list[str | Path] = []
    if versions:
        (root / "versions").mkdir()
        words = ["--versioning-dir", root / "versions"]
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [program(), "--keep-alive", "--port", f"{host}:{port}", "posix", *words, data],
            stdout=sink, stderr=sink,
            env={**os.environ, "ROOT_ACCESS_KEY": ACCESS, "ROOT_SECRET_KEY": SECRET})
    try:
        _await(process, host, port, log)
        yield Gateway(endpoint=f"http://{host}:{port}", root=data, pid=process.pid)
    finally:
        process.kill()  # it would wait for connections that clients keep
        process.wait(10)


def _await(process: subprocess.Popen[bytes], host: str, port: int, log: Path) -> None:
    """Wait until the server answers, which may take long where other tests use the processors."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            if probe.connect_ex((host, port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"no answer from {host}:{port}: {log.read_text()}")
