"""What would be made now of a pipeline, as one of the two ends that `release:diff` compares.

Its code is staged, its config resolved and its images are locked. What no fresh step has made yet
is worked out as far as that can be done without moving anything; the rest is said to be unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import files, lock_files
from tasks.core.errors import AirlockError
from tasks.core.graph.state import FRESH
from tasks.core.inputs import staged_data
from tasks.core.nextflow import plugin_ranges
from tasks.core.nextflow.tested_lines import is_tested
from tasks.core.paths import MANIFEST, PipelinePaths
from tasks.core.schema import read_json
from tasks.core.source import resolved_config
from tasks.core.trust import checksums
from tasks.data import mirror as data
from tasks.diff import code
from tasks.diff.data import OF_CODE
from tasks.diff.model import NOW, End, File
from tasks.images import mirror as images
from tasks.images import sif
from tasks.images.lock_format import read_lock
from tasks.images.receipt import receipt
from tasks.offline_config import render
from tasks.plugins import needs
from tasks.reach import staged
from tasks.reach.scan import scan
from tasks.release import release_files


@dataclass(frozen=True, kw_only=True)
class NowSpec:
    """What would be made: the settings of `release`, and what is asked for the parts of it.

    `images` is what the registry is asked, None where releases carry image files.
    `by_hand` are the plugins of the pipeline's config. `standing` has the states of steps, by
    `<step>:<pipeline>`.
    """

    pipeline: str
    layout: PipelinePaths
    about: Mapping[str, Any]
    configs: bool
    by_hand: tuple[str, ...]
    toggles: Path
    engine: str
    engine_toggles: Path
    images: images.PlanSpec | None
    data: data.PlanSpec
    asks_registry: bool
    standing: Mapping[str, str]

    @property
    def runtime(self) -> str:
        """Nextflow's version."""
        return str(self.about["nextflow"])

    def is_fresh(self, step: str) -> bool:
        return self.standing.get(f"{step}:{self.pipeline}") == FRESH


@dataclass(kw_only=True)
class _Parts:
    """What is gathered: the fields of End."""

    files: dict[str, Path]
    listed: dict[str, File]
    unknown: dict[str, str]
    moves: dict[str, str]
    data: dict[str, File] | None = None


def end(spec: NowSpec, scratch: Path) -> End:
    """The end; files that are worked out lie in `scratch`."""
    if spec.is_fresh("release"):
        return _made(spec)
    at = spec.layout
    parts = _Parts(files={"code.tar": at.code, "manifest.json": at.code_manifest}, listed={},
                   unknown={}, moves={})
    for name in ("configs.tar", "configs.manifest.json") if spec.configs else ():
        parts.files[name] = at.configs if name.endswith(".tar") else at.configs_manifest
    archives = [("code.tar", at.code), (f"nextflow-{spec.runtime}.tar", at.runtime(spec.runtime)),
                *([("configs.tar", at.configs)] if spec.configs else [])]
    for name, path in archives:
        parts.listed[name] = _file(path)
    for gather in (_images, _data, _plugins, _config, _reach):
        gather(spec, parts, scratch)
    return End(kind=NOW, about={**spec.about, "tested": is_tested(spec.runtime)},
               files=parts.files, listed=parts.listed, data=parts.data,
               is_planned=parts.data is not None, unknown=parts.unknown, moves=parts.moves)


def _made(spec: NowSpec) -> End:
    """The release that was made of this very state, and was perhaps not pushed yet."""
    folder = spec.layout.release
    release = read_json(folder / "release.json", "release")
    digests = checksums.parse_sums((folder / "SHA256SUMS").read_bytes(), where=folder)
    own = {file["path"]: file for file in release["files"]}
    sources = {path: release_files.source_of(spec.layout, spec.runtime, path, digest)
               for path, digest in digests.items()}
    return End(kind=NOW, id=checksums.release_id(release["revision"],
                                                  (folder / "SHA256SUMS").read_bytes()),
                about=release, files=sources,
                listed={path: File(sha256=digest, size=own[path]["size"] if path in own else None)
                        for path, digest in digests.items()})


def _file(path: Path) -> File:
    return File(sha256=files.sha256(path), size=path.stat().st_size)


def _images(spec: NowSpec, parts: _Parts, _scratch: Path) -> None:
    """The lock; and what would move, as the registry answers."""
    if spec.layout.images_unknown.is_file() and not spec.is_fresh("images:lock"):
        parts.unknown["images"] = (
            "which images some processes use: `nextflow inspect` tells it, which reads the data; "
            f"`doit images:lock:{spec.pipeline}` asks it, then ask this again")
        return
    parts.files["images.lock.json"] = spec.layout.lock("images")
    if not spec.asks_registry or spec.images is None:
        return
    try:
        plan = images.planned(spec.images)
    except AirlockError as error:
        parts.moves["images"] = f"not known, {error.what}"
        return
    coming = sum(not move.is_present for move in plan.images)
    parts.moves["images"] = (f"{coming} of {len(plan.images)}, "
                             f"{files.human_size(plan.size)}" if coming else "none")


def _data(spec: NowSpec, parts: _Parts, _scratch: Path) -> None:
    """The manifest of what was fetched, else the plan; the users' own sheets were fetched before.
    """
    at = spec.layout
    for name in at.own_names():
        _listed(parts, f"own/{name}/", at.own / name)
    if spec.is_fresh("mirror:data"):
        _listed(parts, "", at.root)
        return
    parts.unknown["params"] = "what is set offline, as the data isn't staged from this state yet"
    try:
        _, locked, _ = data.opened(spec.data.source, limit=None)
        digests = {} if spec.data.source.relock else locked
        with data.surveyed(spec.data.selection, spec.data.source) as plan:
            members = code.listing(at.code)
            parts.data = {item.url: File(size=item.size, sha256=digests.get(item.url) or _of_code(
                item.url, members)) for item in plan.items}
            parts.moves["data"] = f"{files.human_size(plan.coming)}" + (
                f", and {plan.unknown} files of unknown size" if plan.unknown else "")
            parts.unknown["data"] = ("sheets, and other bytes of a file that the lock doesn't "
                                     "have, as the data isn't staged from this state yet")
    except AirlockError as error:
        parts.unknown["data"] = f"the data can't be planned: {error.what}"


