"""The two docker-registry servers: the public ones' stand-in, and the organisation's."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable
from typing import Any

from tasks.local_site.daemons import Daemon
from tasks.local_site.plan import Plan

# The registry's settings: https://distribution.github.io/distribution/about/configuration/


def internet(plan: Plan) -> Daemon:
    """quay.io, docker.io and others, on loopback, each below a path of its host's name."""
    address = f"127.0.0.1:{plan.registry_port}"

    def ready() -> bool:
        return _answers(http.client.HTTPConnection(address, timeout=2))

    return _daemon(plan, "internet registry", "internet/registry", ("127.0.0.1",
                   plan.registry_port), {"http": {"addr": address}}, ready)


def nexus(plan: Plan) -> Daemon:
    """The organisation's registry, with TLS by the private CA and a password."""
    def ready() -> bool:
        context = ssl.create_default_context(cafile=str(plan.ca))
        return _answers(http.client.HTTPSConnection(plan.registry_address, timeout=2,
                                                    context=context))

    settings = {
        "http": {"addr": f"{plan.registry_host}:{plan.nexus_port}",
                 "tls": {"certificate": str(plan.secrets / "server.crt"),
                         "key": str(plan.secrets / "server.key")}},
        "auth": {"htpasswd": {"realm": "airlock", "path": str(plan.secrets / "htpasswd")}},
    }
    return _daemon(plan, "organisation's registry", "nexus",
                   (plan.registry_host, plan.nexus_port), settings, ready)


def _daemon(plan: Plan, name: str, part: str, listens: tuple[str, int],
            settings: dict[str, Any], ready: Callable[[], bool]) -> Daemon:
    folder = plan.folder(part)
    common = {"version": "0.1", "log": {"level": "info", "accesslog": {"disabled": False}},
              "storage": {"filesystem": {"rootdirectory": str(folder / "data")},
                          "delete": {"enabled": True}}}
    return Daemon(name=name, folder=folder, listens=listens, ready=ready,
                  command=("docker-registry", "serve", str(folder / "config.yml")),
                  # docker-registry reads YAML, of which JSON is a part.
                  settings={"config.yml": json.dumps({**common, **settings}, indent=2) + "\n"},
                  environment={"OTEL_TRACES_EXPORTER": "none"})


def _answers(connection: http.client.HTTPConnection) -> bool:
    """Whether a registry answers at /v2/, be it by asking for a password."""
    try:
        connection.request("GET", "/v2/")
        answer = connection.getresponse()
        return answer.getheader("Docker-Distribution-Api-Version") is not None
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
