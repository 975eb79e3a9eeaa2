"""The internet's file server, and what is looked at from within the offline host."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
import urllib3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.core import files
from tasks.local_site import fileserver, host_probe

CONTENT = bytes(range(200))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running server whose folder holds one file of 200 bytes."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "file").write_bytes(CONTENT)
    handler = partial(fileserver.Handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=st.integers(0, 250), length=st.integers(1, 250))
def test_a_range_is_that_part_of_the_file(address: str, first: int, length: int) -> None:
    answer = urllib3.request("GET", f"{address}/file",
                             headers={"Range": f"bytes={first}-{first + length - 1}"})
    if first >= len(CONTENT):
        assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */200")
    else:
        assert (answer.status, answer.data) == (206, CONTENT[first:first + length])
        last = min(first + length, 200) - 1
        assert answer.headers["Content-Range"] == f"bytes {first}-{last}/200"


def test_open_ranges_and_none(address: str) -> None:
    def get(**headers: str) -> tuple[int, bytes]:
        answer = urllib3.request("GET", f"{address}/file", headers=headers)
        return answer.status, answer.data

    assert get(Range="bytes=190-") == (206, CONTENT[190:])
    assert get(Range="bytes=-5") == (206, CONTENT[-5:])
    assert get() == get(Range="lines=1-2") == get(Range="bytes=9-3") == (200, CONTENT)


@pytest.mark.parametrize("path", ["/", "/nothing", "/../../etc/passwd"])
def test_nothing_else_is_served(address: str, path: str) -> None:
    assert urllib3.request("GET", address + path).status == 404


def test_a_probe_distinguishes_what_is_there_from_what_is_not(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = f"127.0.0.1:{server.getsockname()[1]}"
        open_now = host_probe.probe({"kind": "tcp", "target": target})
    closed = host_probe.probe({"kind": "tcp", "target": target})
    assert (open_now["refused"], closed["refused"]) == (False, True)
    assert "refused" in closed["detail"]
    assert not host_probe.probe({"kind": "path", "target": str(tmp_path)})["refused"]
    assert host_probe.probe({"kind": "path", "target": str(tmp_path / "no")})["refused"]
    assert not host_probe.probe({"kind": "name", "target": "localhost"})["refused"]


def test_the_listing_follows_links_and_is_sorted(tmp_path: Path) -> None:
    results = tmp_path / "results"
    files.write_text(results / "b/two", "2")
    files.write_text(tmp_path / "work/one", "1")
    (results / "a").symlink_to(tmp_path / "work/one")
    found = host_probe.listing(results)
    assert [(entry["path"], entry["size"]) for entry in found] == [("a", 1), ("b/two", 1)]
    assert found[0]["sha256"] == files.sha256_bytes(b"1")
    assert host_probe.listing(tmp_path / "none") == []


def test_what_runs_inside_needs_nothing_of_this_project(tmp_path: Path) -> None:
    for module in (host_probe, fileserver):
        assert module.__file__ is not None
        ended = subprocess.run([sys.executable, "-I", "-c",
                               "import runpy, sys; runpy.run_path(sys.argv[1])", module.__file__],
                              cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
