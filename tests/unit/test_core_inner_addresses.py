"""What counts as inside, however it is written; what a site names of it, and exactly that."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tasks.core.net import inner_addresses
from tasks.core.net.inner_addresses import EVERYWHERE, NOWHERE, Inside, Refused

WITHIN = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.1.1", "172.16.0.1", "192.168.1.1", "100.64.0.1",  # noqa: S104
    "169.254.169.254", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.0.8",
    "192.0.2.1", "198.18.0.1", "192.88.99.1", "::1", "::", "fe80::1", "fc00::1",
    "fd00:ec2::254", "fec0::1", "ff02::1", "ff0e::1", "100::1", "2001:db8::1", "3fff::1",
    "5f00::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a00:1::1",
    "2001:0:102:304::f5ff:fffe"]
OUTSIDE = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808",
           "2002:808:808::1"]
SPELLINGS = ["127.1", "0x7f000001", "2130706433", "017700000001", "0x7f.1", "127.0.0.1",
             "LOCALHOST", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "127。0。0。1", "0"]


def answering(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Let a name have one of the addresses after another; what is then connected to."""
    left = list(answers)
    reached: list[str] = []

    def resolve(host: str, port: int, *_: Any) -> list[Any]:
        address = left.pop(0) if len(left) > 1 else left[0]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 0, "", (address, port))]

    def connect(self: socket.socket, place: Any) -> None:
        reached.append(place[0])

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket.socket, "connect", connect)
    return reached


@pytest.mark.parametrize("address", WITHIN)
def test_a_name_that_leads_inside_is_refused_with_both(monkeypatch: pytest.MonkeyPatch,
                                                       address: str) -> None:
    reached = answering(monkeypatch, address)
    with pytest.raises(Refused) as caught:
        NOWHERE.connect("data.example.org", 443, 1)
    for part in (f"data.example.org ({address})", "hosts.inside", "data.example.org:443"):
        assert part in caught.value.what
    assert reached == []


@pytest.mark.parametrize("address", OUTSIDE)
def test_the_internet_is_reached(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    reached = answering(monkeypatch, address)
    NOWHERE.connect("data.example.org", 443, 1).close()
    assert reached == [address]


@pytest.mark.parametrize("host", SPELLINGS)
def test_odd_spellings_of_an_address_are_no_way_in(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        with pytest.raises(Refused, match=r"hosts\.inside"):
            NOWHERE.connect(host, server.getsockname()[1], 1)
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_name_is_connected_to_where_it_was_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the second answer is another; it is judged anew, or isn't asked for."""
    reached = answering(monkeypatch, "8.8.8.8", "127.0.0.1")
    NOWHERE.connect("data.example.org", 443, 1).close()
    with pytest.raises(Refused):
        NOWHERE.connect("data.example.org", 443, 1)
    assert reached == ["8.8.8.8"]


def test_one_address_inside_among_others_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    reached: list[Any] = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, place: reached.append(place))
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, *_: [
        (socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, port))
        for address in ("8.8.8.8", "10.0.0.1")])
    with pytest.raises(Refused):
        NOWHERE.connect("data.example.org", 443, 1)
    assert reached == []


def test_this_machine_s_own_addresses_are_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of a cloud has addresses of the internet, behind which no firewall stands."""
    answering(monkeypatch, "8.8.8.8")
    monkeypatch.setattr(inner_addresses, "_can_listen",
                        lambda family, address: address == "8.8.8.8")
    with pytest.raises(Refused):
        NOWHERE.connect("data.example.org", 443, 1)


@pytest.mark.parametrize(("allowed", "host", "port", "is_well"), [
    ("files.corp", "files.corp", 80, True), ("files.corp:8080", "files.corp", 8080, True),
    ("files.corp:8080", "files.corp", 80, False), ("files.corp", "sub.files.corp", 80, False),
    ("10.0.0.0/8", "files.corp", 80, True), ("10.9.9.9", "files.corp", 80, True),
    ("10.8.0.0/16", "files.corp", 80, False), ("files.corp", "FILES.corp", 80, True),
    ("10.9.9.9:80", "10.9.9.9", 80, True), ("10.9.9.9:80", "files.corp", 80, False)])
def test_a_site_names_hosts_ports_and_networks(monkeypatch: pytest.MonkeyPatch, allowed: str,
                                               host: str, port: int, is_well: bool) -> None:
    reached = answering(monkeypatch, "10.9.9.9")
    judged = Inside(allowed=(allowed,))
    if is_well:
        judged.connect(host, port, 1).close()
    else:
        with pytest.raises(Refused):
            judged.connect(host, port, 1)
    assert reached == ["10.9.9.9"] * is_well


def test_other_keys_name_a_host_and_its_port_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    reached = answering(monkeypatch, "10.9.9.9")
    judged = NOWHERE.naming("https://user@Nexus.corp/repository/x", "ftp://[fd00::1]/x", "file:///x",
                            "aws", "http://[::1", "")
    assert judged.named == ("[fd00::1]:21", "nexus.corp:443")
    judged.connect("nexus.corp", 443, 1).close()
    for host, port in (("nexus.corp", 8081), ("other.corp", 443), ("10.9.9.9", 443)):
        with pytest.raises(Refused):
            judged.connect(host, port, 1)
    assert reached == ["10.9.9.9"]


def test_what_a_proxy_is_asked_for_is_judged_where_it_resolves_here(
        monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "169.254.169.254")
    with pytest.raises(Refused):
        NOWHERE.judge("http://metadata.example.org/latest")

    def unknown(*_: Any) -> list[Any]:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    NOWHERE.judge("http://known.to.the.proxy/x")


def test_the_offline_host_has_an_inside_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    reached = answering(monkeypatch, "10.0.0.1", "fd00::1", "::1")
    for _ in range(3):
        EVERYWHERE.connect("nexus.corp", 443, 1).close()
    assert reached == ["10.0.0.1", "fd00::1", "::1"]
