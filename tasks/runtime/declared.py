"""What Maven's poms say of the jars that it brought: coordinates, and the licence.

A pom without a licence has its parent's (maven.apache.org/pom.html, "Inheritance"). To know what a
jar needs, Maven reads its pom and all parents, so they lie in its repository by then: nothing is
asked for here. Unlike jars they aren't locked, and they decide nothing but what is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.core import nofollow, pom
from tasks.core.errors import IntegrityError
from tasks.core.pom import Coordinates

REPOSITORY = "@"
"""What a class path that is read here has in the place of the repository's own path."""
MOST_PARENTS = 10
"""Poms that are looked at for one jar's licence; Apache's projects have three in a row."""


def brought(classpath: str) -> dict[str, Coordinates]:
    """What Maven knows each jar by, by the file's name.

    A name that two have is left out: nothing tells whose file lies there.
    """
    named = [(path[-1], known) for entry in classpath.split(":")
             if (path := entry.strip().split("/"))[0] == REPOSITORY and len(path) > 4
             and (known := pom.coordinates(".".join(path[1:-3]), *path[-3:-1]))]
    counts = Counter(name for name, _ in named)
    return {name: known for name, known in named if counts[name] == 1}


def described(jars: Iterable[Mapping[str, Any]], known: Mapping[str, Coordinates],
              repository: Path) -> list[dict[str, Any]]:
    """The runtime's jars, as its lock names them, with what is `known` of each."""
    return [{"name": jar["name"], "sha256": jar["sha256"],
             **_described(known.get(jar["name"]), repository)} for jar in jars]


def _described(artifact: Coordinates | None, repository: Path) -> dict[str, Any]:
    if artifact is None:
        return {"licences": []}
    coordinates = {"group": artifact.group, "artifact": artifact.artifact,
                   "version": artifact.version}
    for place, content in _lineage(artifact, repository):
        if content.licences:
            return {**coordinates, "licences": list(content.licences), "licences_of": str(place)}
    return {**coordinates, "licences": []}


def _lineage(artifact: Coordinates, repository: Path) -> Iterator[tuple[Coordinates, pom.Pom]]:
    """Its pom, its parent's, and so on, as far as they lie there."""
    place: Coordinates | None = artifact
    for _ in range(MOST_PARENTS):
        if place is None:
            return
        try:
            with nofollow.reading(repository, place.pom) as stream:
                content = pom.read(stream.read(pom.LARGEST + 1))
        except (OSError, IntegrityError):  # one that isn't there, or a link
            return
        yield place, content
        place = content.parent
