"""Where the container engine of a machine answers, or what it takes of its user's environment."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from dataclasses import field

from tasks.core.config import engines
from tasks.core.frozen import frozen

OF_PODMAN = ("DBUS_SESSION_BUS_ADDRESS", "STORAGE_DRIVER", "STORAGE_OPTS", "XDG_CACHE_HOME",
             "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR")
"""What Podman takes of its user's environment besides HOME and CONTAINERS_…: where its settings and
images lie, and the bus by which systemd makes it control groups (podman(1), and containers'
storage.conf(5)). CONTAINER_HOST is not among them: it would have another machine's Podman run the
tasks."""
OF_PULLS = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
            "TMPDIR")
"""What its pulls take: proxies, and where layers lie until they are unpacked."""


@frozen
class Engine:
    """Where a container engine answers, as Docker's clients are told; TLS where both are set."""

    url: str
    verify: str | None = None
    certificates: str | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str], url: str | None = None) -> Engine:
        """Return the engine at `url`, else at DOCKER_HOST or the usual socket."""
        if url:
            return cls(url=url)
        return cls(url=environment.get("DOCKER_HOST") or "unix:///var/run/docker.sock",
                   verify=environment.get("DOCKER_TLS_VERIFY"),
                   certificates=environment.get("DOCKER_CERT_PATH"))

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a client of Docker finds it."""
        variables = {"DOCKER_HOST": self.url, "DOCKER_TLS_VERIFY": self.verify,
                     "DOCKER_CERT_PATH": self.certificates}
        return {name: value for name, value in variables.items() if value is not None}


@frozen
class Podman:
    """Podman as its user has it on this host: there is no address, it is a program.

    `variables` say where its settings and images lie, `path` is the PATH on which it is looked
    for; `pulls` are for its pulls alone, whose result doesn't hang on them.
    """

    variables: tuple[tuple[str, str], ...]
    path: str = field(default=os.defpath, compare=False)
    pulls: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Podman:
        """Read it from an environment; HOME is the user's own by the list of users otherwise."""
        names = sorted(name for name in environment
                       if name in OF_PODMAN or name.startswith("CONTAINERS_"))
        return cls(variables=(("HOME", environment.get("HOME") or _home()),
                              *((name, environment[name]) for name in names)),
                   path=environment.get("PATH", os.defpath),
                   pulls=tuple((name, environment[name]) for name in OF_PULLS
                               if name in environment))

    @property
    def url(self) -> str:
        """What it is called where an address is named."""
        return engines.PODMAN

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which `podman` has this user's images and settings."""
        return dict(self.variables)


def of_site(kind: str, environment: Mapping[str, str]) -> Engine | Podman:
    """Return the engine of an offline host, of the kind that the site says."""
    return Podman.of(environment) if kind == engines.PODMAN else Engine.of(environment)


def _home() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return "/"
