"""offline.config: what makes a pipeline run from the mirror, image by image."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.core import files
from tasks.core.errors import ImageError
from tasks.core.schema import read_json

NAME = re.compile(r"[A-Za-z_]\w*\Z")
REFERENCE = re.compile(r"[A-Za-z0-9.:/_@-]+\Z")


@dataclass(frozen=True, kw_only=True)
class RenderSpec:
    """What `config` reads: the scan, the receipt and the hand-written toggles."""

    pipeline: str
    scan: Path
    receipt: Path
    toggles: Path
    output: Path


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process, the other names that it is included under, and the image that it names."""

    name: str
    aliases: tuple[str, ...]
    container: str


def build(spec: RenderSpec) -> str:
    """Write offline.config; ImageError where an image of the scan is not in the receipt."""
    scan = read_json(spec.scan, "images-scan")
    receipt = read_json(spec.receipt, "images-receipt")
    processes = [Process(name=each["name"], aliases=tuple(each["aliases"]),
                         container=each["container"]) for each in scan["processes"]]
    mirrored = {image["source"]: f"{image['destination']}@{image['digest']}"
                for image in receipt["images"]}
    text = render(spec.pipeline, processes, mirrored, spec.toggles.read_text())
    files.write_text(spec.output, text)
    return f"{len(processes)} processes by digest"


def render(pipeline: str, processes: Iterable[Process], mirrored: Mapping[str, str],
           toggles: str) -> str:
    """The text of offline.config for Nextflow 24.10.

    One selector per process, `(.*:)?(NAME|ALIAS)`: a regular expression that matches the fully
    qualified name is of the highest precedence, and stands in the last config given by -c, so it
    beats the pipeline's own. The plain name loses to a pipeline's qualified selector, and one
    that leaves out an alias loses to the alias. `profiles.offline` must exist, since
    `-profile test,offline` asks for it; the settings stand outside it, where order is no matter.
    """
    lines = [f"// Made by nf-airlock for {pipeline}; edit config/offline.config instead.", "",
             "profiles {", "    offline {}", "}", "", toggles.strip(), "", "process {"]
    for process, image in sorted(_pinned(processes, mirrored).items()):
        lines.append(f"    withName: '(.*:)?({process})' {{ container = '{image}' }}")
    return "\n".join([*lines, "}", ""])


def _pinned(processes: Iterable[Process], mirrored: Mapping[str, str]) -> dict[str, str]:
    """Selector's names to image; every fault at once."""
    names: defaultdict[str, set[str]] = defaultdict(set)
    images: defaultdict[str, set[str]] = defaultdict(set)
    faults = []
    for process in processes:
        names[process.name] |= {process.name, *process.aliases}
        image = mirrored.get(process.container)
        if image is None:
            faults.append(f"{process.name}: {process.container} is not in the mirror's receipt")
        elif not REFERENCE.match(image):
            faults.append(f"{process.name}: {image!r} is not an image reference")
        else:
            images[process.name].add(image)
    faults += [f"{name!r} is not a process name" for each in names.values() for name in each
               if not NAME.match(name)]
    faults += [f"{name}: it may use several images ({', '.join(sorted(several))})"
               for name, several in images.items() if len(several) > 1]
    if faults:
        raise ImageError("not every process has its one mirrored image:\n"
                         + "\n".join(f"  {fault}" for fault in faults),
                         todo="run `doit images:mirror`, or name the process's image under "
                              "`images:` in the pipeline's config")
    return {"|".join(sorted(names[name])): image.pop() for name, image in images.items()}
