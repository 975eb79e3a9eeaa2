"""`dev:contents`: what each pipeline carries, as a table for people and their documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tasks.core import files
from tasks.core.errors import ConfigError
from tasks.core.paths import PipelinePaths
from tasks.core.schema import read_json

UNKNOWN = "–"
HEADER = ("Pipeline", "Revision", "Nextflow", "Images", "Plugins", "Data", "Open references")


@dataclass(frozen=True, kw_only=True)
class ContentsSpec:
    """The pipelines' built files, and the Nextflow version of each."""

    layouts: tuple[PipelinePaths, ...]
    runtimes: tuple[str, ...]


def contents(spec: ContentsSpec) -> str:
    """Print a Markdown table with a row for each pipeline; what isn't built is a dash."""
    rows = [HEADER, tuple("---" for _ in HEADER),
            *(row(layout, runtime)
              for layout, runtime in zip(spec.layouts, spec.runtimes, strict=True))]
    print("\n".join(f"| {' | '.join(cells)} |" for cells in rows), flush=True)
    return f"{len(spec.layouts)} pipelines"


def row(layout: PipelinePaths, runtime: str) -> tuple[str, ...]:
    """One pipeline's cells, in the order of HEADER."""
    return (layout.pipeline, _known(lambda: _revision(layout)), runtime,
            _known(lambda: _images(layout)), _known(lambda: _plugins(layout)),
            _known(lambda: _data(layout)), _known(lambda: _open(layout)))


def _known(cell: Callable[[], str]) -> str:
    try:
        return cell()
    except (ConfigError, FileNotFoundError):
        return UNKNOWN


def _revision(layout: PipelinePaths) -> str:
    return str(read_json(layout.code_manifest, "code-manifest")["revision"])


def _images(layout: PipelinePaths) -> str:
    """How many images are listed and, once they are locked, the bytes of their blobs."""
    count = len(layout.images.read_text().split())
    lock = layout.lock("images")
    if not lock.is_file():
        return str(count)
    blobs = {blob["digest"]: blob["size"] for image in read_json(lock, "images-lock")["images"]
             for blob in (image["config"], *image["layers"]) if blob}
    return f"{count}, {files.human_size(sum(blobs.values()))}"


def _plugins(layout: PipelinePaths) -> str:
    return ", ".join(layout.plugins_list.read_text().split()) or "none"


def _data(layout: PipelinePaths) -> str:
    return _sized(read_json(layout.data_manifest, "data-manifest")["files"])


def _sized(listed: Iterable[dict[str, Any]]) -> str:
    unique = {file["sha256"]: file["size"] for file in listed}
    return f"{len(unique)} files, {files.human_size(sum(unique.values()))}"


def _open(layout: PipelinePaths) -> str:
    findings = read_json(layout.reach, "reach")["findings"]
    unanswered = sum(finding["answer"] is None for finding in findings)
    return f"{unanswered} of {len(findings)}"
