"""The wire between the registry and the offline host: a network namespace and a veth pair."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

from tasks.core import config_places, files, processes
from tasks.core.errors import CommandError, HostError
from tasks.local_site import packages
from tasks.local_site.plan import Plan

LOCAL_ONLY = """\
*filter
:INPUT ACCEPT
:FORWARD DROP
:OUTPUT DROP
-A OUTPUT -o lo -j ACCEPT
{allowed}COMMIT
"""
"""iptables-restore(8): it replaces the whole table at once."""
_OTHERS = "where another clone's local site runs, type `./doit sandbox:down` there"


def up(plan: Plan) -> bool:
    """Make what is missing of namespace and wire; True where something was.

    The offline host's end has an address and no route but to its /30. HostError where a namespace
    or an address of the sandbox's is in somebody else's use.
    """
    marker = plan.folder("network") / "made"
    wanted = f"{plan.namespace} {plan.interface} {plan.address}/{plan.prefix_length}\n"
    if marker.is_file() and marker.read_text() != wanted:
        down(plan)
    if not marker.is_file():
        _refuse_foreign(plan)
        files.write_text(marker, wanted)
    changed = False
    if not namespace(plan).exists():
        _ip("netns", "add", plan.namespace)
        changed = True
    if not Path("/sys/class/net", plan.interface).exists():
        _ip("link", "add", plan.interface, "type", "veth",
            "peer", "name", peer(plan), "netns", plan.namespace)
        changed = True
    _address(plan.interface, f"{plan.address}/{plan.prefix_length}")
    inside = ("-netns", plan.namespace)
    _ip(*inside, "link", "set", "lo", "up")
    _address(peer(plan), f"{plan.peer_address}/{plan.prefix_length}", *inside)
    return changed


def close(plan: Plan) -> str | None:
    """Let the offline host send to `plan.ports` of `plan.address` alone; why not, or None.

    The rules stand in the offline host's own namespace, so no other firewall is touched.
    """
    allowed = "".join(f"-A OUTPUT -d {plan.address} -p tcp --dport {port} -j ACCEPT\n"
                      for port in plan.ports)
    tables = {"iptables-restore": allowed}
    if Path("/proc/net/if_inet6").exists():
        tables["ip6tables-restore"] = ""
    for name, lines in tables.items():
        program = packages.find_program(name)
        if program is None:
            return f"{name} is not here"
        try:
            processes.run(["nsenter", f"--net={namespace(plan)}", program],
                          stdin=LOCAL_ONLY.format(allowed=lines).encode())
        except CommandError as error:
            return f"{name}: {' '.join(error.tail)}"
    return None


def down(plan: Plan) -> bool:
    """Remove wire and namespace, if this sandbox made them."""
    marker = plan.folder("network") / "made"
    if not marker.is_file():
        return False
    # What stands in the file counts, since the configuration may have changed in between.
    name, interface = marker.read_text().split()[:2]
    if Path("/sys/class/net", interface).exists():
        _ip("link", "delete", interface)
    if Path("/run/netns", name).exists():
        _ip("netns", "delete", name)
    marker.unlink()
    return True


def is_up(plan: Plan) -> bool:
    """Whether namespace and wire are there."""
    return namespace(plan).exists() and Path("/sys/class/net", plan.interface).exists()


def namespace(plan: Plan) -> Path:
    """The file that names the network namespace."""
    return Path("/run/netns") / plan.namespace


def peer(plan: Plan) -> str:
    """The offline host's end of the wire."""
    return f"{plan.interface}p"


def _refuse_foreign(plan: Plan) -> None:
    where = config_places.site(plan.site)
    if namespace(plan).exists():
        raise HostError(f"the network namespace {plan.namespace} is there already, and this "
                        "sandbox did not make it", where=namespace(plan),
                        todo=f"{_OTHERS}; else remove it, or set another sandbox.namespace in "
                             f"{where}")
    if Path("/sys/class/net", plan.interface).exists():
        raise HostError(f"the interface {plan.interface} is there already, and this sandbox did "
                        "not make it",
                        todo=f"{_OTHERS}; else remove it, or set another sandbox.interface in "
                             f"{where}")
    network = ipaddress.ip_network(f"{plan.address}/{plan.prefix_length}", strict=False)
    for link in json.loads(_ip("-json", "-4", "address", "show")):
        for address in link.get("addr_info", []):
            used = ipaddress.ip_interface(f"{address['local']}/{address['prefixlen']}").network
            if used.overlaps(network):
                raise HostError(f"the network {network} is in use by the interface "
                                f"{link['ifname']} ({address['local']})",
                                todo=f"remove that interface, or set another sandbox.network in "
                                     f"{where}")


def _address(interface: str, address: str, *where: str) -> None:
    _ip(*where, "address", "replace", address, "dev", interface)
    _ip(*where, "link", "set", interface, "up")


def _ip(*words: str) -> str:
    return processes.run(["ip", *words])
