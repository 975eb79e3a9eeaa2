"""`dev:*`: looking at what was staged before it is carried; and `test`, for this project itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from tasks.core.config import Config, Pipeline
from tasks.core.deferred import deferred, uncompared
from tasks.core.engine.address import Engine
from tasks.core.net.inside import Inside
from tasks.core.nextflow.machine import Machine, this_machine
from tasks.core.paths import PipelinePaths, SitePaths
from tasks.core.step import Task, group, step

with deferred():
    from tasks.dev import checks, contents, smoke, validate


def tasks(config: Config) -> Iterator[Task]:
    """`dev:validate:<pipeline>`, `dev:smoke:<pipeline>`, `dev:contents` and `test`.

    There is no smoke run where the site wants none, nor where the store carries the images: no
    engine on this side could pull them.
    """
    site = config.site
    spans = site.images.carry == "registry"
    machine, pulling = this_machine(config.environment), threading.Lock()
    yield group("dev", "look at what was staged, before it is carried",
                ["dev:validate", *(["dev:smoke"] if site.smokes else [])])
    yield group("dev:validate", "whether the releases would run offline, line by line")
    for pipeline in config.pipelines:
        at = PipelinePaths(site=site.name, pipeline=pipeline.name)
        validate_spec = validate.ValidateSpec(
            pipeline=pipeline.name, profile=pipeline.profile,
            runtime=pipeline.nextflow.version, layout=at, registry=site.registry, spans=spans,
            store=site.store, configs=pipeline.configs is not None,
            hosts=Inside(allowed=site.hosts.inside), isolation=site.isolation,
            machine=uncompared(machine))
        yield step(f"dev:validate:{pipeline.name}", "whether a release would run offline",
                   validate.validate, validate_spec, look=True, servers=site.servers,
                   needs=[at.code, at.runtime(pipeline.nextflow.version), at.plugins,
                          at.plugins_list, at.offline_config, at.images_scan, at.images_receipt,
                          at.data_manifest, at.inputs, at.reach,
                          *([at.configs] if pipeline.configs else [])])
    if site.smokes:
        yield group("dev:smoke", "a preview and a stub run on the online side")
    for pipeline in config.pipelines if site.smokes else ():
        yield _smoke_step(config, pipeline, machine, pulling)
    yield step("dev:contents", "a table of what each pipeline carries", contents.contents,
               contents.ContentsSpec(
                   layouts=tuple(PipelinePaths(site=site.name, pipeline=pipeline.name)
                                 for pipeline in config.pipelines),
                   runtimes=tuple(pipeline.nextflow.version for pipeline in config.pipelines)),
               look=True)
    yield step("test", "all checks and tests of this project", checks.run,
               checks.CheckSpec(logs=SitePaths(site=site.name).logs),
               look=True)


def _smoke_step(config: Config, pipeline: Pipeline, machine: Machine,
                pulling: threading.Lock) -> Task:
    site = config.site
    at = PipelinePaths(site=site.name, pipeline=pipeline.name)
    smoke_spec = smoke.SmokeSpec(
        pipeline=pipeline.name, site=site.name, profile=pipeline.profile,
        engine=Engine.of(config.environment, site.engine),
        authfile=site.registry.authfile, code=at.code,
        runtime=at.runtime(pipeline.nextflow.version),
        plugins=at.plugins, config=at.offline_config, data_manifest=at.data_manifest,
        receipt=at.images_receipt, output=at.smoke,
        configs=at.configs if pipeline.configs else None, isolation=site.isolation,
        machine=uncompared(machine), pulling=uncompared(pulling))
    return step(f"dev:smoke:{pipeline.name}", "a preview and a stub run on the online side",
                smoke.smoke, smoke_spec, servers=site.servers,
                needs=[smoke_spec.code, smoke_spec.runtime, smoke_spec.plugins,
                       smoke_spec.config, smoke_spec.data_manifest, smoke_spec.receipt,
                       at.inputs, *([at.configs] if pipeline.configs else [])],
                makes=[at.smoke / name for name in
                       ("smoke.log", "trace.txt", "report.html", "DAG.svg")])
