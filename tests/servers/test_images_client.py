"""The client in depth: resumed downloads, uploads in chunks, limits, proxies, very large layers."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks.core.errors import RegistryError
from tasks.core.net import pace
from tasks.core.net.network import Network
from tasks.core.registry import uploads
from tasks.core.registry.client import MANIFESTS
from tasks.core.registry.uploads import Opener
from tests.kit import registries as servers
from tests.kit import registry_streams as streams
from tests.kit.registry_memory import Answer, Memory, Request, client

pytestmark = pytest.mark.usefixtures("quick")

DATA = bytes(range(256)) * 20_000
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()


def handed(data: bytes = DATA, piece: int = 70_000) -> Opener:
    @contextmanager
    def source() -> Iterator[Iterator[bytes]]:
        yield (data[at:at + piece] for at in range(0, len(data), piece))

    return source


def breaking(times: int, at: int) -> object:
    """Break the first answers to a GET of a blob off after so many bytes."""
    left = [times]

    def spoil(request: Request) -> Answer | None:
        if request.method != "GET" or "/blobs/" not in request.path or not left[0]:
            return None
        left[0] -= 1
        start = int(request.headers.get("range", "bytes=0-")[6:-1])
        status = 206 if start else 200
        return status, {"Content-Length": str(len(DATA) - start), "Content-Range":
                        f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"}, DATA[start:start + at]

    return spoil


@pytest.mark.parametrize(("times", "at"), [(1, 1_000_000), (4, 100_000), (4, 0)])
def test_a_broken_download_goes_on_where_it_broke(far: Memory, times: int, at: int) -> None:
    far.ranges = True
    far.add_blob("a/b", DATA)
    far.spoil = breaking(times, at)  # type: ignore[assignment]
    with client(far.url).blob("a/b", DIGEST, len(DATA)) as chunks:
        assert b"".join(chunks) == DATA
    asked = [request.headers.get("range") for request in far.seen]
    assert asked == [None if at * number == 0 else f"bytes={at * number}-"
                     for number in range(times + 1)]


def test_a_source_without_ranges_is_read_anew_and_nothing_passed_twice(far: Memory) -> None:
    far.add_blob("a/b", DATA)
    left = [2]

    def spoil(request: Request) -> Answer | None:
        left[0] -= 1
        return (200, {"Content-Length": str(len(DATA))}, DATA[:1_500_000]) if left[0] >= 0 else None

    far.spoil = spoil
    with client(far.url).blob("a/b", DIGEST, len(DATA)) as chunks:
        assert b"".join(chunks) == DATA


def test_a_download_that_gets_nowhere_ends(far: Memory) -> None:
    far.ranges = True
    far.spoil = breaking(1000, 10)  # type: ignore[assignment]
    with pytest.raises(RegistryError, match="ended early"), client(far.url).blob(
            "a/b", DIGEST, len(DATA)) as chunks:
        list(chunks)
    assert len(far.seen) == 5


def test_a_sources_connection_is_given_back_with_its_last_byte(far: Memory) -> None:
    """What it is sent to may answer long after that, and others wait for the source."""
    registry = client(far.url)
    connections = registry.limits.connections
    far.add_blob("a/b", DATA)
    with registry.blob("a/b", DIGEST, len(DATA)) as chunks:
        assert connections._busy == 1
        assert b"".join(chunks) == DATA
        assert connections._busy == 0
    assert connections._busy == 0


def test_a_blob_that_goes_to_its_own_host_takes_one_connection(far: Memory) -> None:
    registry = client(far.url)
    limits = registry.limits
    limits.connections.allow(1)
    far.add_blob("a/b", DATA)
    registry.upload("a/c", DIGEST, len(DATA), lambda: registry.blob("a/b", DIGEST, len(DATA)))
    assert far.blobs["a/c", DIGEST] == DATA
    assert (limits.connections._busy, limits.held.depth) == (0, 0)


@pytest.mark.parametrize("status", [405, 411, 413, 415, 501])
def test_what_is_refused_whole_goes_in_chunks_from_then_on(
        far: Memory, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "CHUNK", 1 << 20)
    far.spoil = lambda request: ((status, {}, b"") if request.method == "PUT"
                                 and request.headers["content-length"] != "0" else None)
    registry = client(far.url)
    for repository in ("a/one", "a/two"):
        registry.upload(repository, DIGEST, len(DATA), handed())
        assert far.blobs[repository, DIGEST] == DATA
    assert far.count("PATCH", "a/one") == far.count("PATCH", "a/two") == 5
    assert far.count("PUT", "a/one") == 2
    assert far.count("PUT", "a/two") == 1


def test_chunks_are_as_large_as_the_registry_asks_for(
        far: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "LARGE", 0)
    monkeypatch.setattr(uploads, "CHUNK", 1000)
    far.least_chunk = 2_000_000
    client(far.url).upload("a/b", DIGEST, len(DATA), handed())
    ranges = [request.headers["content-range"] for request in far.seen if request.method == "PATCH"]
    assert ranges == ["0-1999999", "2000000-3999999", f"4000000-{len(DATA) - 1}"]
    assert far.blobs["a/b", DIGEST] == DATA


@pytest.mark.parametrize("arrived", [0, 300_000, 1 << 20])
def test_a_chunk_that_broke_goes_on_from_what_arrived(
        far: Memory, arrived: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "LARGE", 0)
    monkeypatch.setattr(uploads, "CHUNK", 1 << 20)
    left = [1]

    def spoil(request: Request) -> Answer | None:
        if request.method == "PATCH" and request.headers["content-range"].startswith("1048576-"):
            left[0] -= 1
            if left[0] >= 0:
                far.parts["a/b"] += DATA[1 << 20:(1 << 20) + arrived]
                return 503, {}, b""
        return None

    far.spoil = spoil
    opened = []

    @contextmanager
    def once() -> Iterator[list[bytes]]:
        opened.append(True)
        yield [DATA]

    client(far.url).upload("a/b", DIGEST, len(DATA), once)
    assert far.blobs["a/b", DIGEST] == DATA
    assert len(opened) == 1


def test_chunks_on_a_real_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    servers.need_programs()
    monkeypatch.setattr(uploads, "LARGE", 0)
    monkeypatch.setattr(uploads, "CHUNK", 1_000_000)
    with servers.registry(tmp_path / "it") as server:
        registry = client(server.url)
        for data in (DATA, b"", b"x"):
            digest = "sha256:" + hashlib.sha256(data).hexdigest()
            registry.upload("a/b", digest, len(data), handed(data))
            with registry.blob("a/b", digest, len(data)) as chunks:
                assert b"".join(chunks) == data


def test_a_refused_rate_slows_all_that_follows(far: Memory, monkeypatch: pytest.MonkeyPatch,
                                               ) -> None:
    """A registry that takes twenty requests a second, as quay.io takes a few."""
    monkeypatch.setattr(pace, "LEARNING_INTERVAL", 0.05)
    monkeypatch.setattr("tasks.core.net.request.backoff", lambda attempt: 0.1)
    seen: list[float] = []
    refused = []

    def spoil(request: Request) -> Answer | None:
        now = time.monotonic()
        seen.append(now)
        if sum(now - moment < 0.2 for moment in seen) > 4:
            refused.append(now)
            return 429, {}, b""
        return None

    far.spoil = spoil
    network = Network()
    registry = client(far.url, network)
    for _ in range(25):
        registry.ping()
    assert refused
    assert len(refused) < 8
    assert network.hosts.at(far.url[7:]).pace.interval > 0.03


def test_hubs_used_up_limit_ends_at_once_and_says_how_long(far: Memory) -> None:
    far.spoil = lambda request: (429, {"ratelimit-limit": "100;w=21600",
                                       "ratelimit-remaining": "0;w=21600"}, b"toomanyrequests")
    with pytest.raises(RegistryError, match="100 in 21600 seconds is used up"):
        client(far.url).manifest("library/busybox", "1")
    assert len(far.seen) == 1


def test_the_reset_of_a_used_up_limit_is_waited_for(far: Memory) -> None:
    far.spoil = lambda request: ((200, {"ratelimit-remaining": "0", "ratelimit-reset": "1"}, b"")
                                 if len(far.seen) == 1 else None)
    registry = client(far.url)
    begun = time.monotonic()
    registry.ping()
    registry.ping()
    assert 1.0 <= time.monotonic() - begun < 3.0


def test_a_proxy_by_the_environment(far: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its login goes to the proxy alone, as Proxy-Authorization."""
    monkeypatch.setenv("http_proxy", far.url.replace("://", "://me:pass%20word@"))
    monkeypatch.setenv("NO_PROXY", "other.test")
    far.add_manifest("a/b", "1", MANIFESTS[0], b"{}")
    assert client("http://registry.test").manifest("a/b", "1").data == b"{}"
    assert far.seen[0].headers["host"] == "registry.test"
    assert far.seen[0].headers["proxy-authorization"] == "Basic bWU6cGFzcyB3b3Jk"
    assert "authorization" not in far.seen[0].headers
    with pytest.raises(RegistryError, match=r"no answer from other\.test"):
        client("http://other.test").ping()


