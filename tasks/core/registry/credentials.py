"""Logins from a Docker config file, its credential helpers among them.

The file's form is that of the Docker CLI (docs.docker.com, "docker login"). Nothing of it is ever
shown: not in errors, logs or argument lists.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.core import files, parsing
from tasks.core.errors import RegistryError
from tasks.core.net import redirects

HUB = ("https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io")
FILED = re.compile(r"(?:https?://)?([^/@?#]+)(?:/(?:v[12]/?)?)?")
"""A host, with the scheme and the path that `docker login` may put around it."""
TOKEN_USER = "<token>"  # noqa: S105 - the user name by which helpers mark an identity token


@dataclass(frozen=True, kw_only=True)
class Login:
    """A user with a password, or an identity token that is exchanged for access tokens."""

    user: str
    password: str = field(repr=False)

    @property
    def is_token(self) -> bool:
        return self.user == TOKEN_USER

    @property
    def basic(self) -> str:
        """The value of an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def default_file() -> Path:
    """Where `docker login` writes: $DOCKER_CONFIG/config.json, else ~/.docker/config.json."""
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"


def write(file: Path, host: str, login: Login) -> None:
    """Write a Docker config file with one login, for this user alone to read."""
    files.write_json(file, {"auths": {host: {"auth": login.basic.removeprefix("Basic ")}}},
                     mode=0o600)


def find(host: str, file: Path | None) -> Login | None:
    """The login for `host` (with its port) in `file`, or in Docker's own where none is named.

    Raises RegistryError where a named file is missing or not of Docker's form.
    """
    if file is None and not default_file().is_file():
        return None
    config = _read(file or default_file())
    auths, helpers = _mapping(config.get("auths")), _mapping(config.get("credHelpers"))
    for name in _names(host, (*auths, *helpers)):
        entry = _mapping(auths.get(name))
        login = _entry(entry, file or default_file(), name) if entry else None
        helper = helpers.get(name) or (None if login else config.get("credsStore"))
        if isinstance(helper, str) and helper:
            login = _ask(helper, name) or login
        if login:
            return login
    return None


def _names(host: str, written: Iterable[str]) -> Iterator[str]:
    """Return what a login for `host` can be filed under: as it is, then as it is `written` there.

    After that, for a credential store, the forms that `docker login` has had for it. A host
    without a port and the same with 443 are one.
    """
    if host in HUB:
        yield from HUB
        return
    place = _place(host)
    bare = place.removesuffix(":443")
    both = (host, bare, place)
    forms = (form for name in both for form in (
        f"https://{name}", f"https://{name}/v1/", f"https://{name}/v2/", f"https://{name}/"))
    yield from dict.fromkeys((
        host, *(name for name in written if place and _place(name) == place), *both, *forms))


def _place(name: str) -> str:
    """host:port of what a login is filed under; nothing where that is a place within a host."""
    match = FILED.fullmatch(name)
    try:
        _, host, port = redirects.origin(f"https://{match[1]}") if match else ("", "", 0)
    except ValueError:  # such as no number for a port
        return ""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}" if host else ""


def _read(file: Path) -> Mapping[str, Any]:
    try:
        return _mapping(parsing.from_json(file.read_bytes()))
    except FileNotFoundError as error:
        raise RegistryError("the file with the registry's login is missing", where=file,
                            todo="set registry.authfile (AIRLOCK_REGISTRY_AUTHFILE) to a Docker "
                                 "config file, as `docker login` writes it") from error
    except OSError as error:
        raise RegistryError(f"the file with the registry's login can't be read: {error.strerror}",
                            where=file) from error
    except ValueError:
        raise RegistryError("the file with the registry's login is not JSON", where=file,
                            todo="make it anew with `docker login`") from None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _entry(entry: Mapping[str, Any], file: Path, name: str) -> Login | None:
    if entry.get("identitytoken"):
        return Login(user=TOKEN_USER, password=str(entry["identitytoken"]))
    if entry.get("username"):
        return Login(user=str(entry["username"]), password=str(entry.get("password", "")))
    if not entry.get("auth"):
        return None
    try:
        decoded = base64.b64decode(entry["auth"], validate=True).decode()
        user, colon, password = decoded.partition(":")
    except (ValueError, TypeError):  # no base64, or no UTF-8
        colon = ""
    if not colon:
        raise RegistryError(f"`auth` of {name} is not user:password in base64", where=file,
                            todo="make it anew with `docker login`") from None
    return Login(user=user, password=password.rstrip("\0"))


def _ask(helper: str, name: str) -> Login | None:
    """What docker-credential-HELPER answers; the name goes in by standard input."""
    import subprocess
    program = f"docker-credential-{helper}"
    if "/" in helper or shutil.which(program) is None:
        raise RegistryError(f"the credential helper {program} is not on the PATH",
                            where=f"login for {name}",
                            todo="install it, or take it out of the Docker config file")
    try:
        helped = subprocess.run([program, "get"], input=name.encode(), capture_output=True,
                              timeout=60, check=False)
        answer = parsing.from_json(helped.stdout) if helped.returncode == 0 else None
    except (subprocess.TimeoutExpired, ValueError):
        raise RegistryError(f"the credential helper {program} gave no usable answer",
                            where=f"login for {name}",
                            todo=f"try `{program} get` by hand") from None
    if not isinstance(answer, dict) or not answer.get("Secret"):
        return None
    return Login(user=str(answer.get("Username", "")), password=str(answer["Secret"]))
