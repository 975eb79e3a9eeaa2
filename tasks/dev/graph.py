"""`dev:*`: looking at what was staged before it is carried; and `test`, for this project itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial

from tasks.core import config_places
from tasks.core.config import engines
from tasks.core.config.settings import Config, Pipeline
from tasks.core.engine.address import Engine
from tasks.core.graph.deferred import deferred, uncompared
from tasks.core.graph.step import Task, group, step
from tasks.core.graph.verbs import for_pipelines
from tasks.core.net.network import Network
from tasks.core.nextflow.machine import Machine, this_machine
from tasks.core.paths import PipelinePaths, SitePaths

with deferred():
    from tasks.dev import checks, contents, smoke, validate

READ = ("stage", "images:list", "images:lock", "plugins:cache", "mirror:data", "reach")
"""The steps whose files dev:contents reads, if they are fresh."""

def tasks(config: Config) -> Iterator[Task]:
    """`dev:validate:<pipeline>`, `dev:smoke:<pipeline>`, `dev:contents` and `test`.

    There is no smoke run where the site wants none, nor where the store carries the images: no
    engine on this side could pull them.
    """
    smokes = config.site.smokes
    machine, pulling = this_machine(config.environment), threading.Lock()
    yield group("dev", "look at what was staged, before it is carried",
                ["dev:validate", *(["dev:smoke"] if smokes else [])])
    yield from for_pipelines(config, {
        "dev:validate": ("whether the releases would run offline, line by line",
                         partial(_validate, machine=machine)),
        **({"dev:smoke": ("a preview and a stub run on the online side",
                          partial(_smoke, machine=machine, pulling=pulling))}
           if smokes else {}),
    })
    yield _contents(config)
    yield step("test", "all checks and tests of this project", checks.run,
               checks.CheckSpec(logs=SitePaths(site=config.site.name).logs), look=True)


def _contents(config: Config) -> Task:
    pipelines = config.pipelines
    standing = {f"{verb}:{pipeline.name}": "" for pipeline in pipelines for verb in READ}
    return step("dev:contents", "a table of what each pipeline carries", contents.contents,
                contents.ContentsSpec(
                    layouts=tuple(PipelinePaths(site=config.site.name, pipeline=pipeline.name)
                                  for pipeline in pipelines),
                    runtimes=tuple(pipeline.nextflow.version for pipeline in pipelines),
                    standing=uncompared(standing), hidden=tuple(config_places.shadows())),
                look=True, standing=standing)


def _validate(name: str, doc: str, config: Config, pipeline: Pipeline, *,
              machine: Machine) -> Task:
    site, version = config.site, pipeline.nextflow.version
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    return step(name, doc, validate.validate, validate.ValidateSpec(
        pipeline=pipeline.name, profile=pipeline.profile, runtime=version, layout=at,
        registry=site.registry, carry=site.images.carry, store=site.store,
        configs=pipeline.configs is not None, network=Network.of(config),
        isolation=site.isolation, machine=uncompared(machine)),
        look=True, servers=site.servers,
        needs=[at.code, at.runtime(version), at.plugins, at.plugins_list, at.offline_config,
               at.images_scan, at.data_manifest, at.inputs, at.reach,
               at.sif_index if site.images.carry == engines.FILES else at.images_receipt,
               *([at.configs] if pipeline.configs else [])])


def _smoke(name: str, doc: str, config: Config, pipeline: Pipeline, *,
           machine: Machine, pulling: threading.Lock) -> Task:
    """Steps that share `pulling` pull images one after the other."""
    site = config.site
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    spec = smoke.SmokeSpec(
        pipeline=pipeline.name, site=site.name, profile=pipeline.profile,
        engine=Engine.of(config.environment, site.engine), authfile=site.authfile,
        code=at.code, runtime=at.runtime(pipeline.nextflow.version), plugins=at.plugins,
        config=at.offline_config, data_manifest=at.data_manifest, receipt=at.images_receipt,
        output=at.smoke, configs=at.configs if pipeline.configs else None,
        isolation=site.isolation, machine=uncompared(machine), pulling=uncompared(pulling),
        docker=(None if site.offline.engine == engines.DOCKER else
                config_places.engine(engines.DOCKER)))
    return step(name, doc, smoke.smoke, spec, servers=site.servers,
                needs=[spec.code, spec.runtime, spec.plugins, spec.config, spec.data_manifest,
                       spec.receipt, at.inputs, at.resolved,
                       *([at.configs] if pipeline.configs else []),
                       *([spec.docker] if spec.docker else [])],
                makes=[at.smoke / name for name in
                       ("smoke.log", "trace.txt", "report.html", "DAG.svg")])
