"""Which files make a release, its signature, and the tool; where they lie here.

The graph is built from this alone, so it imports nothing of the room's logic.
"""

from __future__ import annotations

from pathlib import Path

from tasks.core.config.engines import FILES, REGISTRY, STORE
from tasks.core.paths import SBOM_CYCLONEDX, SBOM_SPDX, SIF_INDEX, PipelinePaths

KINDS = {"code": ("code",), "data": ("data",), "plugins": ("plugins",), "runtime": ("runtime",),
         "release": ("images", "config", "sbom")}
"""Which kinds of a release's files each part brings to the store."""

BEFORE_RELEASE = ("code", "data", "plugins", "runtime")
"""The parts that are pushed before a release is."""
LISTED = ("release.json", "SHA256SUMS")
SEAL = "SHA256SUMS.sig"
SEALED = (*LISTED, SEAL)
SMOKE = ("smoke.log", "trace.txt", "report.html", "DAG.svg")
TOP = {
    "LICENSE": "the licence",
    "README.md": "what it is",
    "docs/offline-hosts.md": "how to use it on an offline host",
    "dodo.py": "the build graph, which doit loads",
    "doit": "makes the Python environment, then starts doit in it",
    "pyproject.toml": "doit's plugins, and settings of this project's checks",
    "requirements.txt": "Python packages, each with the SHA-256 of its files",
}
"""Files beside tasks/ and schemas/ that are carried, with what they are."""
MADE = {
    SBOM_CYCLONEDX: "its Python packages with their licences, as CycloneDX",
    SBOM_SPDX: "the same, as SPDX",
}
"""Files that are made with the tool's archive, in forms that have no words of their own."""


def top() -> list[Path]:
    """Those of them that are there."""
    return [path for name in TOP if (path := Path(name)).is_file()]


def fixed(layout: PipelinePaths, runtime: str, *, carry: str = REGISTRY,
          configs: bool = False) -> dict[str, tuple[str, Path]]:
    """Path in the release to kind and place here, of all but data files, images' blobs and
    image files.
    """
    institutional = {"configs.tar": ("code", layout.configs),
                     "configs.manifest.json": ("code", layout.configs_manifest)}
    oci = {"oci/index.json": ("images", layout.oci_index),
           "oci/oci-layout": ("images", layout.oci_marker)}
    return {
        **(oci if carry == STORE else {}),
        **({SIF_INDEX: ("images", layout.sif_index)} if carry == FILES else
           {"images.receipt.json": ("images", layout.images_receipt)}),
        **(institutional if configs else {}),
        "code.tar": ("code", layout.code),
        "manifest.json": ("code", layout.code_manifest),
        "reach.json": ("code", layout.reach),
        "images.json": ("images", layout.images_scan),
        "images.lock.json": ("images", layout.images_carried),
        "images.txt": ("images", layout.images),
        "images.pinned.txt": ("images", layout.images_pinned),
        "data.manifest.json": ("data", layout.data_manifest),
        "inputs.csv": ("data", layout.inputs),
        "inputs3.csv": ("data", layout.inputs_store),
        "plugins.txt": ("plugins", layout.plugins_list),
        "plugins.tar": ("plugins", layout.plugins),
        f"nextflow-{runtime}.tar": ("runtime", layout.runtime(runtime)),
        "offline.config": ("config", layout.offline_config),
        SBOM_CYCLONEDX: ("sbom", layout.sbom(SBOM_CYCLONEDX)),
        SBOM_SPDX: ("sbom", layout.sbom(SBOM_SPDX)),
    }