def _listed(parts: _Parts, place: str, folder: Path) -> None:
    """A manifest of data, with the files and sheets that a release has because of it."""
    parts.files[place + MANIFEST] = folder / MANIFEST
    manifest = read_json(folder / MANIFEST, "data-manifest")
    for start, entries in (("", manifest["files"]), (place, manifest["sheets"])):
        for entry in entries:
            parts.listed[start + entry["path"]] = File(sha256=entry["sha256"], size=entry["size"])
    for path in filter(Path.is_file, [folder / MANIFEST, folder / staged_data.INPUTS]):
        parts.listed[place + path.name] = _file(path)


def _of_code(url: str, members: Mapping[str, tuple[str, int | None]]) -> str | None:
    """The digest of a file of the pipeline's own code."""
    member = members.get(url.removeprefix(OF_CODE)) if url.startswith(OF_CODE) else None
    return member[0].removeprefix("executable ") if member else None


def _plugins(spec: NowSpec, parts: _Parts, scratch: Path) -> None:
    """The list of what was fetched; else what the config asks for, in the lock's versions."""
    at = spec.layout
    if spec.is_fresh("plugins:cache"):
        parts.files["plugins.txt"] = at.plugins_list
        parts.listed["plugins.tar"] = _file(at.plugins)
        return
    config = resolved_config.config(at.resolved)
    locked = {entry["id"]: entry["version"]
              for read in lock_files.read_both(at.locks("plugins"), "plugins-lock")
              for entry in (read or {"plugins": []})["plugins"]}
    lines = []
    try:
        # As if every param were answered: what an address among them loads isn't known yet.
        wanted = needs.needs(config, config.get("params", {}), spec.by_hand,
                             needs.made_with(at.runtime(spec.runtime)))
    except AirlockError as error:
        parts.unknown["plugins"] = error.what
        return
    for name, need in sorted(wanted.items()):
        fits = name in locked and plugin_ranges.meets(locked[name], need.condition)
        version = need.version or (locked[name] if fits else
                                   f"the newest that fits {need.condition or 'any'}")
        lines.append(f"{name}@{version.replace(' ', '·')}\n")
    files.write_text(scratch / "plugins.txt", "".join(lines))
    parts.files["plugins.txt"] = scratch / "plugins.txt"
    parts.unknown["plugins"] = (
        "what the plugins of the config need besides, and what the data's addresses load, before "
        f"`doit plugins:cache:{spec.pipeline}`")


def _config(spec: NowSpec, parts: _Parts, scratch: Path) -> None:
    """The file; else as it would be rendered once the registry holds the locked images."""
    at, output = spec.layout, scratch / "offline.config"
    if spec.is_fresh("config"):
        parts.files["offline.config"] = at.offline_config
        return
    if "images" in parts.unknown:
        parts.unknown["config"] = "all of it, as it follows from the images"
        return
    try:
        _rendered(spec, scratch, output)
    except AirlockError as error:
        parts.unknown["config"] = error.what
        return
    parts.files["offline.config"] = output
    if "plugins" in parts.unknown:
        parts.unknown["config"] = "the lines on plugins, which are those of the lock here"


def _rendered(spec: NowSpec, scratch: Path, output: Path) -> None:
    """The file as `config` would write it by the lock."""
    at, plugins = spec.layout, spec.layout.lock("plugins")
    own: dict[str, Any] = {
        "pipeline": spec.pipeline, "nextflow": spec.runtime, "scan": at.images_scan,
        "toggles": spec.toggles, "output": output, "engine_toggles": spec.engine_toggles,
        "plugins": plugins if plugins.is_file() else None}
    if spec.images is None:
        render.build_files(render.IndexSpec(**own, index=at.sif_index),
                           sif.containers(at.lock("images")))
        return
    placed = receipt(read_lock(at.lock("images")), spec.images.destination)
    files.write_json(scratch / "images.receipt.json", placed)
    render.build(render.RenderSpec(**own, receipt=scratch / "images.receipt.json",
                                   engine=spec.engine))


def _reach(spec: NowSpec, parts: _Parts, scratch: Path) -> None:
    """The file; else what the code reaches out to, with the answers that are known already."""
    at, output = spec.layout, scratch / "reach.json"
    if spec.is_fresh("reach"):
        parts.files["reach.json"] = at.reach
        return
    params: Mapping[str, Any] = {}
    if MANIFEST in parts.files:
        params = read_json(parts.files[MANIFEST], "data-manifest")["params"]
    listed = parts.files.get("plugins.txt")
    pinned = dict(line.split("@", 1) for line in listed.read_text().split()) if listed else {}
    carried = staged.Staged(params=params, plugins=pinned, toggles=staged.toggles(
        spec.toggles, spec.engine_toggles))
    profile = str(spec.about["profile"])
    report = scan(at.code, resolved_config.config(at.resolved), carried, profile,
                  root=resolved_config.PLACE)
    files.write_json(output, {"pipeline": spec.pipeline, "profile": profile, **report.as_json()})
    parts.files["reach.json"] = output
    parts.unknown["reach"] = f"what answers each place, before `doit reach:{spec.pipeline}`"
