"""`batch:*`: pipelines on AWS Batch, known to work before a job is submitted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tasks.batch import infra_graph, trials_graph
from tasks.core.aws.paths import BatchPaths, BatchSitePaths
from tasks.core.config.aws_settings import CARRIED_CLI, Aws, Batch, Cli, Limits
from tasks.core.config.settings import Config, Pipeline, Site
from tasks.core.engine.address import Engine
from tasks.core.graph.deferred import deferred, uncompared
from tasks.core.graph.step import Task, group, perform, step
from tasks.core.graph.verbs import for_pipelines
from tasks.core.machine_names import MACHINES
from tasks.core.net import urls
from tasks.core.net.network import Network
from tasks.core.nextflow.environment import Inherited
from tasks.core.nextflow.machine import this_machine
from tasks.core.paths import PipelinePaths

with deferred():
    from tasks.batch import cli, cli_aws, explore, host
    from tasks.batch.cli_aws import Zip
    from tasks.batch.config import ConfigSpec, make
    from tasks.batch.diagnose import DiagnoseSpec, diagnose
    from tasks.batch.lint import LintSpec, lint
    from tasks.batch.lint_processes import Room
    from tasks.batch.pipeline import Staged
    from tasks.batch.preserve import PreserveSpec, preserve
    from tasks.batch.preserve_run import RunSpec

AWS_CLI = "https://awscli.amazonaws.com/awscli-exe-linux-{machine}-{version}.zip"
"""Where AWS publishes a version of its CLI."""


def tasks(config: Config) -> Iterator[Task]:
    """The room's tasks, for a site that has `aws` and `batch`."""
    yield group("batch", "AWS Batch: what it needs, made, checked and tried", [])
    yield from for_pipelines(config, {
        "batch:lint": ("what is wrong with the config for Batch, and what to do", _lint),
        "batch:config": ("the settings of the profile for Batch, and a patch", _config),
        "batch:preserve": ("whether all other profiles are as they were", _preserve),
    })
    aws, batch = _site(config)
    yield from _host(config, aws, batch)
    yield from infra_graph.tasks(config, aws, batch)
    yield from trials_graph.tasks(config, batch)
    yield _diagnose("batch:diagnose", "what a log or a status reason says: cause and cure")


def _site(config: Config) -> tuple[Aws, Batch]:
    """The site's two sections, without which this room has no tasks."""
    assert config.site.aws is not None  # noqa: S101 - rooms.py asks for both
    assert config.site.batch is not None  # noqa: S101
    return config.site.aws, config.site.batch


