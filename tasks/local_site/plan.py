"""Where the parts of a sandbox lie and listen: derived from the site's configuration alone."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tasks.core import config_places, files
from tasks.core.config import engines
from tasks.core.config.settings import Site
from tasks.core.errors import ConfigError, HostError
from tasks.core.paths import SitePaths

STATE = "sandbox.json"
OWN_ENGINES = "/run/airlock-"
"""What the socket of an engine that the sandbox starts begins with: it ends that engine, and
removes the socket's folder."""


@dataclass(frozen=True, kw_only=True)
class SiteSpec:
    """What the steps of the whole sandbox read, and whether a pipeline asks for what chromapipe
    does.
    """

    site: Site
    chromapipe: bool = False


@dataclass(frozen=True, kw_only=True)
class State:
    """What `sandbox:up` found out and set up, for the steps that use the sandbox.

    `address` is the one of this machine that the offline host reaches. `open_because` says why
    all its ports are within that host's reach, or is None where only those that it needs are.
    """

    isolated: bool
    why_not: str | None
    address: str
    open_because: str | None
    python: str
    python_prefix: str
    registry_port: int
    files_port: int
    engine: str | None

    def shortcomings(self) -> list[str]:
        """What keeps the offline host from being what it should be, a line each."""
        lines = []
        if self.why_not:
            lines.append(f"NOT ISOLATED, {self.why_not}: the offline host is a folder on this "
                         "host, with its engine and its network")
        if self.open_because:
            lines.append(f"NOT CLOSED, {self.open_because}: the offline host reaches every port "
                         f"of {self.address}")
        return lines

    def write(self, root: Path) -> None:
        """Leave it in the sandbox's folder: the last thing that `up` does."""
        files.write_json(root / STATE, asdict(self))

    @classmethod
    def read(cls, root: Path) -> State:
        """What `up` left in the sandbox's folder; HostError where it is down."""
        try:
            return cls(**json.loads((root / STATE).read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise HostError("the sandbox is not up", where=root,
                            todo="doit sandbox:up") from error


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One sandbox; all paths are absolute, since its servers run elsewhere than in the project.

    `address` is the registry's, on the host's end of the wire; `peer_address` the offline host's.
    `ports` are those of `address` that the offline host needs: the registry's, and the bucket's
    where it is served there. `engine` is the socket of the online engine that the sandbox starts,
    or None where the site names another engine. `store` is None where the store is a bucket.
    `kind` is that of the offline host's engine: only Docker's has a daemon, and is root's.
    """

    site: str
    root: Path
    registry_port: int
    files_port: int
    address: str
    peer_address: str
    ports: tuple[int, ...]
    prefix_length: int
    namespace: str
    interface: str
    registry_address: str
    registry_host: str
    nexus_port: int
    engine: Path | None
    store: Path | None
    store_inside: Path | None
    trust_inside: Path
    python: tuple[str, ...]
    kind: str = engines.DOCKER

    @property
    def has_daemon(self) -> bool:
        """Whether the offline host's engine is a daemon, and its user root."""
        return self.kind == engines.DOCKER

    @property
    def images(self) -> str:
        """The folder of the offline host's /var/lib in which its engine keeps images."""
        return "docker" if self.has_daemon else "containers"

    def folder(self, part: str) -> Path:
        """A part's own folder, with its log and pid file."""
        return self.root / part

    @property
    def files(self) -> Path:
        """What the internet's file server serves."""
        return self.root / "internet/files"

    @property
    def ca(self) -> Path:
        """The private CA's certificate."""
        return self.root / "trust/ca.crt"

    @property
    def secrets(self) -> Path:
        """Keys and passwords; nobody else may enter this folder."""
        return self.root / "auth"

    @property
    def authfile(self) -> Path:
        """A Docker config file with the registry's login."""
        return self.secrets / "config.json"

    @property
    def trust(self) -> Path:
        """What the offline host sees as its folder of trust."""
        return self.root / "host/trust"

    @property
    def disk(self) -> Path:
        """The offline host's own disk, /home/airlock there."""
        return self.root / "host/disk"

    @property
    def loopback(self) -> bool:
        """Whether the registry listens on loopback, out of reach of an isolated host."""
        return ipaddress.ip_address(self.registry_host).is_loopback

    @property
    def cgroup(self) -> str:
        """The control group of this sandbox's containers."""
        return f"{self.namespace}-sandbox"


def plan(site: Site) -> Plan:
    """The sandbox of a site; ConfigError names the keys that contradict each other."""
    where = config_places.site(site.name)
    if site.sandbox is None:
        raise ConfigError(f"the site {site.name!r} has no sandbox", where=where,
                          todo="only a site with the key `sandbox` has servers of its own")
    try:
        network = ipaddress.ip_network(site.sandbox.network)
    except ValueError as error:
        raise ConfigError(f"sandbox.network: {error}", where=where) from error
    address, peer = map(str, network.hosts())
    host = site.own_registry.host
    if host != address and not _is_loopback(host):
        raise ConfigError(f"registry.host is {host}, but the sandbox's registry listens on the "
                          f"first address of sandbox.network, {address}", where=where,
                          todo=f"set registry.host to {address}")
    store = site.store.folder
    return Plan(
        site=site.name, root=SitePaths(site=site.name).sandbox.absolute(),
        registry_port=site.sandbox.registry_port, files_port=site.sandbox.files_port,
        address=address, peer_address=peer, ports=_ports(site, address),
        prefix_length=network.prefixlen,
        namespace=site.sandbox.namespace, interface=site.sandbox.interface,
        registry_address=site.own_registry.address, registry_host=host,
        nexus_port=site.own_registry.port or 443,
        engine=_own_engine(site.engine),
        store=store and store.absolute(),
        store_inside=site.offline.store.folder if store else None,
        trust_inside=site.offline.trust, python=site.python, kind=site.offline.engine)


def _ports(site: Site, address: str) -> tuple[int, ...]:
    endpoint, registry = urlsplit(site.offline.store.endpoint or ""), site.own_registry.port or 443
    if endpoint.hostname != address:
        return (registry,)
    return (registry, endpoint.port or (443 if endpoint.scheme == "https" else 80))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _own_engine(url: str | None) -> Path | None:
    """The socket, where it lies in a folder of the sandbox's own: /run/airlock-…/…"""
    if url is None or not url.startswith(f"unix://{OWN_ENGINES}"):
        return None
    return Path(url.removeprefix("unix://"))
