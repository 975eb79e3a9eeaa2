"""A pipeline's code as a part, with the licence that its own files name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.core import nofollow, parsing
from tasks.core.bill.parts import CONFIGS, PIPELINE, Part
from tasks.core.errors import AirlockError
from tasks.core.licence_names import named
from tasks.core.schema import read_json
from tasks.core.source import resolved_config

LARGEST = 4 * 2**20
"""Bytes of a file that is read for its licence; the ro-crate of sarek has 200 kB."""
TEXTS = ("LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE", "LICENCE.md", "LICENCE.txt", "COPYING")
"""Files that hold a licence's text. Which licence that is isn't judged."""


def pipeline(manifest: Path, code: Path, resolved: Path) -> Part:
    """The pipeline: `manifest` is code.tar's, and `resolved` the file of its config."""
    staged = read_json(manifest, "code-manifest")
    with resolved_config.opened(code, resolved) as (folder, config):
        licences, place = licence(folder, config)
        texts = [name for name in TEXTS if (folder / name).is_file()]
    return Part(
        kind=PIPELINE, key=f"pipeline:{staged['pipeline']}", name=staged["pipeline"],
        version=staged["revision"], source=staged["source"], bytes=code.stat().st_size,
        hashes={"SHA-256": staged["sha256"]}, licences=licences, notes={
            "file": "code.tar", **({"commit": staged["commit"]} if staged["commit"] else {}),
            **({"licence-by": place} if place else {}),
            **({"licence-text": ", ".join(texts)} if texts else {})})


def configs(manifest: Path, archive: Path) -> Part:
    """Institutional configs that are carried."""
    staged = read_json(manifest, "code-manifest")
    return Part(kind=CONFIGS, key=f"configs:{staged['source']}", name="institutional configs",
                version=staged["revision"], source=staged["source"],
                bytes=archive.stat().st_size, hashes={"SHA-256": staged["sha256"]}, notes={
                    "file": "configs.tar",
                    **({"commit": staged["commit"]} if staged["commit"] else {})})


def licence(folder: Path, config: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    """What the code says that its licence is, and where it says so; nothing where it doesn't."""
    own = config.get("manifest")
    declared = {"manifest.license": own.get("license") if isinstance(own, Mapping) else None,
                "CITATION.cff": _of_citation(folder), "ro-crate-metadata.json": _of_crate(folder)}
    for place, value in declared.items():
        if names := named(value if isinstance(value, list) else [value]):
            return names, place
    return (), ""


def _of_citation(folder: Path) -> Any:
    """`license` of a citation file (Citation File Format 1.2.0)."""
    return _mapping(_parsed(folder / "CITATION.cff", parsing.from_yaml)).get("license")


def _of_crate(folder: Path) -> Any:
    """`license` of the root data entity of an RO-Crate 1.1."""
    crate = _mapping(_parsed(folder / "ro-crate-metadata.json", parsing.from_json))
    graph = crate.get("@graph")
    for entity in graph if isinstance(graph, list) else []:
        if isinstance(entity, dict) and entity.get("@id") == "./":
            declared = entity.get("license")
            return declared.get("@id") if isinstance(declared, dict) else declared
    return None


def _parsed(path: Path, parse: Any) -> Any:
    """A file of the pipeline, which may hold anything; None where it can't be read."""
    if path.is_symlink() or not path.is_file():
        return None
    try:
        return parse(nofollow.read(path, most=LARGEST).decode())
    except (AirlockError, OSError, ValueError):
        return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
