"""Images that an engine pulls: what a host needs for those of a release, and has of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from tasks.core import ownership
from tasks.core.disk import hold
from tasks.core.engine import pulling
from tasks.core.engine.address import Engine, Podman
from tasks.core.engine.podman import PodmanEngine
from tasks.core.errors import HostError, RegistryError
from tasks.core.frozen import frozen
from tasks.core.net.network import Network
from tasks.core.net.request import Transport
from tasks.core.registry.endpoint import Endpoint
from tasks.core.schema import read_json


@frozen
class PulledImages:
    """The images of a release in the folder `release`; `trust` holds the registry's CA and login.
    """

    release: Path
    trust: Path
    network: Network
    engine: Engine | Podman

    @property
    def ca(self) -> Path | None:
        """The registry's CA, where the trust folder has one; else the system's are trusted."""
        return path if (path := self.trust / "ca.crt").is_file() else None

    @property
    def authfile(self) -> Path:
        """The registry's login: a Docker config file."""
        return self.trust / "config.json"

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a run's tasks find the engine."""
        return self.engine.environment

    @property
    def names(self) -> list[str]:
        """The images by digest, as the engine knows them."""
        return references(self.release)

    def library(self, cache: Path) -> None:
        """Nothing leads to them but the engine."""

    def looks(self) -> Iterator[Callable[[], object]]:
        """What is looked at before anything is pulled.

        The registry is asked for those images alone that the engine hasn't.
        """
        for name in ("ca.crt", "config.json"):
            yield partial(ownership.refuse_writable_by_others, self.trust / name)
        missing = self._missing()
        if self.names:
            yield pulling.asked(self.engine).see
            yield partial(self._see_room, missing)
        for address in sorted({image.partition("/")[0] for image in missing}):
            yield partial(see_registry, address, self.ca, self.authfile, self.network,
                          by_docker=not isinstance(self.engine, Podman))

    def _see_room(self, missing: Collection[str]) -> None:
        """HostError where the missing images, compressed, are more than fits where they go.

        Not for a daemon's, which may have them on another machine.
        """
        if not isinstance(self.engine, Podman):
            return
        try:
            store = PodmanEngine(self.engine).store()
        except HostError:
            return  # its own look says so
        hold(store, sum(image["size"] for image in held_images(self.release)
                        if _reference(image) in missing), "images, before they are unpacked")

    def bring(self, alone: Callable[[], AbstractContextManager[None]]) -> str:
        """Pull what the engine lacks, as the only one who does; how many those were, in words."""
        pulled = 0
        if missing := self._missing():
            with alone():
                pulled = pulling.asked(self.engine).pull(missing, self.trust)
        return f"{len(self.names)} images, {pulled} of them pulled now"

    def _missing(self) -> list[str]:
        """The images that the engine lacks; all where none answers."""
        try:
            return pulling.asked(self.engine).missing(self.names)
        except HostError:
            return self.names


def references(release: Path) -> list[str]:
    """The images of a release, by digest, as the engine knows them."""
    return sorted(_reference(image) for image in held_images(release))


def _reference(image: Mapping[str, Any]) -> str:
    return f"{image['destination']}@{image['digest']}"


def held_images(release: Path) -> list[dict[str, Any]]:
    """The images that a release says its registries hold."""
    held: list[dict[str, Any]] = read_json(release / "images.receipt.json",
                                           "images-receipt")["images"]
    return held


def see_registry(address: str, ca: Path | None, authfile: Path, network: Network, *,
                 by_docker: bool = True) -> None:
    """RegistryError where the registry can't be reached, trusted or logged in to.

    Docker looks for the CA at a place of its own; Podman is given that of the trust folder.
    """
    registry = Endpoint(address, f"https://{address}", authfile if authfile.is_file() else None,
                        Transport(network, ca))
    try:
        registry.ping()
    except RegistryError as error:
        also = f" and /etc/docker/certs.d/{address}/ca.crt" if by_docker else ""
        raise RegistryError(
            error.what, where=address,
            todo=f"see that it can be reached, that the CA's certificate stands at "
                 f"{authfile.with_name('ca.crt')}{also}, and the login in {authfile} (as `docker "
                 "login` writes it)") from error
