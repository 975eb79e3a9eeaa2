"""The container engine of this machine: login, pull by digest. Shared by smoke and offline host."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tasks.core.engine.address import Engine
from tasks.core.errors import HostError, RegistryError
from tasks.core.registry import credentials

if TYPE_CHECKING:
    from docker import DockerClient

PATIENCE = 60
"""Seconds, as Docker's client has it by itself."""


def connect(engine: Engine, *, timeout: int = PATIENCE) -> DockerClient:
    """Return a client of the engine, which answers; HostError with what to do where none does.

    It counts as gone after `timeout` seconds without a byte.
    """
    import docker
    from docker.errors import DockerException
    try:
        client = docker.from_env(environment=engine.environment, timeout=timeout)
        client.ping()
    except DockerException as error:
        raise HostError(f"no container engine answers: {error}", where=engine.url,
                        todo="start it, or name another in AIRLOCK_ENGINE or DOCKER_HOST"
                        ) from error
    return client


def dialling(engine: Engine) -> Callable[[], socket.socket]:
    """Return what opens a connection to the engine.

    Raises HostError where that is reached otherwise than by a Unix socket or plain TCP.
    """
    parts = urlsplit(engine.url)
    if parts.scheme == "unix":
        place = unquote(parts.path)

        def dial() -> socket.socket:
            stream = socket.socket(socket.AF_UNIX)
            stream.connect(place)
            return stream

        return dial
    if parts.scheme == "tcp" and parts.hostname and not engine.verify:
        at = (parts.hostname, parts.port or 2375)
        return lambda: socket.create_connection(at)
    raise HostError("the smoke run can't reach this engine: it takes a Unix socket, or TCP without "
                    "TLS on a network that you trust", where=engine.url,
                    todo="name another in `engine` or AIRLOCK_ENGINE: unix:///var/run/docker.sock")


def missing(client: DockerClient, references: Iterable[str]) -> list[str]:
    """Those of the `host:port/repository@digest` that the engine doesn't hold."""
    from docker.errors import ImageNotFound
    lacks = []
    for reference in references:
        try:
            client.images.get(reference)
        except ImageNotFound:
            lacks.append(reference)
    return lacks


def pull(client: DockerClient, references: Iterable[str], *, authfile: Path | None) -> int:
    """Pull each `host:port/repository@digest` that is not there; return how many were pulled.

    One after the other: two pulls of one image at once can fail. The engine checks the digest of
    what it pulls; afterwards each image must be known to it by that very digest.
    """
    from docker.errors import APIError, ImageNotFound
    pulled = 0
    for reference in missing(client, references):
        repository, _, digest = reference.partition("@")
        try:
            _pull_one(client, repository, digest, login(authfile, repository))
            client.images.get(reference)
        except (APIError, ImageNotFound) as error:
            raise RegistryError(f"the engine cannot pull {reference}: {_reason(error)}",
                                todo=_remedy(str(error), repository)) from error
        pulled += 1
    return pulled


def _pull_one(client: DockerClient, repository: str, digest: str,
                own: dict[str, str] | None) -> None:
    """Pull an image, once more where that fails: another user's pull of it may have ended ours."""
    from docker.errors import APIError, ImageNotFound
    try:
        client.images.pull(repository, tag=digest, auth_config=own)
    except (APIError, ImageNotFound):
        if missing(client, [f"{repository}@{digest}"]):
            client.images.pull(repository, tag=digest, auth_config=own)


def login(authfile: Path | None, repository: str) -> dict[str, str] | None:
    """The login for a repository's registry in docker-py's form, from a Docker config file."""
    if authfile is None or not authfile.is_file():
        return None
    known = credentials.find(repository.partition("/")[0], authfile)
    if known is None:
        return None
    if known.is_token:
        return {"identitytoken": known.password}
    return {"username": known.user, "password": known.password}


def _reason(error: Exception) -> str:
    return str(getattr(error, "explanation", None) or error).strip()


def _remedy(reason: str, repository: str) -> str:
    host = repository.partition("/")[0]
    if "x509" in reason or "certificate" in reason:
        return f"put the registry's CA at /etc/docker/certs.d/{host}/ca.crt"
    if "unauthorized" in reason or "no basic auth" in reason or "denied" in reason:
        return f"mend the login for {host} in the Docker config file"
    return f"see that {host} can be reached, and that the mirror holds the image"
