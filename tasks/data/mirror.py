"""A pipeline's test data: what its params and samplesheet name, fetched, locked and listed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import files, locks, nextflow, sums, urls
from tasks.core.errors import IntegrityError, SourceError
from tasks.data import params, sheet
from tasks.data.blobs import Blob, Cache, fetch_all, keep
from tasks.data.sources import Reach


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """What `mirror:data` reads, and where its files go."""

    pipeline: str
    profile: str
    rows: int
    reach: Reach
    store: str
    code: Path
    runtime: Path
    blobs: Path
    manifest: Path
    sums: Path
    inputs: Path
    inputs_store: Path
    lock: Path
    log: Path
    relock: bool


@dataclass(frozen=True, kw_only=True)
class Staged:
    """Everything that was chosen and is now in the cache, by URL or by path in the code."""

    chosen: params.Params
    sheet: sheet.Sheet | None
    fetched: Mapping[str, Blob]
    copied: Mapping[str, Blob]

    @property
    def carried(self) -> list[Blob]:
        """The files that go into the release: all but the samplesheet's own URL."""
        skip = self.chosen.sheet if isinstance(self.chosen.sheet, str) else None
        named = {*self.chosen.files.values(), *self.cells}
        blobs = [blob for url, blob in self.fetched.items() if url != skip or url in named]
        return sorted({*blobs, *self.copied.values()}, key=lambda blob: (blob.path, blob.url))

    @property
    def cells(self) -> set[str]:
        """What stands in the sheet's rows."""
        return {cell.strip() for row in (self.sheet.rows if self.sheet else ()) for cell in row}


def mirror(spec: Mirror) -> str:
    """Stage the data of the pipeline's profile.

    Raises SourceError with all files that can't be had, and where each is named, or whose
    bytes are not those of the lock.
    """
    lock = locks.read(spec.lock, "data-lock")
    known = {each["url"]: each["sha256"] for each in lock["files"]} if lock else {}
    cache = Cache(folder=spec.blobs, partial=spec.blobs / ".partial", reach=spec.reach,
                  known={} if spec.relock else known)
    with nextflow.resolved(spec.code, spec.runtime, profile=spec.profile,
                           log=spec.log) as (project, config):
        staged = stage(params.choose(config.get("params", {}), project), project, cache,
                       rows=spec.rows)
    found = {blob.url: blob for blob in staged.fetched.values()}
    locks.compare(known, {url: blob.sha256 for url, blob in found.items()}, lock=spec.lock,
                  relock=spec.relock)
    _write(spec, staged, found)
    size = sum({blob.path: blob.size for blob in staged.carried}.values())
    return f"{len(staged.carried)} files, {files.human_size(size)}"


def stage(chosen: params.Params, project: Path, cache: Cache, *, rows: int) -> Staged:
    """Fetch the samplesheet, then all that it and the params name, into the cache."""
    wanted: dict[str, list[str]] = {url: [f"params.{name}"] for name, url in chosen.files.items()}
    copied: dict[str, Blob] = {}
    fetched: dict[str, Blob] = {}
    table = None
    if chosen.sheet is not None:
        path = chosen.sheet
        if isinstance(path, str):
            fetched = fetch_all({path: [f"params.{chosen.sheet_param}"]}, cache)
            path = cache.folder / fetched[path].path
        table = sheet.parse(path.read_bytes(), name=path.name, rows=rows)
        for row, cells in enumerate(table.rows):
            for column, cell in enumerate(map(str.strip, cells)):
                if urls.is_url(cell):
                    wanted.setdefault(cell, []).append(table.place(row, column))
                elif cell not in copied and (local := _of_code(cell, project)):
                    copied[cell] = keep(local, project, cache.folder)
    fetched |= fetch_all(wanted, cache)
    _refuse_nested(chosen, fetched, cache.folder)
    return Staged(chosen=chosen, sheet=table, fetched=fetched, copied=copied)


def _of_code(cell: str, project: Path) -> Path | None:
    """The file of the code that a cell names by a relative path, if it does."""
    if "/" not in cell and "." not in cell:
        return None
    try:
        path = files.inside(project, cell)
        return path if path.is_file() else None
    except (IntegrityError, OSError):  # no path at all, such as a long text
        return None


def _refuse_nested(chosen: params.Params, fetched: Mapping[str, Blob], folder: Path) -> None:
    """Refuse sheets beside the samplesheet that name URLs, which nothing would fetch."""
    faults = []
    for name, url in chosen.files.items():
        if params.is_sheet(url):
            blob = fetched[url]
            table = sheet.parse((folder / blob.path).read_bytes(), name=blob.name, rows=0)
            faults += [f"params.{name}: {table.place(row, column)}: {urls.redact(cell)}"
                       for row, cells in enumerate(table.rows)
                       for column, cell in enumerate(cells) if urls.is_url(cell.strip())]
    if faults:
        raise SourceError("only the samplesheet may name URLs so far:\n"
                          + "\n".join(f"    {fault}" for fault in faults),
                          todo="give these params local files in the profile")


def _write(spec: Mirror, staged: Staged, found: Mapping[str, Blob]) -> None:
    by_value = {**staged.fetched, **staged.copied}

    def cells(prefix: str, text: str) -> str:
        blob = by_value.get(text.strip())
        return f"{prefix}/{blob.path}" if blob else text

    def rendered(prefix: str) -> str:
        return "" if staged.sheet is None else sheet.render(
            staged.sheet, lambda text: cells(prefix, text))

    named: dict[str, Any] = {name: {"path": f"data/{staged.fetched[url].path}", "kind": "file"}
                             for name, url in staged.chosen.files.items()}
    if staged.chosen.sheet_param is not None:
        named[staged.chosen.sheet_param] = {"path": spec.inputs.name, "kind": "sheet"}
    listed = [{"url": blob.url, "sha256": blob.sha256, "size": blob.size,
               "path": f"data/{blob.path}"} for blob in staged.carried]
    files.write_text(spec.inputs, rendered("data"))
    files.write_text(spec.inputs_store, rendered(f"{spec.store.rstrip('/')}/blobs/sha256"))
    files.write_bytes(spec.sums, sums.format_sums(
        {f"data/{blob.path}": blob.sha256 for blob in staged.carried}))
    files.write_json(spec.manifest, {"pipeline": spec.pipeline, "profile": spec.profile,
                                     "params": named, "files": listed})
    files.write_json(spec.lock, {"files": [
        {"url": url, "sha256": blob.sha256, "size": blob.size}
        for url, blob in sorted(found.items())]})
