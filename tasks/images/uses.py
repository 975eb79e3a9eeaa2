"""Which process uses which image: what a scan finds, and how names become complete."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tasks.core.config.engines import SIF_KINDS
from tasks.core.errors import ImageError
from tasks.core.source.directives import Directive
from tasks.core.source.groovy.values import (
    Chosen,
    Default,
    Record,
    Unknown,
    Unset,
    shown,
    unwrapped,
)
from tasks.images.processes import Process
from tasks.images.reference import complete
from tasks.images.without import Without

IMAGE_FILE = re.compile(r"(https?|oras|library|shub|file)://[^\s'\"]+|(/|\$projectDir/)[^\s'\"]+")
"""What Apptainer and Singularity take as it stands: an image file's address or path, or a
library's."""


@dataclass(frozen=True, kw_only=True, order=True)
class Use:
    """A process and one image that it can use, by the file and line that say so."""

    name: str
    aliases: tuple[str, ...]
    container: str
    file: str
    line: int


@dataclass(frozen=True, kw_only=True)
class Selector:
    """`withName: 'pattern'`: the images by the names that the sources give them.

    `choice` is Groovy whose value is one of these names; None where it is always the same image,
    or where the choice can't be made outside of the pipeline's files. Without images, `stops`
    says why no task may run there; None where it is to run without.
    """

    pattern: str
    images: tuple[tuple[str, str], ...]
    choice: str | None
    stops: str | None = None

    def as_json(self) -> dict[str, object]:
        """The form in images.json."""
        return {"pattern": self.pattern, "choice": self.choice,
                "images": [{"name": name, "container": image} for name, image in self.images],
                **({"stops": self.stops} if self.stops else {})}


@dataclass(kw_only=True)
class Scan:
    """The result of a scan; `script` is the main one, where that was named by hand.

    `faults` are images that can't be known, and files of the code that are missing or no Groovy,
    which are the `unread`; `notices` what was not followed; all one a line with file and line
    before them. `without` are processes that have no image. `by_default` are the
    places and images that hang on a param, by its name; `inspected` are images that `nextflow
    inspect` told, by the qualified names of processes.
    """

    script: str | None = None
    uses: list[Use] = field(default_factory=list)
    without: list[Without] = field(default_factory=list)
    selectors: list[Selector] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    by_default: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    inspected: dict[str, str | None] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether there are images that only a run can tell."""
        return len(self.faults) > len(self.unread)

    @property
    def images(self) -> list[str]:
        """Every image once, sorted."""
        return sorted({use.container for use in self.uses})

    def defaults(self) -> Iterator[str]:
        """A notice for each param that images hang on, with the first place and the count."""
        for name, listed in self.by_default.items():
            images = list(dict.fromkeys(image for _, image in listed))
            more = len(dict.fromkeys(place for place, _ in listed)) - 1
            others = f" and {len(images) - 1} more are" if images[1:] else " is"
            yield (f"{listed[0][0]}: {images[0]}{others} listed as {name} is by default"
                   + (f", here and at {more} other place{'s' * (more > 1)}" if more else "")
                   + f"; a run that sets it takes {'others' if images[1:] else 'another'}")

    def as_json(self) -> dict[str, object]:
        """The form of images.json (schemas/images-scan.schema.json)."""
        return {**({"script": self.script} if self.script else {}),
                "images": self.images,
                "processes": [{"name": use.name, "aliases": list(use.aliases), "file": use.file,
                               "line": use.line, "container": use.container}
                              for use in self.uses],
                "inspected": [{"name": name, "container": image}
                              for name, image in sorted(self.inspected.items())],
                "without": [without.as_json() for without in self.without],
                "selectors": [selector.as_json() for selector in self.selectors]}


@dataclass(frozen=True)
class Resolver:
    """Turns values into complete references; what can't be becomes a fault."""

    scan: Scan
    engine: str
    registry: str | None

    def add(self, process: Process, name: str, aliases: Iterable[str],
            container: Directive) -> None:
        """Note each image that the container can be, or why that can't be known."""
        place = f"{container.file}:{container.line}: {process.name}"
        for value, _, image in self.images(container, faults=(place, self.scan.faults)):
            if isinstance(value, Default):
                self.scan.by_default.setdefault(value.name, []).append((place, image))
            self.scan.uses.append(Use(
                name=name, aliases=tuple(sorted(aliases)), container=image,
                file=container.file, line=container.line))

    def images(self, container: Directive, *, faults: tuple[str, list[str]] = ("", []),
               ) -> list[tuple[Any, str, str]]:
        """Each value that names an image, with the plain name and the complete one."""
        place, lines = faults
        images = []
        for value in sorted(container.values, key=str):
            plain = unwrapped(value)
            if isinstance(plain, Chosen):
                continue  # as where a param has a default: a run that sets it takes its own
            if isinstance(plain, Unknown | Unset):
                why = plain.why if isinstance(plain, Unknown) else plain.name
                lines.append(f"{place}: the image hangs on {shown(why)}")
            elif plain == "null":
                lines.append(f"{place}: the image hangs on a value that is null")
            elif isinstance(plain, str) and plain.strip():
                try:
                    images.append((value, plain.strip(), self.name(plain)))
                except ImageError as error:
                    lines.append(f"{place}: {error.what}")
            elif plain not in (None, False, ""):
                lines.append(f"{place}: {_kind(plain)} is no image")
        return images

    def name(self, value: str) -> str:
        """The image's complete name, as the engine asks for it."""
        return complete_name(shown(value.strip()), self.engine, self.registry)


def complete_name(text: str, engine: str, registry: str | None) -> str:
    """The complete name of an image, as an engine with this `registry` asks for it.

    Apptainer and Singularity take image files, and pull plain names from registries as others do:
    to write `docker://` before one is the same.
    """
    if engine in SIF_KINDS:
        if IMAGE_FILE.fullmatch(text):
            return text
        if text.startswith("docker://"):
            return str(complete(text.removeprefix("docker://"), None))
    if text.startswith("$projectDir"):
        raise ImageError(f"{text!r} is a file of the pipeline's code, which {engine} takes as no "
                         "image")
    return str(complete(text, registry))


def _kind(value: object) -> str:
    """What a value that names no image is, for people."""
    return ("a map" if isinstance(value, Record) else "a list" if isinstance(value, tuple)
            else repr(value))
