"""What a release consists of, in forms that others' programs read."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core.config.engines import FILES
from tasks.core.config.settings import Config, Pipeline
from tasks.core.graph.deferred import deferred
from tasks.core.graph.step import Task, step
from tasks.core.graph.verbs import for_pipelines
from tasks.core.paths import MANIFEST, SBOM_CYCLONEDX, SBOM_SPDX, PipelinePaths

with deferred():
    from tasks.sbom.make import SbomSpec, make


def tasks(config: Config) -> Iterator[Task]:
    """`sbom:<pipeline>`, which the release carries."""
    yield from for_pipelines(config, {
        "sbom": ("what a release consists of, with licences, as CycloneDX and SPDX", _sbom)})


def _sbom(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    site = config.site
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    spec = SbomSpec(
        pipeline=pipeline.name, layout=at, runtime=pipeline.nextflow.version,
        sif=at.sif_index if site.images.carry == FILES else None,
        configs=pipeline.configs is not None, own=at.own_names())
    return step(name, doc, make, spec, makes=[at.sbom(SBOM_CYCLONEDX), at.sbom(SBOM_SPDX)], needs=[
        at.code, at.code_manifest, at.resolved, at.lock("images"), at.images_labels,
        *([spec.sif] if spec.sif else []), at.runtime(spec.runtime), at.runtime_jars(spec.runtime),
        at.plugins, at.lock("plugins"), at.data_manifest,
        *(at.own / own / MANIFEST for own in spec.own),
        *([at.configs, at.configs_manifest] if spec.configs else [])])