def _lint(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    (_, batch), site = _site(config), config.site.name
    at = BatchPaths(site=site, pipeline=pipeline.name)
    built = PipelinePaths(site=site, pipeline=pipeline.name)
    staged, limits = _staged(name, config, pipeline), _limits(batch)
    return step(name, doc, lint, LintSpec(
        pipeline=pipeline.name, staged=staged, profile=batch.profile, mode=batch.mode,
        room=Room(cpus=limits.cpus, memory=limits.memory), aws_config=at.config, output=at.lint,
        index=built.oci_index, blobs=built.of_site.blobs,
        cli=BatchSitePaths(site=site).cli_manifest,
        has_token=uncompared(bool(config.environment.get("TOWER_ACCESS_TOKEN")))),
        look=True, needs=[staged.code, staged.runtime])


def _config(name: str, doc: str, config: Config, pipeline: Pipeline) -> Task:
    (aws, batch), site = _site(config), config.site.name
    at, built = BatchPaths(site=site, pipeline=pipeline.name), PipelinePaths(
        site=site, pipeline=pipeline.name)
    limits, is_carried = _limits(batch), batch.mode == CARRIED_CLI
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
    """The runs are made where a smoke run can be: where an engine on this side has the images."""
    site = config.site
    at = BatchPaths(site=site.name, pipeline=pipeline.name)
    built = PipelinePaths(site=site.name, pipeline=pipeline.name)
    staged = _staged(name, config, pipeline)
    run = RunSpec(
        profile=pipeline.profile, runtime=staged.runtime, plugins=built.plugins,
        config=built.offline_config, data_manifest=built.data_manifest, blobs=built.of_site.blobs,
        receipt=built.images_receipt, log=built.log(f"{name}:run"),
        engine=Engine.of(config.environment, site.engine), authfile=site.authfile,
        configs=built.configs if pipeline.configs else None, isolation=site.isolation,
        machine=uncompared(this_machine(config.environment))) if site.smokes else None
    needs = [run.plugins, run.config, run.data_manifest, run.receipt, built.inputs,
             *([run.configs] if run.configs else [])] if run else []
    return step(name, doc, preserve, PreserveSpec(
        pipeline=pipeline.name, staged=staged, profile=_site(config)[1].profile, run=run,
        config=at.config, output=at.preserve),
        asked=True, needs=[staged.code, staged.runtime, at.config, *needs], makes=[at.preserve],
        servers=site.servers if run else ())


def _limits(batch: Batch) -> Limits:
    """The largest job: no larger than all that the environment may run at once."""
    given = batch.limits or Limits()
    return Limits(cpus=min(given.cpus or batch.max_vcpus, batch.max_vcpus), memory=given.memory)


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


def _host(config: Config, aws: Aws, batch: Batch) -> Iterator[Task]:
    """What instances are started with; the CLI that they get, where one is carried."""
    site = config.site
    at = BatchSitePaths(site=site.name)
    carried = batch.cli if batch.mode == CARRIED_CLI else None
    if carried:
        yield from _cli(config, site, at, carried)
        yield _explore(config, aws, at)
    store = carried.store if carried else None
    spec = host.HostSpec(mode=batch.mode, region=aws.region, at=at,
                         sent_to=store or site.store, read_from=store or site.offline.store)
    yield step("batch:host", "user data of the instances, and the AWS CLI that they get", host.make,
               spec, needs=[at.cli, at.cli_manifest, at.cli_signature] if carried else [],
               makes=[at.userdata, *([at.cli_receipt] if carried else [])], asked=True)


def _cli(config: Config, site: Site, at: BatchSitePaths, carried: Cli) -> Iterator[Task]:
    yield step("batch:cli", "the AWS CLI that instances get", cli.make, cli.CliSpec(
        platform=site.platform, version=carried.version, zip=_zip(config, site, carried),
        bundle=at.cli, manifest=at.cli_manifest,
        index=uncompared(urls.pypi(site.hosts.urls, config.environment))),
        makes=[at.cli, at.cli_manifest], asked=True)
    yield step("batch:cli:sign", "its digest, signed", cli.sign, cli.SignCliSpec(
        manifest=at.cli_manifest, signing=site.signing), needs=[at.cli_manifest],
        makes=[at.cli_signature], keeps=[site.signing.public], servers=site.packages,
        asked=True)


def _zip(config: Config, site: Site, carried: Cli) -> Zip | None:
    """AWS's own CLI, where it is that which is carried."""
    if carried.version is None or carried.sha256 is None:
        return None
    published = AWS_CLI.format(machine=MACHINES[site.platform], version=carried.version)
    return cli_aws.Zip(reached_at=urls.mapped(published, site.hosts.urls), sha256=carried.sha256,
                       network=Network.of(config))


def _explore(config: Config, aws: Aws, at: BatchSitePaths) -> Task:
    return step("batch:explore", "what jobs do without a CLI, without its CA, and with both",
                explore.explore, explore.ExploreSpec(
                    bundle=at.cli, manifest=at.cli_manifest, output=at.explore,
                    region=aws.region,
                    engine=Engine.of(config.environment, config.site.engine)),
                needs=[at.cli, at.cli_manifest], makes=[at.explore], asked=True,
                servers=config.site.servers)
