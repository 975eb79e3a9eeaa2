"""Docker as an offline host's engine: by its socket, through Docker's own Python client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tasks.core.engine import daemon, held
from tasks.core.engine.address import Engine
from tasks.core.engine.held import Held


class DockerEngine:
    """As pulling.PullingEngine says."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def see(self) -> None:
        daemon.connect(self._engine)

    def missing(self, references: Iterable[str]) -> list[str]:
        wanted = list(references)
        return daemon.missing(daemon.connect(self._engine), wanted) if wanted else []

    def pull(self, references: Iterable[str], trust: Path) -> int:
        return daemon.pull(daemon.connect(self._engine), references,
                           authfile=trust / "config.json")

    def version(self) -> str:
        return held.version(self._engine)

    def images(self, references: Iterable[str]) -> Mapping[str, Held]:
        return held.images(self._engine, references)

    def remove(self, references: Iterable[str]) -> Mapping[str, str]:
        from docker.errors import APIError
        client = daemon.connect(self._engine)
        left = {}
        for reference in references:
            try:
                client.images.remove(reference)
            except APIError as error:  # a container of somebody's uses it
                left[reference] = str(error.explanation or error)
        return left
