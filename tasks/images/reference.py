"""Image references: parsed, and completed as Nextflow does it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tasks.core.errors import ImageError
from tasks.core.registry.docker_hub import DOCKER_HUB

HOST = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
PATH = re.compile(rf"{_PART}(?:/{_PART})*")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
LONGEST_NAME = 255
"""Characters of a repository's name, by the OCI distribution specification."""


@dataclass(frozen=True, kw_only=True, order=True)
class Reference:
    """One image: `host/path[:tag][@digest]`, with a tag, a digest or both."""

    host: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @property
    def repository(self) -> str:
        """`host/path`."""
        return f"{self.host}/{self.path}"

    @property
    def wanted(self) -> str:
        """What a registry is asked for: the digest where there is one, else the tag."""
        return self.digest or self.tag or "latest"

    def at(self, digest: str) -> str:
        """The pull reference by digest alone: `host/path@digest`."""
        return f"{self.repository}@{digest}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")


def parse(text: str) -> Reference:
    """Read a reference as Docker does: no host means docker.io, no tag means latest.

    Raises ImageError where it breaks the grammar (github.com/distribution/reference).
    """
    name, at, digest = text.strip().partition("@")
    first, slash, rest = name.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        first, rest = DOCKER_HUB, name
    host = first.lower()
    last = rest.rpartition("/")[2]
    path, tag = rest, None
    if ":" in last:
        path, _, tag = rest.rpartition(":")
    if host in ("index.docker.io", "registry-1.docker.io"):
        host = DOCKER_HUB
    if host == DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    if not tag and not at:
        tag = "latest" if tag is None else ""
    if (not HOST.fullmatch(host) or not PATH.fullmatch(path)
            or (tag is not None and not TAG.fullmatch(tag))
            or (at and not DIGEST.fullmatch(digest)) or len(path) > LONGEST_NAME):
        raise ImageError(f"{text!r} is not an image reference",
                         todo="it has the form host/path:tag or host/path@sha256:<64 digits>, "
                              "with a lower-case path")
    return Reference(host=host, path=path, tag=tag, digest=digest or None)


def complete(name: str, registry: str | None) -> Reference:
    """The image that Nextflow pulls for `name` under `docker.registry`.

    Nextflow prefixes a name whose first path part has neither '.' nor ':' (ContainerHandler in
    its sources), so also `localhost/x`; without a registry the engine's own default holds.
    """
    name = name.strip()
    first, slash, _ = name.partition("/")
    absolute = bool(slash) and ("." in first or ":" in first)
    if registry and not absolute:
        name = f"{registry.rstrip('/')}/{name}"
    return parse(name)
