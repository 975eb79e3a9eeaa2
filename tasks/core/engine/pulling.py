"""An offline host's engine that pulls its images: what all kinds of them are asked.

What differs between kinds stands in docker.py and podman.py; who asks doesn't know which it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from tasks.core.engine.address import Engine, Podman
from tasks.core.engine.docker import DockerEngine
from tasks.core.engine.held import Held
from tasks.core.engine.podman import PodmanEngine


class PullingEngine(Protocol):
    """An engine; images are named `host:port/repository@digest`."""

    def see(self) -> None:
        """HostError, with all that is wrong, where it can't be used."""

    def missing(self, references: Iterable[str]) -> list[str]:
        """Return those that it doesn't hold; HostError where it can't be asked."""

    def pull(self, references: Iterable[str], trust: Path) -> int:
        """Pull those that it doesn't hold, one after the other; return how many those were.

        The folder `trust` holds the registry's CA and login. RegistryError says why not.
        """

    def version(self) -> str:
        """Return its version; HostError where it tells none."""

    def images(self, references: Iterable[str]) -> Mapping[str, Held]:
        """Return what it holds under each name; where it can't say, why not."""

    def remove(self, references: Iterable[str]) -> Mapping[str, str]:
        """Remove images that it holds; return those that stay, with why."""


def asked(engine: Engine | Podman) -> PullingEngine:
    """Return the engine as one that can be asked."""
    return PodmanEngine(engine) if isinstance(engine, Podman) else DockerEngine(engine)
