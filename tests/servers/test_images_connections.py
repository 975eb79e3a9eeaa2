"""How many requests go to a registry at once, and of which kind, by what it answers."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import pytest

from tasks.core.net.network import Network
from tests.kit.registry_memory import Memory, client, once, serve

pytestmark = pytest.mark.usefixtures("quick")


@contextmanager
def given(data: bytes) -> Iterator[list[bytes]]:
    yield [data]


@pytest.mark.parametrize("status", [400, 404, 405, 501])
def test_what_refuses_one_request_is_not_asked_for_it_again(
        far: Memory, status: int) -> None:
    far.spoil = lambda request: (status, {}, b"") if "digest" in request.query and (
        request.method == "POST") else None
    registry = client(far.url)
    for name in ("one", "two"):
        data = name.encode()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        registry.upload("a/b", digest, len(data), partial(given, data))
        assert data in far.blobs.values()
    assert sum("digest" in request.query for request in far.seen if request.method == "POST") == 1


class Gate:
    """Stands for a server's lock: lets all in, keeps each a while, and counts them."""

    def __init__(self) -> None:
        self.inside = self.most = 0
        self.lock = threading.Lock()

    def __enter__(self) -> None:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        time.sleep(0.03)
        with self.lock:
            self.inside -= 1

    def __exit__(self, *args: object) -> None:
        pass


def hundred_pings(gate: Gate, most: int) -> int:
    """The limit that is learnt from a hundred requests of 48 threads, of which `most` may run."""
    with serve(Memory(lock=gate)) as memory:
        registry = client(memory.url)
        connections = registry.limits.connections
        connections.allow(most)
        with ThreadPoolExecutor(48) as pool:
            for done in [pool.submit(registry.ping) for _ in range(100)]:
                done.result()
        return connections.limit


def test_a_sites_own_registry_gets_more_connections_up_to_its_limit() -> None:
    gate = Gate()
    assert hundred_pings(gate, 12) == 12
    assert 8 < gate.most <= 12


def test_a_storm_of_429_takes_the_connections_back(far: Memory) -> None:
    registry = client(far.url)
    connections = registry.limits.connections
    connections.allow(32)
    connections.limit = 32
    far.spoil = once(lambda request: True, (429, {"Retry-After": "0"}, b""), 3)
    with ThreadPoolExecutor(16) as pool:
        for done in [pool.submit(registry.ping) for _ in range(30)]:
            done.result()
    assert connections.limit == 8


def test_few_connections_to_one_host() -> None:
    """Eight at once for the whole process, whatever the number of threads and clients."""
    gate, network = Gate(), Network()
    with serve(Memory(lock=gate)) as memory:
        clients = [client(memory.url, network) for _ in range(3)]
        threads = [threading.Thread(target=client.ping) for client in clients * 10]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(memory.seen) == 30
    assert 2 <= gate.most <= 8
