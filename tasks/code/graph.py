"""The pipelines' code, staged."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.code import folder, stage
from tasks.core.config import Config, Pipeline
from tasks.core.graph import Task, group, step
from tasks.core.layout import Layout


def tasks(config: Config) -> Iterator[Task]:
    """`stage:<pipeline>`: the code in one archive, and its manifest."""
    yield group("stage", "the pipelines' code")
    for pipeline in config.pipelines:
        layout = Layout(site=config.site.name, pipeline=pipeline.name)
        if pipeline.is_folder:
            yield _folder(pipeline, layout)
        else:
            yield _git(config, pipeline, layout)


def _folder(pipeline: Pipeline, layout: Layout) -> Task:
    root = folder.root(pipeline.source)
    listing = folder.listing(root)
    spec = stage.FolderStage(
        pipeline=pipeline.name, source=pipeline.source, revision=pipeline.revision,
        listing=listing, archive=layout.code, manifest=layout.code_manifest)
    # Links are held by the listing: what they point to is a file of its own, or no file.
    needs = [root / name for name, kind in listing.items() if kind in ("file", "executable")]
    return step(f"stage:{pipeline.name}", "the pipeline's code, from a folder",
                stage.from_folder, spec, needs=needs, makes=[spec.archive, spec.manifest])


def _git(config: Config, pipeline: Pipeline, layout: Layout) -> Task:
    spec = stage.GitStage(
        pipeline=pipeline.name, source=pipeline.source, revision=pipeline.revision,
        urls=config.site.urls, cache=layout.git_cache, archive=layout.code,
        manifest=layout.code_manifest, lock=layout.lock("code"),
        log=layout.log(f"stage:{pipeline.name}"), relock=config.relock)
    return step(f"stage:{pipeline.name}", "the pipeline's code, from git",
                stage.from_git, spec, makes=[spec.archive, spec.manifest], keeps=[spec.lock],
                always=config.relock, servers=config.site.servers)
