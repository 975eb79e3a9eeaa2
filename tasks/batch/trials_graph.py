"""`batch:test-*` and `batch:perf`: the trials, each behind the one before, and what runs took."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tasks.core.aws.paths import BatchPaths
from tasks.core.config.aws_settings import Batch
from tasks.core.config.settings import Config, Pipeline
from tasks.core.engine.address import Engine
from tasks.core.graph.deferred import deferred, uncompared
from tasks.core.graph.step import Task, step
from tasks.core.graph.verbs import for_pipelines
from tasks.core.nextflow.machine import Machine, this_machine
from tasks.core.paths import PipelinePaths

with deferred():
    from tasks.batch.perf import PerfSpec, perf
    from tasks.batch.trials import MainSpec, Place, TrialSpec, run_main, run_trial

VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
             "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "TOWER_ACCESS_TOKEN", "NXF_OPTS")
"""Of the environment, what a run on Batch is given."""


def tasks(config: Config, batch: Batch) -> Iterator[Task]:
    """The four trials and the table of times, for all pipelines."""
    machine = this_machine(config.environment)

    def one(trial: str, before: str | None = None) -> partial[Task]:
        return partial(_trial, batch=batch, machine=machine, trial=trial, before=before)

    yield from for_pipelines(config, {
        "batch:test-basic": ("trial 1 of 4: a job in a container, and its file", one("basic")),
        "batch:test-python": ("trial 2 of 4: an image with Python", one("python", "basic")),
        "batch:test-deps": ("trial 3 of 4: Python with its packages", one("deps", "python")),
        "batch:test-main": ("trial 4 of 4: the pipeline on its test data",
                            partial(_main, batch=batch, machine=machine)),
        "batch:perf": ("what each process waited, staged and ran, by mode", _perf),
    })


def _trial(name: str, doc: str, config: Config, pipeline: Pipeline, *, batch: Batch,
           machine: Machine, trial: str, before: str | None) -> Task:
    built = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
    at = BatchPaths(site=config.site.name, pipeline=pipeline.name)
    place = _place(config, batch, at)
    spec = TrialSpec(
        pipeline=pipeline.name, trial=trial, place=place,
        runtime=built.runtime(pipeline.nextflow.version), plugins=built.plugins,
        folder=at.trial_folder(trial), receipt=at.trial(trial), log=built.log(name),
        machine=uncompared(machine))
    return step(name, doc, run_trial, spec, asked=True, servers=_servers(config),
                needs=[spec.runtime, spec.plugins, *_settings(place),
                       *([at.trial(before)] if before else [])],
                makes=[spec.receipt])


def _main(name: str, doc: str, config: Config, pipeline: Pipeline, *, batch: Batch,
          machine: Machine) -> Task:
    built = PipelinePaths(site=config.site.name, pipeline=pipeline.name)
    at = BatchPaths(site=config.site.name, pipeline=pipeline.name)
    place = _place(config, batch, at)
    spec = MainSpec(
        pipeline=pipeline.name, trial="main", place=place,
        runtime=built.runtime(pipeline.nextflow.version), plugins=built.plugins,
        folder=at.trial_folder("main"), receipt=at.trial("main"), log=built.log(name),
        machine=uncompared(machine), profile=pipeline.profile, code=built.code,
        data_manifest=built.data_manifest, config=built.offline_config,
        images_receipt=built.images_receipt, blobs=built.of_site.blobs,
        authfile=config.site.authfile, measured=at.measured(place.mode),
        configs=built.configs if pipeline.configs else None)
    return step(name, doc, run_main, spec, asked=True, servers=_servers(config),
                needs=[spec.runtime, spec.plugins, spec.code, spec.data_manifest, built.inputs,
                       spec.config, spec.images_receipt, *_settings(place), at.trial("deps"),
                       *([built.configs] if pipeline.configs else [])],
                makes=[spec.receipt, spec.measured])


def _place(config: Config, batch: Batch, at: BatchPaths) -> Place:
    """On the local site Docker, which it starts; elsewhere Batch."""
    is_local = config.site.sandbox is not None
    return Place(
        kind="docker" if is_local else "batch", mode="docker" if is_local else batch.mode,
        engine=Engine.of(config.environment, config.site.engine),
        registries=config.site.hosts.registries, config=at.config, work=batch.work,
        profile="" if is_local else batch.profile, images=batch.images,
        isolation=config.site.isolation, variables=uncompared(
            {name: value for name in VARIABLES if (value := config.environment.get(name))}))


def _servers(config: Config) -> list[str]:
    """On the local site its servers, and the trials' images there."""
    return [*config.site.servers, *(["sandbox:python"] if config.site.sandbox else [])]


def _settings(place: Place) -> list[Path]:
    return [place.config] if place.kind == "batch" else []


def _perf(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    at = BatchPaths(site=config.site.name, pipeline=pipeline.name)
    return step(name, doc, perf, PerfSpec(
        pipeline=pipeline.name, at=at), look=True)
