"""Downloads from a server with faults."""

from __future__ import annotations

import hashlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.core.errors import SourceError
from tasks.core.net import download, pace, request
from tasks.core.net.network import Network
from tests.kit.web import Web, near

pytestmark = pytest.mark.usefixtures("quick")

BODY = bytes(range(256)) * 20_000


def fetch(url: str, target: Path, network: Network | None = None) -> download.Fetched:
    return download.fetch(url, target, network=network or near(), most=10**8)


def fetched(web: Web, target: Path, path: str = "/x") -> bytes:
    got = fetch(web.url + path, target)
    data = target.read_bytes()
    assert (got.sha256, got.size) == (hashlib.sha256(data).hexdigest(), len(data))
    return data


def test_a_broken_body_goes_on_from_where_it_broke(tmp_path: Path, web: Web) -> None:
    web.files, web.cuts = {"/x": BODY}, {"/x": 1}
    assert fetched(web, tmp_path / "x") == BODY
    (first, second) = (entry[1] for entry in web.seen)
    assert first is None
    assert second is not None
    assert 0 < int(second.removeprefix("bytes=").rstrip("-")) <= len(BODY) // 2


def test_a_file_that_changed_meanwhile_starts_anew(tmp_path: Path, web: Web) -> None:
    web.files, web.cuts = {"/x": BODY}, {"/x": 1}
    asked = threading.Event()

    class Files(dict[str, bytes]):
        def __getitem__(self, path: str) -> bytes:
            first = not asked.is_set()
            asked.set()
            return BODY if first else BODY[::-1]

    web.files = Files({"/x": BODY})
    assert fetched(web, tmp_path / "x") == BODY[::-1]


def test_passing_faults_are_tried_again_and_lasting_ones_are_not(tmp_path: Path, web: Web) -> None:
    web.files, web.statuses = {"/x": BODY}, {"/x": [503, 429], "/y": [403] * 9}
    assert fetched(web, tmp_path / "x") == BODY
    with pytest.raises(SourceError, match="403"):
        fetched(web, tmp_path / "y", "/y")
    assert (web.asked("/x"), web.asked("/y")) == (3, 1)


def test_a_body_that_breaks_each_time_is_an_error(tmp_path: Path, web: Web) -> None:
    web.files, web.statuses = {}, {"/x": [500] * 99}
    with pytest.raises(SourceError, match=f"500 .*{request.ATTEMPTS} attempts"):
        fetched(web, tmp_path / "x")
    assert web.asked("/x") == request.ATTEMPTS


def test_a_host_that_does_not_answer_is_an_error(tmp_path: Path, web: Web) -> None:
    url = f"{web.url}/x?token=s3cret"
    web.socket.close()
    with pytest.raises(SourceError) as caught:
        fetch(url.replace(str(web.server_port), "1"), tmp_path / "x")
    assert "Connection refused" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher:x"])
def test_a_redirect_off_the_web_is_refused(tmp_path: Path, web: Web, target: str) -> None:
    web.redirects = {"/x": target}
    with pytest.raises(SourceError, match="redirects"):
        fetched(web, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b""


def test_a_loop_of_redirects_ends(tmp_path: Path, web: Web) -> None:
    web.redirects = {"/x": "/y", "/y": "/x"}
    with pytest.raises(SourceError, match="redirects"):
        fetched(web, tmp_path / "x")


def test_a_login_stays_with_its_host(tmp_path: Path, web: Web) -> None:
    web.files = {"/y": BODY}
    web.redirects = {"/x": web.url.replace("127.0.0.1", "localhost") + "/y"}
    address = web.url.replace("http://", "http://user:word@")
    fetch(f"{address}/x", tmp_path / "x")
    assert [(path, login is not None) for path, _, login in web.seen] == [("/x", True),
                                                                         ("/y", False)]


def test_a_login_that_left_its_host_does_not_come_back(tmp_path: Path, web: Web) -> None:
    """Else a host could choose what of another is asked with a login that it never had."""
    web.files = {"/z": BODY}
    web.redirects = {"/x": web.url.replace("127.0.0.1", "localhost") + "/y", "/y": f"{web.url}/z"}
    fetch(web.url.replace("http://", "http://user:word@") + "/x", tmp_path / "x")
    assert [(path, login is not None) for path, _, login in web.seen] == [
        ("/x", True), ("/y", False), ("/z", False)]


def test_a_connection_serves_again(tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch,
                                   ) -> None:
    """Also after a redirect, a missing file and a whole body."""
    connections = []
    real = web.get_request

    def counted() -> tuple[socket.socket, object]:
        connection, address = real()
        connections.append(address)
        return connection, address

    monkeypatch.setattr(web, "get_request", counted)
    web.files, web.redirects, network = {"/x": BODY}, {"/y": "/x"}, near()
    for path in ("/x", "/y", "/x"):
        fetch(f"{web.url}{path}", tmp_path / "x", network)
        assert download.look(f"{web.url}/none", network) is None
    assert len(connections) == 1


def test_a_proxy_of_the_environment_is_used(tmp_path: Path, web: Web,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", web.url)
    monkeypatch.setenv("no_proxy", "")
    web.files = {"http://data.example.org/x": BODY}
    fetch("http://data.example.org/x", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == BODY


def test_a_host_gets_no_more_connections_than_agreed(tmp_path: Path, web: Web) -> None:
    gate = threading.Semaphore(0)
    inside, most = 0, 0
    lock = threading.Lock()

    class Slow(dict[str, bytes]):
        def __getitem__(self, path: str) -> bytes:
            nonlocal inside, most
            with lock:
                inside += 1
                most = max(most, inside)
            gate.acquire(timeout=0.05)
            with lock:
                inside -= 1
            return b"x"

    web.files = Slow({f"/{number}": b"x" for number in range(24)})
    network = near()
    with ThreadPoolExecutor(24) as threads:
        list(threads.map(lambda n: fetch(f"{web.url}/{n}", tmp_path / str(n), network), range(24)))
    assert 1 < most <= pace.CONNECTIONS
