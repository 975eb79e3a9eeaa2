"""Images by hand: what a pipeline's own config says under `images`, by process."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from tasks.core.errors import ImageError
from tasks.core.nearest import hint
from tasks.core.registry.docker_hub import DOCKER_HUB
from tasks.core.source.directives import Directive

ByHand = Mapping[str, str | Sequence[str]]
"""What the configuration holds under `images`."""
NONE = "none"
"""Stands for the image of a process that runs with the host's own programs."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """The images of one process; none at all where it is to run without."""

    images: tuple[str, ...]

    def directive(self, file: str = "", line: int = 0) -> Directive:
        """The images as if the process's own directive at this place named them."""
        return Directive(word="container", values=frozenset(self.images), file=file, line=line)


def read(images: ByHand) -> dict[str, Given]:
    """What is given, by process."""
    values = {name: (value,) if isinstance(value, str) else tuple(value)
              for name, value in images.items()}
    return {name: Given(images=() if value == (NONE,) else value)
            for name, value in values.items()}


def refuse_unknown(given: Collection[str], known: Collection[str], config: str) -> None:
    """Raise ImageError where an image is given for a process that isn't there."""
    for name in given:
        if name not in known:
            raise ImageError(f"`images` names a process {name!r} that the pipeline doesn't have"
                             f"{hint(name, known)}", where=config,
                             todo="correct or remove that line")


def names_of(given: str, image: str, registry: str | None) -> set[str]:
    """The names that mean an image: with and without the host or tag that it has by default."""
    names = {given.strip(), image}
    for prefix in (f"{DOCKER_HUB}/library/", f"{DOCKER_HUB}/", f"{registry}/"):
        names |= {name.removeprefix(prefix) for name in names}
    return names | {name.removesuffix(":latest") for name in names}
