"""The network as one process sees it, handed on to all who ask something there.

So limits hold for all of its steps together: a server that wants to be asked slowly is asked so,
whether for data, for plugins or for images.
"""

from __future__ import annotations

from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core.config.settings import Config
from tasks.core.errors import RegistryError
from tasks.core.frozen import frozen
from tasks.core.net import certificates
from tasks.core.net.inner_addresses import EVERYWHERE, NOWHERE, Inside
from tasks.core.net.pace import Hosts
from tasks.core.process_shared import Shared

if TYPE_CHECKING:
    from tasks.core.net.pools import Pools


@frozen
class Network:
    """What may be asked of the inner network, with the hosts' limits and the connections."""

    inside: Inside = NOWHERE
    shared: Shared = field(default_factory=Shared, compare=False, repr=False)

    @classmethod
    def of(cls, config: Config) -> Network:
        """Return the network as the site's configuration says; offline there is an inside alone."""
        return config.shared.once("network", lambda: cls(
            inside=EVERYWHERE if config.role == "prod" else Inside(
                allowed=config.site.hosts.inside), shared=config.shared))

    def naming(self, *urls: str) -> Network:
        """Return the same, with the host:port of URLs that our own configuration names."""
        return self.shared.once(("naming", self.inside, urls), lambda: replace(
            self, inside=self.inside.naming(*urls)))

    @property
    def hosts(self) -> Hosts:
        """The limits of all hosts, the same for the whole process."""
        return self.shared.once(Hosts, Hosts)

    def pools(self, ca: Path | None) -> Pools:
        """Return the connections that trust the system's CAs, and the file `ca` beside them."""
        import ssl

        from tasks.core.net.pools import Pools

        def opened() -> Pools:
            context = ssl.create_default_context()
            if own is not None:
                context.load_verify_locations(cadata=own)
            return Pools(self.inside, context)

        try:
            own = None if ca is None else certificates.read(ca)
            return self.shared.once((Pools, self.inside, own), opened)
        except (OSError, ValueError):
            what = certificates.fault(ca) if ca and not ca.is_dir() else "is no file"
            raise RegistryError(f"the registry's CA file {what}", where=ca,
                                todo="set registry.ca (AIRLOCK_REGISTRY_CA) to the CA's "
                                     "certificate in PEM form") from None
