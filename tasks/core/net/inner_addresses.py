"""Which addresses of the inner network may be asked: those that the site names, and no other.

What a URL, a redirect or an index names is a stranger's word. A name is judged by the addresses
that it has at the very connect, and only these are connected to: other spellings of an address,
and a name that changes its address, gain nothing.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from tasks.core.errors import NetError
from tasks.core.frozen import frozen

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
MAX_ADDRESSES = 8
"""Addresses of one name that are tried."""
PORTS = {"http": 80, "https": 443, "ftp": 21}
PUBLIC = ipaddress.ip_network("2000::/3")
"""All that is assigned of IPv6 for the internet (IANA)."""
NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
"""Addresses whose last 32 bits are an IPv4 address (RFC 6052, RFC 8215)."""
SPECIAL = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20")))
"""Of no one place in the internet (IANA's special-purpose registries), though not all versions of
Python say so."""
UNUSED_ADDRESSES = {socket.AF_INET: "240.0.0.1", socket.AF_INET6: "100::1"}
"""Addresses that no machine has: one that can listen there could at any address."""


class Refused(NetError):
    """An address inside that the site doesn't name."""


@frozen
class Inside:
    """What may be asked of the inner network.

    `allowed` is hosts.inside: hosts, host:port and networks. `named` are the host:port of other
    addresses that the site's or our pipeline's config names, exactly.
    """

    allowed: tuple[str, ...] = ()
    named: tuple[str, ...] = ()

    def naming(self, *urls: str) -> Inside:
        """The same, with the host:port of URLs that our own configuration names."""
        places = filter(None, map(_place_of, urls))
        return replace(self, named=tuple(sorted({*self.named, *places})))

    def connect(self, host: str, port: int, timeout: float | None,
                options: Sequence[Any] = ()) -> socket.socket:
        """A connection, as socket.create_connection makes one; Refused where it leads inside."""
        try:
            addresses = socket.getaddrinfo(host.strip("[]"), port, 0, socket.SOCK_STREAM)
        except UnicodeError as error:
            raise NetError("that is no host's name", where=host) from error
        self._judge(host, port, [str(place[0]) for *_, place in addresses])
        fault: OSError = socket.gaierror(socket.EAI_NONAME, "the name has no address")
        for family, kind, protocol, _, place in addresses[:MAX_ADDRESSES]:
            connection = socket.socket(family, kind, protocol)
            try:
                for option in options:
                    connection.setsockopt(*option)
                connection.settimeout(timeout)
                connection.connect(place)
            except OSError as error:
                connection.close()
                fault = error
            else:
                return connection
        raise fault

    def judge(self, url: str) -> None:
        """Refused where the URL's host leads inside, before a proxy is asked for it.

        A name that isn't known here is the proxy's to resolve.
        """
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)
        with contextlib.suppress(socket.gaierror, UnicodeError):
            addresses = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
            self._judge(host, port, [str(place[0]) for *_, place in addresses])

    def _judge(self, host: str, port: int, addresses: Sequence[str]) -> None:
        place = _place(host, port)
        if place in self.named or {place, place.rpartition(":")[0]} & {*self.allowed}:
            return
        for text in addresses:
            forms = _forms(ipaddress.ip_address(text))
            if any(form in network for form in forms for network in self._networks()):
                continue
            if not all(map(_is_public, forms)) or _is_own(text):
                at = f" ({text})" if text != host.strip("[]") else ""
                raise Refused(f"{host}{at} lies inside, and is not asked unless hosts.inside of "
                              f"the site's config names it: {place}", where=place,
                              todo=f"if it is meant, add `inside: [\"{place}\"]` to `hosts` in the "
                                   "site's config")

    def _networks(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        networks = []
        for name in self.allowed:
            with contextlib.suppress(ValueError):  # a host's name
                networks.append(ipaddress.ip_network(name.strip("[]"), strict=False))
        return networks


NOWHERE = Inside()
"""Nothing of the inner network, but for what other keys of the configuration name."""
EVERYWHERE = Inside(allowed=("0.0.0.0/0", "::/0"))
"""For the offline host, which has nothing but an inside, and asks what a signed release names."""


def _place(host: str, port: int) -> str:
    name = host.strip("[]").lower()
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def _place_of(url: str) -> str | None:
    """host:port of a URL; None where it has none, as file:// and paths."""
    try:
        parts = urlsplit(url)
        named, port = parts.hostname, parts.port or PORTS.get(parts.scheme)
    except ValueError:  # no URL
        return None
    return _place(named, port) if named and port else None


def _forms(address: Address) -> list[Address]:
    """The address, and those of IPv4 that it stands for: mapped, 6to4, Teredo, NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    if any(address in network for network in NAT64):
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    return [address, *(inner for inner in (address.sixtofour, *(address.teredo or ())) if inner)]


def _is_public(address: Address) -> bool:
    """Whether it is one of the internet: not loopback, private, link-local, 100.64/10, …"""
    if isinstance(address, ipaddress.IPv6Address) and address not in PUBLIC:
        return False
    if any(address in network for network in SPECIAL):
        return False
    # is_global is true of some that are multicast or reserved.
    return address.is_global and not address.is_multicast and not address.is_reserved


def _is_own(address: str) -> bool:
    """Whether it is an address of this machine: only those can be listened at."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return _can_listen(family, address) and not _can_listen(family, UNUSED_ADDRESSES[family])


def _can_listen(family: socket.AddressFamily, address: str) -> bool:
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
