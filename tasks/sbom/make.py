"""`sbom`: all that a release consists of, in the two forms that others' programs read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.core import files
from tasks.core.bill.documents import documents
from tasks.core.bill.parts import DATA, PIPELINE, Part, Whole, counted
from tasks.core.paths import MANIFEST, PipelinePaths
from tasks.core.schema import read_json
from tasks.sbom import archives, code, images


@dataclass(frozen=True, kw_only=True)
class SbomSpec:
    """What a release will consist of.

    `sif` lists image files, where the release carries those; `configs` says whether it carries
    institutional configs, and `own` are the names of the users' sheets.
    """

    pipeline: str
    layout: PipelinePaths
    runtime: str
    sif: Path | None = None
    configs: bool = False
    own: tuple[str, ...] = ()


def make(spec: SbomSpec) -> str:
    """Write both lists; what they hold, and of how much of it the licence isn't known."""
    at = spec.layout
    parts = list(parts_of(spec))
    pipeline = next(part for part in parts if part.kind == PIPELINE)
    release = Whole(kind="release", name=f"release of {pipeline.name}", version=pipeline.version)
    for name, data in documents(release, parts).items():
        files.write_bytes(at.sbom(name), data)
    return counted(parts)


def parts_of(spec: SbomSpec) -> Iterator[Part]:
    """Every part once, those that hold others before these."""
    at = spec.layout
    yield code.pipeline(at.code_manifest, at.code, at.resolved)
    if spec.configs:
        yield code.configs(at.configs_manifest, at.configs)
    yield from images.parts(at.lock("images"), at.images_labels, spec.sif)
    yield from archives.runtime(at.runtime(spec.runtime), spec.runtime,
                                at.runtime_jars(spec.runtime))
    yield from archives.plugins(at.plugins, at.lock("plugins"))
    yield from _data(spec)


def _data(spec: SbomSpec) -> Iterator[Part]:
    """Data files and sheets, by their paths in the release."""
    at, listed = spec.layout, {}
    for manifest, place in ((at.data_manifest, ""), *(
            (at.own / name / MANIFEST, f"own/{name}/") for name in spec.own)):
        content = read_json(manifest, "data-manifest")
        entries = [(entry["path"], entry) for entry in content["files"]]
        entries += [(place + entry["path"], entry) for entry in content["sheets"]]
        for path, entry in entries:
            listed[path] = Part(kind=DATA, key=f"data:{path}", name=path, bytes=entry["size"],
                                hashes={"SHA-256": entry["sha256"]}, source=entry.get("url", ""))
    yield from (part for _, part in sorted(listed.items()))
