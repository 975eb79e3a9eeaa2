"""Where the container engine of a machine answers."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.core.frozen import frozen


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
