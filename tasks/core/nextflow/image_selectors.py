"""Selectors of a config that give every process its mirrored image, in both parsers' grammar.

They are regular expressions that match the fully qualified name: those are of the highest
precedence, and among them the later one holds. A plain name loses to a pipeline's qualified
selector, and one that leaves out an alias loses to the alias. The same text as a selector of the
pipeline would take that one's place in the order, hence a group around each that nobody writes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.core.errors import ImageError

REFERENCE = re.compile(r"[A-Za-z0-9.:/_@-]+\Z|(https?|oras)://[A-Za-z0-9.:/_@?=&%+~,-]+\Z")


@dataclass(frozen=True, kw_only=True)
class Selector:
    """A selector of the scan: complete images by the names that the sources give them.

    Without any, `stops` says why no task may run there; None where it is to run without.
    """

    pattern: str
    images: Mapping[str, str]
    choice: str | None
    stops: str | None = None


def of_scan(scan: Mapping[str, Any]) -> list[Selector]:
    """Return the selectors of images.json, in their order."""
    return [Selector(pattern=selector["pattern"], choice=selector["choice"],
                     stops=selector.get("stops"), images={
                         image["name"]: image["container"] for image in selector["images"]})
            for selector in scan["selectors"]]


def mirrored(receipt: Mapping[str, Any]) -> dict[str, str]:
    """Return the pull reference of each image of a mirror's receipt, by its name in the scan."""
    return {image["source"]: f"{image['destination']}@{image['digest']}"
            for image in receipt["images"]}


def image_files(index: Mapping[str, Any]) -> dict[str, str]:
    """Return what leads to the file of each image of sif.json, by the image's name in the scan."""
    return {image["source"]: image["container"] for image in index["images"]}


def render(selectors: Sequence[Selector], mirrored: Mapping[str, str]) -> list[str]:
    """Return the lines of a block `process`, one or more for each selector.

    A process that is to run without an image has none, whatever the pipeline sets; one that should
    have one ends the run, since Nextflow would run it with the host's own programs, unsaid.
    `mirrored` gives the pull reference of each image of the scan. ImageError with every fault at
    once, where one is missing or can't be chosen in a config.
    """
    _refuse_faults(selectors, mirrored)
    lines = []
    for selector in selectors:
        if not selector.images:
            container = _stop(selector.stops) if selector.stops else "null"
        elif selector.choice:
            container = _chosen(selector.images, selector.choice, mirrored)
        else:
            container = quoted(mirrored[next(iter(selector.images.values()))])
        pattern = quoted(f"(?:{selector.pattern})")
        lines.append(f"    withName: {pattern} {{ container = {container} }}")
    return lines


def _stop(why: str) -> str:
    """A closure that ends a task without an image before the host's own programs are taken."""
    return f"{{\n        throw new IllegalStateException({quoted(f'nf-airlock: {why}')})\n    }}"


def _chosen(images: Mapping[str, str], choice: str, mirrored: Mapping[str, str]) -> str:
    """A closure that makes the pipeline's own choice, and gives the mirrored image for it.

    Nextflow asks it once for each task, when the params of the run are known. The strict parser
    doesn't know variables that are declared in a config's closure (tried: 25.04), only parameters.
    """
    pairs = ", ".join(f"{quoted(name)}: {quoted(mirrored[image])}"
                      for name, image in sorted(images.items()))
    names = [quoted(name) for name in sorted(images)]
    return (f"{{\n        ({choice}).toString().trim().with {{ named ->\n"
            f"            if (!(named in [{', '.join(names)}])) {{ throw new IllegalStateException("
            "\"nf-airlock: these params ask for the image ${named}, which was not mirrored\") }\n"
            f"            [{pairs}][named]\n        }}\n    }}")


def _refuse_faults(selectors: Sequence[Selector], mirrored: Mapping[str, str]) -> None:
    """Raise ImageError with every fault at once."""
    faults = []
    for selector in selectors:
        for image in sorted(set(selector.images.values())):
            if image not in mirrored:
                faults.append(f"{selector.pattern}: {image} is not among the images that are "
                              "carried")
            elif not REFERENCE.match(mirrored[image]):
                faults.append(f"{selector.pattern}: {mirrored[image]!r} is not an image reference")
        if selector.choice is None and len(set(selector.images.values())) > 1:
            faults.append(f"{selector.pattern}: it may use several images "
                          f"({', '.join(sorted(set(selector.images.values())))}), by a choice "
                          "that can't be made in offline.config")
    if faults:
        raise ImageError("not every process has its mirrored image:\n"
                         + "\n".join(f"  {fault}" for fault in dict.fromkeys(faults)),
                         todo="run `doit images`, or name the process's image under "
                              "`images:` in the pipeline's config")


def quoted(text: str) -> str:
    """A Groovy string of this text."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"
