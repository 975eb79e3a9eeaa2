"""`batch:*`: pipelines on AWS Batch, known to work before a job is submitted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tasks.batch import trials_graph
from tasks.core.aws.paths import BatchPaths
from tasks.core.config.settings import Aws, Batch, Config, Limits, Pipeline
from tasks.core.graph.deferred import deferred, uncompared
from tasks.core.graph.step import Task, group, perform, step
from tasks.core.graph.verbs import for_pipelines
from tasks.core.nextflow.environment import Inherited
from tasks.core.paths import PipelinePaths

with deferred():
    from tasks.batch.config import ConfigSpec, make
    from tasks.batch.diagnose import DiagnoseSpec, diagnose
    from tasks.batch.lint import LintSpec, lint
    from tasks.batch.lint_processes import Room
    from tasks.batch.pipeline import Staged
    from tasks.batch.preserve import PreserveSpec, preserve


def tasks(config: Config) -> Iterator[Task]:
    """The room's tasks, for a site that has `aws` and `batch`."""
    yield group("batch", "AWS Batch: what it needs, made, checked and tried", [])
    yield from for_pipelines(config, {
        "batch:lint": ("what is wrong with the config for Batch, and what to do", _lint),
        "batch:config": ("the settings of the profile for Batch, and a patch", _config),
        "batch:preserve": ("whether all other profiles are as they were", _preserve),
    })
    yield from trials_graph.tasks(config, _site(config)[1])
    yield _diagnose("batch:diagnose", "what a log or a status reason says: cause and cure")


def _site(config: Config) -> tuple[Aws, Batch]:
    """The site's two sections, without which this room has no tasks."""
    assert config.site.aws is not None  # noqa: S101 - rooms.py asks for both
    assert config.site.batch is not None  # noqa: S101
    return config.site.aws, config.site.batch


def _lint(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    (_, batch), site = _site(config), config.site.name
    at = BatchPaths(site=site, pipeline=pipeline.name)
    staged, limits = _staged(name, config, pipeline), batch.limits or Limits()
    return step(name, doc, lint, LintSpec(
        pipeline=pipeline.name, staged=staged, profile=batch.profile, mode=batch.mode,
        room=Room(cpus=limits.cpus, memory=limits.memory), aws_config=at.config, output=at.lint,
        has_token=uncompared(bool(config.environment.get("TOWER_ACCESS_TOKEN")))),
        look=True, needs=[staged.code, staged.runtime])


def _config(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    (aws, batch), site = _site(config), config.site.name
    at, built = BatchPaths(site=site, pipeline=pipeline.name), PipelinePaths(
        site=site, pipeline=pipeline.name)
    limits, is_carried = batch.limits or Limits(), batch.mode == "carried-cli"
    spec = ConfigSpec(
        pipeline=pipeline.name, profile=batch.profile, mode=batch.mode, queue=batch.queue,
        work=batch.work, region=aws.region, endpoint=aws.endpoint, cpus=limits.cpus,
        memory=limits.memory, code=built.code, scan=built.images_scan, config=at.config,
        patch=at.patch, receipt=built.images_receipt if is_carried else None,
        lock=None if is_carried else built.lock("images"))
    images = [spec.receipt] if spec.receipt else [built.images_pinned, built.lock("images")]
    return step(name, doc, make, spec, asked=True, needs=[spec.code, spec.scan, *images],
                makes=[spec.config, spec.patch])


def _preserve(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    at = BatchPaths(site=config.site.name, pipeline=pipeline.name)
    staged = _staged(name, config, pipeline)
    return step(name, doc, preserve, PreserveSpec(
        pipeline=pipeline.name, staged=staged, profile=_site(config)[1].profile,
        config=at.config, output=at.preserve),
        asked=True, needs=[staged.code, staged.runtime, at.config], makes=[at.preserve])


def _staged(name: str, config: Config, pipeline: Pipeline) -> Staged:
    at = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
    return Staged(
        code=at.code, runtime=at.runtime(pipeline.nextflow.version), log=at.log(name),
        isolation=config.site.isolation, inherited=uncompared(Inherited.of(config.environment)))


def _diagnose(name: str, doc: str) -> Task:
    task = step(name, doc, diagnose, DiagnoseSpec(files=()), look=True)
    (_, given), = task["actions"]
    return task | {
        "actions": [(_with_words, given)], "pos_arg": "words",
        "params": [{"name": "as_json", "long": "json", "type": bool, "default": False,
                    "help": "print JSON for programs"}]}


def _with_words(name: str, action: Any, _: Any, words: Sequence[str], as_json: bool) -> Any:
    """Perform a step with the words behind its name: the spec's files, which no graph knows."""
    return perform(name, action, DiagnoseSpec(files=tuple(words), as_json=as_json))
