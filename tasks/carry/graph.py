"""`carry`: the current release, its images and the tool, in one folder for a stick or a disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tasks.core.config.engines import REGISTRY
from tasks.core.config.settings import Config, Pipeline
from tasks.core.graph.deferred import deferred, uncompared
from tasks.core.graph.step import Task, step
from tasks.core.graph.verbs import for_pipelines
from tasks.core.paths import PipelinePaths

with deferred():
    from tasks.carry import lay, seal


def tasks(config: Config) -> Iterator[Task]:
    """`carry:<pipeline>`, after `carry:lay:<pipeline>`."""
    yield from for_pipelines(config, {
        "carry:lay": ("the store's current release and tool, into the folder to=DIR", _lay),
        "carry": ("that folder, signed: what is carried by disk as one thing", _seal),
    })


def _lay(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    """What the store shows is carried, and nothing is made for it but the images' archives.

    So what was approved goes, whatever this checkout would make by now.
    """
    site, given = config.site, config.variables
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    archives: Path | None = at.archives
    if site.images.carry != REGISTRY or given.get("images") == "0":
        archives = None
    return step(name, doc, lay.lay, lay.LaySpec(
        pipeline=pipeline.name, layout=at.of_site, store=site.store, archives=archives,
        to=given.get("to"), part=config.part,
        remove=given.get("remove", "0") not in ("", "0"), key=site.signing.key,
        trust=site.offline.trust, identity=site.signing.identity,
        shared=uncompared(config.shared)), always=True, recorded=False,
        # Without a folder it says so, before anything is made for it.
        needs=[at.archives / file for file in ("SHA256SUMS", "SHA256SUMS.sig")]
        if archives and given.get("to") else [])


def _seal(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    site = config.site
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    return step(name, doc, seal.seal, seal.SealSpec(
        pipeline=pipeline.name, layout=at.of_site, to=config.variables.get("to"),
        signing=site.signing, shared=uncompared(config.shared)), always=True, recorded=False,
        after=[f"carry:lay:{pipeline.name}"], servers=site.packages)
