"""The pipelines' code, and institutional configs, staged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.core.config.settings import Config, Origin, Pipeline
from tasks.core.graph.deferred import deferred, uncompared
from tasks.core.graph.step import Task, step
from tasks.core.graph.verbs import for_names, for_pipelines
from tasks.core.lock_files import LockFiles
from tasks.core.net.network import Network
from tasks.core.paths import PipelinePaths

with deferred():
    from tasks.code import stage


@dataclass(frozen=True, kw_only=True)
class _Target:
    """What is staged, from where, and the files that come of it."""

    step: str
    doc: str
    pipeline: str
    origin: Origin
    cache: Path
    archive: Path
    manifest: Path
    lock: LockFiles
    log: Path


def tasks(config: Config) -> Iterator[Task]:
    """`stage:<pipeline>`: the code in one archive, and its manifest; `stage:configs:<pipeline>`."""
    yield from for_pipelines(config, {"stage": ("the pipelines' code", _code)})
    yield from for_names(
        config, {"stage:configs": ("institutional configs, such as nf-core/configs", _configs)},
        {pipeline.name: (pipeline.name, pipeline.configs) for pipeline in config.pipelines
         if pipeline.configs is not None})


def _code(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
    return _stage(config, _Target(
        step=name, doc=doc, pipeline=pipeline.name, origin=pipeline.code, cache=at.git_cache,
        archive=at.code, manifest=at.code_manifest, lock=at.locks("code"), log=at.log(name)))


def _configs(name: str, doc: str, config: Config, named: tuple[str, Origin]) -> Task:
    pipeline, origin = named
    at = PipelinePaths(site=config.site.name, pipeline=pipeline)
    return _stage(config, _Target(
        step=name, doc=doc, pipeline=pipeline, origin=origin, cache=at.configs_cache,
        archive=at.configs, manifest=at.configs_manifest, lock=at.locks("configs"),
        log=at.log(name)))


def _stage(config: Config, target: _Target) -> Task:
    if target.origin.is_archive:
        return _archive(config, target)
    return _folder(target) if target.origin.is_folder else _git(config, target)


def _folder(target: _Target) -> Task:
    from tasks.code import folder
    root = folder.root(target.origin.source)
    listing = folder.listing(root)
    spec = stage.FolderStage(
        pipeline=target.pipeline, source=target.origin.source, revision=target.origin.revision,
        listing=listing, archive=target.archive, manifest=target.manifest)
    # Links are held by the listing: what they point to is a file of its own, or no file.
    needs = [root / name for name, kind in listing.items() if kind in ("file", "executable")]
    return step(target.step, f"{target.doc}, from a folder", stage.from_folder, spec,
                needs=needs, makes=[spec.archive, spec.manifest])


def _git(config: Config, target: _Target) -> Task:
    spec = stage.GitStage(
        pipeline=target.pipeline, source=target.origin.source, revision=target.origin.revision,
        urls=config.site.hosts.urls, cache=target.cache, archive=target.archive,
        manifest=target.manifest, lock=target.lock, log=target.log,
        relock=uncompared(config.relock))
    return step(target.step, f"{target.doc}, from git", stage.from_git, spec,
                makes=[spec.archive, spec.manifest], keeps=spec.lock.paths, always=config.relock,
                servers=config.site.servers)


def _archive(config: Config, target: _Target) -> Task:
    spec = stage.ArchiveStage(
        pipeline=target.pipeline, source=target.origin.source, revision=target.origin.revision,
        sha256=target.origin.sha256 or "", urls=config.site.hosts.urls, archive=target.archive,
        manifest=target.manifest, lock=target.lock, network=Network.of(config))
    own = Path(target.origin.source).expanduser()
    return step(target.step, f"{target.doc}, from an archive", stage.from_archive, spec,
                needs=[own] if own.is_file() else [], makes=[spec.archive, spec.manifest],
                keeps=spec.lock.paths, servers=config.site.servers)
