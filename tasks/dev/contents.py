"""`dev:contents`: what each pipeline carries, as a table for people and their documents.

A row is of one state: what the configuration and the locks say now. A file of a step that isn't
fresh may be of another one, so its cell is a dash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.core import files
from tasks.core.errors import ConfigError
from tasks.core.paths import PipelinePaths
from tasks.core.schema import read_json

FRESH = "fresh"
"""The state, as `doit list` shows it, of a step whose files are of the configuration as it stands.
"""
UNKNOWN = "–"
HEADER = ("Pipeline", "Revision", "Nextflow", "Images", "Plugins", "Data", "Open references")


@dataclass(frozen=True, kw_only=True)
class ContentsSpec:
    """The pipelines' built files, and the Nextflow version of each.

    `standing` has the states of the steps that made them, by `<step>:<pipeline>`; `hidden` says,
    a line each, which bundled files of the configuration others are used instead of.
    """

    layouts: tuple[PipelinePaths, ...]
    runtimes: tuple[str, ...]
    standing: Mapping[str, str]
    hidden: tuple[str, ...] = ()


def contents(spec: ContentsSpec) -> str:
    """Print a Markdown table with a row for each pipeline; what isn't built is a dash."""
    rows = [row(layout, runtime, spec.standing)
            for layout, runtime in zip(spec.layouts, spec.runtimes, strict=True)]
    lines = [HEADER, tuple("---" for _ in HEADER), *rows]
    print("\n".join([*(f"| {' | '.join(cells)} |" for cells in lines),
                     *([""] if spec.hidden else []), *spec.hidden]), flush=True)
    dashes = sum(UNKNOWN in cells for cells in rows)
    return f"{len(rows)} pipelines" + (
        f", {dashes} of them not built as the configuration stands now ({UNKNOWN}): `doit list` "
        "says what is stale" if dashes else "")


def row(layout: PipelinePaths, runtime: str, standing: Mapping[str, str]) -> tuple[str, ...]:
    """One pipeline's cells, in the order of HEADER."""
    def known(step: str, cell: Callable[[], str]) -> str:
        if standing.get(f"{step}:{layout.pipeline}") != FRESH:
            return UNKNOWN
        try:
            return cell()
        except (ConfigError, FileNotFoundError):
            return UNKNOWN

    is_locked = standing.get(f"images:lock:{layout.pipeline}") == FRESH
    return (layout.pipeline, known("stage", lambda: _revision(layout)), runtime,
            known("images:list", lambda: _images(layout, is_locked=is_locked)),
            known("plugins:cache", lambda: _plugins(layout)),
            known("mirror:data", lambda: _data(layout)), known("reach", lambda: _open(layout)))


def _revision(layout: PipelinePaths) -> str:
    return str(read_json(layout.code_manifest, "code-manifest")["revision"])


def _images(layout: PipelinePaths, *, is_locked: bool) -> str:
    """How many images are listed and, once they are locked, the bytes of their blobs."""
    count = len(layout.images.read_text().split())
    if not is_locked:
        return str(count)
    lock = read_json(layout.lock("images"), "images-lock")
    blobs = {blob["digest"]: blob["size"] for image in lock["images"]
             for blob in (image["config"], *image["layers"]) if blob}
    blobs |= {file["sha256"]: file["size"] for file in lock.get("files", [])}
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
