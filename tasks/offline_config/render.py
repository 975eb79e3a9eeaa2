"""offline.config: what makes a pipeline run from the mirror, image by image."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core import files
from tasks.core.errors import ImageError
from tasks.core.nextflow import versions
from tasks.core.nextflow.tested_lines import is_tested
from tasks.core.schema import read_json

OVERRIDES = "25.10"
"""The first line of Nextflow that knows `docker.registryOverride`."""

REFERENCE = re.compile(r"[A-Za-z0-9.:/_@-]+\Z")


@dataclass(frozen=True, kw_only=True)
class RenderSpec:
    """What `config` reads: the scan, the receipt and the hand-written toggles."""

    pipeline: str
    nextflow: str
    scan: Path
    receipt: Path
    toggles: Path
    output: Path


@dataclass(frozen=True, kw_only=True)
class LoadedSpec:
    """What `config:load` reads: the scan, the layout's index and the hand-written toggles."""

    pipeline: str
    nextflow: str
    scan: Path
    index: Path
    toggles: Path
    output: Path


@dataclass(frozen=True, kw_only=True)
class Selector:
    """A selector of the scan: complete images by the names that the sources give them."""

    pattern: str
    images: Mapping[str, str]
    choice: str | None


def build(spec: RenderSpec) -> str:
    """Write offline.config; ImageError where an image of the scan is not in the receipt."""
    receipt = read_json(spec.receipt, "images-receipt")
    mirrored = {image["source"]: f"{image['destination']}@{image['digest']}"
                for image in receipt["images"]}
    hosts = {destination.partition("/")[0] for destination in mirrored.values()}
    return _write(spec, mirrored, f"{len(mirrored)} images by digest",
                  registry(hosts or {receipt["registry"]}, spec.nextflow))


def build_loaded(spec: LoadedSpec) -> str:
    """Write offline.load.config: images by the names that an engine has loaded them under."""
    index = read_json(spec.index, "oci-index")
    annotations = [manifest["annotations"] for manifest in index["manifests"]
                   if "annotations" in manifest]
    loaded = {names["org.opencontainers.image.ref.name"]: names["io.containerd.image.name"]
              for names in annotations}
    return _write(spec, loaded, f"{len(loaded)} images by name")


def registry(hosts: Collection[str], nextflow: str) -> list[str]:
    """A net below the selectors: an image that none of them names is asked of our registry alone.

    From 25.10 on `registryOverride` puts that host in the place of any other. One host can stand
    there, so there is no net where the images lie on several.
    """
    if len(hosts) != 1:
        return []
    lines = [f"docker.registry = {_quoted(next(iter(hosts)))}"]
    if versions.order(versions.line(nextflow)) >= versions.order(OVERRIDES):
        lines.append("docker.registryOverride = true")
    return lines


def _write(spec: RenderSpec | LoadedSpec, mirrored: Mapping[str, str], summary: str,
           net: Sequence[str] = ()) -> str:
    scan = read_json(spec.scan, "images-scan")
    selectors = [Selector(pattern=selector["pattern"], choice=selector["choice"], images={
        image["name"]: image["container"] for image in selector["images"]})
        for selector in scan["selectors"]]
    text = "\n".join([f"// Made by nf-airlock for {spec.pipeline} and Nextflow {spec.nextflow}; "
                      "edit config/offline.config instead.", *_not_tested(spec.nextflow), "",
                      render(selectors, mirrored, spec.toggles.read_text(), net)])
    files.write_text(spec.output, text)
    return f"{summary}, {len(selectors)} selectors"


def _not_tested(nextflow: str) -> list[str]:
    if is_tested(nextflow):
        return []
    return [f"// NOT TESTED: no test has run Nextflow {nextflow} with this file; it follows the "
            "documentation."]


def render(selectors: Sequence[Selector], mirrored: Mapping[str, str], toggles: str,
           net: Sequence[str] = ()) -> str:
    """The settings of offline.config, in the grammar of both of Nextflow's config parsers.

    The selectors are regular expressions that match the fully qualified name: those are of the
    highest precedence, and stand in the last config given by -c, so they beat the pipeline's own;
    among them the later one holds. A plain name loses to a pipeline's qualified selector, and one
    that leaves out an alias loses to the alias. The same text as a selector of the pipeline would
    take that one's place in the order, hence a group around each that nobody writes.
    `profiles.offline` must exist, since `-profile test,offline` asks for it; the settings stand
    outside it, where order is no matter.
    """
    _refuse_faults(selectors, mirrored)
    lines = ["profiles {", "    offline {}", "}", "", toggles.strip(), *net, "", "process {"]
    for selector in selectors:
        container = (_chosen(selector.images, selector.choice, mirrored) if selector.choice
                     else _quoted(mirrored[next(iter(selector.images.values()))]))
        pattern = _quoted(f"(?:{selector.pattern})")
        lines.append(f"    withName: {pattern} {{ container = {container} }}")
    return "\n".join([*lines, "}", ""])


def _chosen(images: Mapping[str, str], choice: str, mirrored: Mapping[str, str]) -> str:
    """A closure that makes the pipeline's own choice, and gives the mirrored image for it.

    Nextflow asks it once for each task, when the params of the run are known.
    """
    pairs = ", ".join(f"{_quoted(name)}: {_quoted(mirrored[image])}"
                      for name, image in sorted(images.items()))
    return (f"{{\n        def named = ({choice}).toString().trim()\n"
            f"        def mirrored = [{pairs}]\n"
            "        if (!mirrored[named]) { throw new IllegalStateException(\"nf-airlock: these "
            "params ask for the image ${named}, which was not mirrored\") }\n"
            "        mirrored[named]\n    }")


def _refuse_faults(selectors: Sequence[Selector], mirrored: Mapping[str, str]) -> None:
    """Raise ImageError with every fault at once."""
    faults = []
    for selector in selectors:
        for image in sorted(set(selector.images.values())):
            if image not in mirrored:
                faults.append(f"{selector.pattern}: {image} is not in the mirror's receipt")
            elif not REFERENCE.match(mirrored[image]):
                faults.append(f"{selector.pattern}: {mirrored[image]!r} is not an image reference")
        if selector.choice is None and len(set(selector.images.values())) > 1:
            faults.append(f"{selector.pattern}: it may use several images "
                          f"({', '.join(sorted(set(selector.images.values())))}), by a choice "
                          "that can't be made in offline.config")
    if faults:
        raise ImageError("not every process has its mirrored image:\n"
                         + "\n".join(f"  {fault}" for fault in dict.fromkeys(faults)),
                         todo="run `doit images:mirror`, or name the process's image under "
                              "`images:` in the pipeline's config")


def _quoted(text: str) -> str:
    """A Groovy string of this text."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"
