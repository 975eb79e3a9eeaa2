"""offline.config: what makes a pipeline run from the mirror, image by image."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core import config_places, files
from tasks.core.config import engines
from tasks.core.nextflow import image_selectors, plugin_pins, versions
from tasks.core.nextflow.image_selectors import Selector, quoted
from tasks.core.nextflow.tested_lines import is_tested
from tasks.core.schema import read_json

OVERRIDES = "25.10"
"""The first line of Nextflow that knows `docker.registryOverride`."""
WITHOUT_OCI = "25.10"
"""The first line that knows no `singularity.oci` any more."""


@dataclass(frozen=True, kw_only=True)
class CommonSpec:
    """What is read whatever carries the images: the scan, toggles by hand and the plugins' lock.

    `toggles` hold for all pipelines, `engine_toggles` for those of this kind of engine.
    """

    pipeline: str
    nextflow: str
    scan: Path
    toggles: Path
    engine_toggles: Path
    output: Path
    plugins: Path | None = None


@dataclass(frozen=True, kw_only=True)
class RenderSpec(CommonSpec):
    """What `config` reads where an engine of this kind pulls: the mirror's receipt besides."""

    receipt: Path
    engine: str = engines.DOCKER


@dataclass(frozen=True, kw_only=True)
class IndexSpec(CommonSpec):
    """What is read of image files, from sif.json, or of loaded archives, from the layout's index.
    """

    index: Path


def build(spec: RenderSpec) -> str:
    """Write offline.config; ImageError where an image of the scan is not in the receipt."""
    receipt = read_json(spec.receipt, "images-receipt")
    mirrored = image_selectors.mirrored(receipt)
    hosts = {destination.partition("/")[0] for destination in mirrored.values()}
    return _write(spec, mirrored, f"{len(mirrored)} images by digest",
                  registry(hosts or {receipt["registry"]}, spec.nextflow, spec.engine))


def build_files(spec: IndexSpec, carried: Mapping[str, str] | None = None) -> str:
    """Write offline.config by the names that lead Nextflow to the image files.

    `carried` are these, where sif.json doesn't say them yet. ImageError where an image of the scan
    has none.
    """
    if carried is None:
        carried = image_selectors.image_files(read_json(spec.index, "sif"))
    return _write(spec, carried, f"{len(carried)} image files", _older_names(spec))


def _older_names(spec: IndexSpec) -> list[str]:
    """What Singularity's ociMode was called first, and beats it until 25.10 (SingularityBuilder).

    Later versions don't know the name, and would warn of it in each run.
    """
    is_known = versions.order(versions.line(spec.nextflow)) < versions.order(WITHOUT_OCI)
    is_its_own = spec.engine_toggles.stem == engines.SINGULARITY
    return ["singularity.oci = null"] if is_known and is_its_own else []


def build_loaded(spec: IndexSpec) -> str:
    """Write offline.load.config: images by the names that an engine has loaded them under."""
    index = read_json(spec.index, "oci-index")
    annotations = [manifest["annotations"] for manifest in index["manifests"]
                   if "annotations" in manifest]
    loaded = {names["org.opencontainers.image.ref.name"]: names["io.containerd.image.name"]
              for names in annotations}
    return _write(spec, loaded, f"{len(loaded)} images by name")


def registry(hosts: Collection[str], nextflow: str, engine: str = engines.DOCKER) -> list[str]:
    """A net below the selectors: an image that none of them names is asked of our registry alone.

    From 25.10 on Docker's `registryOverride` puts that host in the place of any other. One host can
    stand there, so there is no net where the images lie on several.
    """
    if len(hosts) != 1:
        return []
    lines = [f"{engine}.registry = {quoted(next(iter(hosts)))}"]
    is_new = versions.order(versions.line(nextflow)) >= versions.order(OVERRIDES)
    if engine == engines.DOCKER and is_new:
        lines.append("docker.registryOverride = true")
    return lines


def _write(spec: CommonSpec, mirrored: Mapping[str, str], summary: str,
           net: Sequence[str] = ()) -> str:
    scan = read_json(spec.scan, "images-scan")
    selectors = image_selectors.of_scan(scan)
    main = [f"manifest.mainScript = {quoted(scan['script'])}"] if "script" in scan else []
    toggles = f"{spec.engine_toggles.read_text()}\n{spec.toggles.read_text()}"
    text = "\n".join([f"// Made by nf-airlock for {spec.pipeline} and Nextflow {spec.nextflow}; "
                      f"edit {config_places.carried_name(spec.toggles)} and "
                      f"{config_places.carried_name(spec.engine_toggles)} instead.",
                      *_not_tested(spec.nextflow), "",
                      *(plugin_pins.read(spec.plugins) if spec.plugins else []),
                      render(selectors, mirrored, toggles, [*main, *net])])
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

    The selectors stand in the last config given by -c, so they beat the pipeline's own.
    `profiles.offline` must exist, since `-profile test,offline` asks for it; the settings stand
    outside it, where order is no matter.
    """
    lines = ["profiles {", "    offline {}", "}", "", toggles.strip(), *net, "", "process {"]
    lines += image_selectors.render(selectors, mirrored)
    return "\n".join([*lines, "}", ""])
