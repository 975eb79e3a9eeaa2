"""The container engine of this machine: login, pull by digest. Shared by smoke and offline host."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tasks.core.engine import refusals
from tasks.core.engine.address import Engine
from tasks.core.errors import HostError, RegistryError
from tasks.core.registry import credentials

if TYPE_CHECKING:
    from docker import DockerClient

PATIENCE = 60
"""Seconds, as Docker's client has it by itself."""
PODMAN_INFO = "/v4.0.0/libpod/info"


class PullError(Exception):
    """What an engine said within the answer to a pull, whose status was 200."""


def connect(engine: Engine, *, timeout: int = PATIENCE) -> DockerClient:
    """Return a client of the engine, which answers; HostError with what to do where none does.

    It counts as gone after `timeout` seconds without a byte. A Podman that keeps no events is
    refused, too.
    """
    import docker
    from docker.errors import DockerException
    try:
        client = docker.from_env(environment=engine.environment, timeout=timeout)
        client.ping()
        _refuse_without_events(client, engine)
    except (DockerException, OSError) as error:
        raise HostError(f"no container engine answers: {error}", where=engine.url,
                        todo="start it, or name another in AIRLOCK_ENGINE or DOCKER_HOST"
                        ) from error
    return client


def _refuse_without_events(client: DockerClient, engine: Engine) -> None:
    """HostError where a Podman keeps no events: who waits for a container's end waits for ever.

    Docker has no such setting, and answers 404 (docs.podman.io, libpod's GET /info).
    """
    response = client.api.get(f"{client.api.base_url}{PODMAN_INFO}", timeout=PATIENCE)
    if response.ok and response.json().get("host", {}).get("eventLogger") == "none":
        raise HostError("this Podman keeps no events, by which its clients learn that a container "
                        "has ended", where=engine.url, todo='set events_logger = "file" in '
                        "/etc/containers/containers.conf, section [engine], and start Podman's "
                        "service again")


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
        except (APIError, ImageNotFound, PullError) as error:
            raise cannot_pull(reference, error) from error
        pulled += 1
    return pulled


def cannot_pull(reference: str, error: Exception) -> RegistryError:
    """Return the error for an image that the engine can't pull, with what it said of that."""
    answer = str(getattr(error, "explanation", None) or error).strip()
    host = reference.partition("/")[0]
    return RegistryError(f"the engine cannot pull {reference}: {answer}", todo=refusals.remedy(
        f"{answer} {error}", host, ca=f"/etc/docker/certs.d/{host}/ca.crt",
        login="the Docker config file", store="where the engine keeps its images"))


def _pull_one(client: DockerClient, repository: str, digest: str,
              own: dict[str, str] | None) -> None:
    """Pull an image, once more where that fails: another user's pull of it may have ended ours."""
    from docker.errors import APIError, ImageNotFound
    try:
        pull_as_told(client, repository, digest, own)
    except (APIError, ImageNotFound, PullError):
        if missing(client, [f"{repository}@{digest}"]):
            pull_as_told(client, repository, digest, own)


def pull_as_told(client: DockerClient, repository: str, tag: str,
                 own: dict[str, str] | None = None) -> None:
    """Pull an image by a tag or digest; PullError where the engine says that it could not.

    An engine answers with status 200 and then tells how it goes on, line by line: what goes wrong
    after that is such a line. Docker's own `images.pull` passes over them, and Podman has no other
    way to say it.
    """
    for line in client.api.pull(repository, tag=tag, auth_config=own, stream=True, decode=True):
        if isinstance(line, dict) and line.get("error"):
            raise PullError(str(line["error"]))


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
