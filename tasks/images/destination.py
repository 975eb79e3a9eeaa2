"""The map from images to their places in the organisation's registry."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tasks.core.errors import ImageError
from tasks.core.net.pace import MOST_CONNECTIONS
from tasks.images.reference import LONGEST_NAME, Reference


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where images go: by default below `prefix` in one registry.

    `repositories` maps a source host to a place of its own, `host:port[/path]`. `connections` are
    the requests that each of these registries may have to answer at once.
    """

    address: str
    prefix: str = ""
    connections: int = MOST_CONNECTIONS
    repositories: Mapping[str, str] = field(default_factory=dict)

    def registry(self, source: Reference) -> str:
        """host:port of the registry that the image goes to."""
        return self._place(source.host)[0]

    def path(self, source: Reference) -> str:
        """The repository below that registry: `[prefix/]<source host>/<path>`.

        In a place of the source host's own, the host's name is left out. A port's colon can't
        stand in a repository's name, nor an address of IPv6: what can't becomes a hyphen.
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
        name = re.sub(r"[^a-z0-9.-]+", "-", host).strip("-")
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
