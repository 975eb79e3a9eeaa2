"""Whether Fusion has its token, and whether its hosts answer from here."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from tasks.batch.lint_rules import HOSTS
from tasks.core.findings import FAIL, OK, Finding

TIMEOUT = 5.0
"""Seconds for a connection."""
HTTPS = 443


def fusion(*, has_token: bool) -> Iterator[Finding]:
    """Say it of the token and of each host. Instances are asked nothing: that they have a route to
    the internet, the network's lines say."""
    yield Finding(check="fusion", status=OK if has_token else FAIL,
                  text="TOWER_ACCESS_TOKEN is " + ("set" if has_token else "not set: jobs would "
                                                   "end with 1 and print nothing"),
                  cure=None if has_token else "make a token at cloud.seqera.io, and export it")
    for host in (host for hosts in HOSTS.values() for host in hosts):
        fault = unreachable(host)
        yield Finding(check="fusion", status=FAIL if fault else OK,
                      text=f"{host} can't be reached from here: {fault}" if fault else
                           f"{host} answers",
                      cure="allow it, or set batch.mode to carried-cli" if fault else None)


def unreachable(host: str) -> str | None:
    """Return why no connection to a host's port 443 comes about; None where one does."""
    try:
        socket.create_connection((host, HTTPS), timeout=TIMEOUT).close()
    except OSError as error:
        return error.strerror or type(error).__name__
    return None
