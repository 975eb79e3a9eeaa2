"""Image references: parsed, completed as Nextflow does it, and given a place at the destination."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tasks.core.errors import ImageError
from tasks.core.registry.client import DOCKER_HUB

HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?")
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


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where images go: by default below `prefix` in one registry.

    `repositories` maps a source host to a place of its own, `host:port[/path]`.
    """

    address: str
    prefix: str = ""
    repositories: Mapping[str, str] = field(default_factory=dict)

    def registry(self, source: Reference) -> str:
        """host:port of the registry that the image goes to."""
        return self._place(source.host)[0]

    def path(self, source: Reference) -> str:
        """The repository below that registry: `[prefix/]<source host>/<path>`.

        In a place of the source host's own, the host's name is left out. A port's colon can't
        stand in a repository's name, and becomes a hyphen.
        """
        below = self.below(source.host)
        path = f"{below}/{source.path}" if below else source.path
        if len(path) > LONGEST_NAME:
            raise ImageError(f"the mirrored name of {source} would have {len(path)} characters; "
                             f"a registry takes {LONGEST_NAME}", where=path,
                             todo="shorten registry.prefix in the site's file")
        return path

    def repository(self, source: Reference) -> str:
        """The same with the registry's address before it, as in a pull reference."""
        return f"{self.registry(source)}/{self.path(source)}"

    def below(self, host: str) -> str:
        """The path in its registry below which all of a source host's images stand."""
        if host in self.repositories:
            return self._place(host)[1]
        name = host.replace(":", "-")
        return f"{self.prefix}/{name}" if self.prefix else name

    def _place(self, host: str) -> tuple[str, str]:
        address, _, path = self.repositories.get(host, self.address).partition("/")
        return address, path


def refuse_collisions(sources: Iterable[tuple[Reference, str]], destination: Destination) -> None:
    """Raise ImageError where two images would be put into one place.

    `sources` are references with the digests that they stand for. One repository must come from
    one repository, and one tag must mean one digest.
    """
    known = list(sources)
    faults = _shared_homes([source for source, _ in known], destination)
    tags: dict[tuple[str, str], tuple[Reference, str]] = {}
    for source, digest in known:
        if source.tag:
            name = destination.repository(source)
            taken, meant = tags.setdefault((name, source.tag), (source, digest))
            if meant != digest:
                faults.append(f"{taken} ({meant}) and {source} ({digest}) would both be "
                              f"{name}:{source.tag}")
    _refuse(faults)


def refuse_shared_homes(sources: Iterable[Reference], destination: Destination) -> None:
    """Raise ImageError where images of two repositories would be put into one."""
    _refuse(_shared_homes(sources, destination))


def _shared_homes(sources: Iterable[Reference], destination: Destination) -> list[str]:
    homes: dict[str, Reference] = {}
    faults = []
    for source in sources:
        name = destination.repository(source)
        other = homes.setdefault(name, source)
        if other.repository != source.repository:
            faults.append(f"{other} and {source} would both go to {name}")
    return faults


def _refuse(faults: list[str]) -> None:
    if faults:
        raise ImageError("images collide at the destination:\n  "
                         + "\n  ".join(dict.fromkeys(faults)),
                         where="registry.repositories in the site's file",
                         todo="give each source host a place of its own, or leave one image out")