@pytest.mark.parametrize(("size", "large"), [(1 << 30, 4 << 30), (128 << 20, 1)])
def test_a_very_large_layer_takes_little_memory(size: int, large: int) -> None:
    """A generated stream from one server to another; peak memory of a process of its own."""
    _, memory = streams.carry(size, large)
    assert memory < 100 << 20


def test_a_broken_realm_is_explained(far: Memory) -> None:
    """Nexus has been seen to answer `null://…` (nexus-public#580)."""
    far.spoil = lambda request: (
        401, {"WWW-Authenticate": 'Bearer realm="null://host/token",service="x"'}, b"")
    with pytest.raises(RegistryError, match="Bearer Token Realm"):
        client(far.url).ping()


def test_an_unknown_demand_is_explained(far: Memory) -> None:
    far.spoil = lambda request: (401, {"WWW-Authenticate": "Negotiate"}, b"")
    with pytest.raises(RegistryError, match="in a way that isn't known"):
        client(far.url).ping()


def test_a_long_retry_after_is_an_error_that_says_so(far: Memory) -> None:
    far.spoil = lambda request: (429, {"Retry-After": "21600"}, b"")
    with pytest.raises(RegistryError, match="wait 21600 seconds"):
        client(far.url).ping()
    assert len(far.seen) == 1
