"""One pace for each host, whoever asks: what one client is refused slows all that come after."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.core.net import download, pace
from tasks.core.net.network import Network
from tasks.core.registry.client import Access, Registries
from tests.kit.registry_memory import Answer, Memory, Request, serve
from tests.kit.web import near

Ask = Callable[[Memory, Network, Path], object]


def data(server: Memory, network: Network, folder: Path) -> None:
    download.fetch(f"{server.url}/x.fq", folder / "x.fq", network=network, most=1000)


def registry(server: Memory, network: Network, _: Path) -> None:
    Registries(Access(registries={"it": server.url}, ca=None, authfile=None,
                      network=network)).at("it").ping()


class Busy:
    """A server that notes when it is asked, and answers the next request with 429 if asked to."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.refusal: dict[str, str] | None = None

    def spoil(self, _: Request) -> Answer:
        self.times.append(time.monotonic())
        refusal, self.refusal = self.refusal, None
        return (200, {}, b"{}") if refusal is None else (429, refusal, b"")


@pytest.fixture
def busy(quick: None) -> Iterator[tuple[Busy, Memory]]:
    with serve(Memory()) as server:
        busy = Busy()
        server.spoil = busy.spoil
        yield busy, server


@pytest.mark.parametrize(("first", "then"), [(data, registry), (registry, data)])
def test_a_refusal_of_one_slows_the_other(busy: tuple[Busy, Memory], first: Ask, then: Ask,
                                          tmp_path: Path) -> None:
    """Some ten requests a second were too many, so it becomes some five."""
    (server, memory), network = busy, near()
    for _ in range(4):
        first(memory, network, tmp_path)
        time.sleep(0.1)
    server.refusal = {}
    first(memory, network, tmp_path)
    refused = time.monotonic()
    for _ in range(5):
        then(memory, network, tmp_path)
    assert server.times[-1] - refused > 0.6


@pytest.mark.parametrize(("first", "then"), [(data, registry), (registry, data)])
def test_a_pause_that_one_is_asked_for_is_kept_by_the_other(
        busy: tuple[Busy, Memory], first: Ask, then: Ask, tmp_path: Path) -> None:
    (server, memory), network = busy, near()
    server.refusal = {"Retry-After": "1"}
    refused = threading.Thread(target=first, args=(memory, network, tmp_path))
    refused.start()
    while not server.times:
        time.sleep(0.01)
    time.sleep(0.1)  # the answer has come
    then(memory, network, tmp_path)
    refused.join()
    assert len(server.times) == 3
    assert all(later - server.times[0] > 0.9 for later in server.times[1:])


def test_hosts_that_redirect_to_each_other_hold_nobody(monkeypatch: pytest.MonkeyPatch,
                                                       tmp_path: Path) -> None:
    """Whoever waits at the second host for a connection keeps none that is waited for there."""
    monkeypatch.setattr(pace, "CONNECTIONS", 1)
    network, both = near(), threading.Barrier(2, timeout=10)

    def crossing(other: Memory) -> Callable[[Request], Answer]:
        def spoil(request: Request) -> Answer:
            if request.path == "/there":
                return 200, {}, b"x"
            both.wait()
            return 302, {"Location": f"{other.url}/there"}, b""
        return spoil

    with serve(Memory(lock=threading.Semaphore(4))) as one, \
            serve(Memory(lock=threading.Semaphore(4))) as two:
        one.spoil, two.spoil = crossing(two), crossing(one)
        threads = [threading.Thread(target=data, args=(server, network, tmp_path / name),
                                    daemon=True) for name, server in (("1", one), ("2", two))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(15)
    assert [(tmp_path / name / "x.fq").read_bytes() for name in ("1", "2")] == [b"x", b"x"]
