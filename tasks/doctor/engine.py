"""The container engine: reached, which version and platform, and whether it trusts the registry."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from tasks.core.engine import daemon
from tasks.core.engine.address import Engine
from tasks.core.errors import AirlockError, HostError
from tasks.core.findings import FAIL, OK, UNKNOWN, WARN, Finding, failed
from tasks.core.frozen import frozen
from tasks.core.machine_names import ARCHITECTURES
from tasks.doctor import disk, platforms

if TYPE_CHECKING:
    from docker import DockerClient

SECONDS = 8
"""Without a byte of the engine's, until it counts as gone."""
MAX_WORDS = 230
"""Characters of what the engine's client says."""
ABSENT = re.compile(r"not found|manifest unknown|name unknown|404", re.IGNORECASE)
"""What engines say of an image that isn't there: the registry was asked, and answered."""


@frozen
class EngineSpec:
    """Which engine; the platform that images have; and the registry that it pulls from."""

    engine: Engine
    platform: str
    registry: str
    authfile: Path | None
    pulls: bool
    without: str
    starts: str | None = None


def engine(spec: EngineSpec) -> Iterator[Finding]:
    """Look at the engine, then let it ask the registry."""
    try:
        client = _connect(spec)
        version, info = client.version(), client.info()
    except AirlockError as error:
        yield failed("engine", error)
        return
    own = _platform(version)
    fits = own == spec.platform
    yield Finding(check="engine", status=OK if fits else WARN,
                  text=f"{spec.engine.url}: version {version.get('Version')}, {own}" + (
                      "" if fits else f", and images are for {spec.platform}"),
                  cure=None if fits else platforms.CURE)
    root = Path(str(info.get("DockerRootDir") or "/var/lib/docker"))
    if spec.engine.url.startswith("unix:") and root.is_dir():
        yield disk.room(root, "the engine's images")
    if spec.pulls:
        yield _asks(spec, client)


def _connect(spec: EngineSpec) -> DockerClient:
    """A client with a short patience; HostError in plainer words than Docker's client has."""
    _refuse_closed(spec)
    try:
        return daemon.connect(spec.engine, timeout=SECONDS)
    except HostError as error:
        raise HostError(" ".join(error.what.split())[:MAX_WORDS], where=error.where,
                        todo=_cure(spec)) from error


def _refuse_closed(spec: EngineSpec) -> None:
    """HostError where the engine's socket isn't there, or isn't this user's to use."""
    parts = urlsplit(spec.engine.url)
    if parts.scheme != "unix":
        return
    place = Path(unquote(parts.path))
    try:
        with socket.socket(socket.AF_UNIX) as tried:
            tried.settimeout(SECONDS)
            tried.connect(str(place))
    except PermissionError as error:
        raise HostError("this user may not ask the engine", where=place,
                        todo="add the user to the group `docker` and log in anew, or name another "
                             "engine in DOCKER_HOST") from error
    except OSError as error:
        what = ("there is no engine: no such socket" if error.errno == errno.ENOENT else
                f"no engine answers: {os.strerror(error.errno or 0)}")
        raise HostError(what, where=place, todo=_cure(spec)) from error


def _cure(spec: EngineSpec) -> str:
    start = spec.starts or "start it (systemctl start docker), or install Docker"
    return f"{start}, or name another in AIRLOCK_ENGINE or DOCKER_HOST{spec.without}"


def _platform(version: Mapping[str, Any]) -> str:
    machine = str(version.get("Arch", ""))
    return f"{version.get('Os', 'linux')}/{ARCHITECTURES.get(machine, machine)}"


def _asks(spec: EngineSpec, client: DockerClient) -> Finding:
    """Have the engine ask the registry for an image that isn't there: trust and login are its own.
    """
    from docker.errors import APIError, DockerException
    place = f"{spec.registry}/nf-airlock-doctor"
    login: Mapping[str, str] | None = None
    with suppress(AirlockError):  # the registry's own check says what is wrong with it
        login = daemon.login(spec.authfile, place)
    answer = ""
    try:
        ask: Any = client.api.inspect_distribution
        ask(f"{place}:none", auth_config=dict(login) if login else {})
    except APIError as error:
        answer = " ".join(str(error.explanation or error).split())
    except (DockerException, OSError) as error:
        return Finding(check="engine pulls", status=UNKNOWN, cure="look at the engine's log",
                       text=f"the engine doesn't say whether it reaches {spec.registry}: "
                            f"{type(error).__name__}")
    if not answer or ABSENT.search(answer):
        return Finding(check="engine pulls", status=OK,
                       text=f"the engine reaches and trusts {spec.registry}")
    if "x509" in answer or "certificate" in answer:
        return Finding(check="engine pulls", status=FAIL, text=f"{spec.registry}: {answer[:300]}",
                       cure="put the registry's CA at /etc/docker/certs.d/"
                            f"{spec.registry}/ca.crt")
    if re.search("unauthorized|denied|forbidden", answer, re.IGNORECASE):
        return Finding(check="engine pulls", status=WARN, text=f"{spec.registry}: {answer[:300]}",
                       cure="see the lines on login and push: a registry may answer so for an "
                            "image that isn't there")
    return Finding(check="engine pulls", status=FAIL, text=f"{spec.registry}: {answer[:300]}",
                   cure=f"let the engine's machine reach {spec.registry}; the engine has proxies "
                        "of its own (docker info; HTTPS_PROXY and NO_PROXY of its service)")
