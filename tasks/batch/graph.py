"""`batch:*`: pipelines on AWS Batch, known to work before a job is submitted."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.batch import infra_graph
from tasks.core.aws.paths import BatchSitePaths
from tasks.core.config.settings import Batch, Cli, Config, Site
from tasks.core.engine.address import Engine
from tasks.core.graph.deferred import deferred
from tasks.core.graph.step import Task, group, step
from tasks.core.net import urls
from tasks.core.net.network import Network

with deferred():
    from tasks.batch import cli, cli_aws, explore, host
    from tasks.batch.cli_aws import Zip

AWS_CLI = "https://awscli.amazonaws.com/awscli-exe-linux-{machine}-{version}.zip"
"""Where AWS publishes a version of its CLI."""
MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}


def tasks(config: Config) -> Iterator[Task]:
    """The room's tasks, for a site that has `aws` and `batch`."""
    yield group("batch", "AWS Batch: what it needs, made, checked and tried", [])
    if config.site.batch is not None:
        yield from _host(config, config.site, config.site.batch)
    yield from infra_graph.tasks(config)


def _host(config: Config, site: Site, batch: Batch) -> Iterator[Task]:
    """What instances are started with; the CLI that they get, where one is carried."""
    at = BatchSitePaths(site=site.name)
    carried = batch.cli if batch.mode == "carried-cli" else None
    if carried:
        yield from _cli(config, site, at, carried)
        yield _explore(config, site, at)
    store = carried.store if carried else None
    spec = host.HostSpec(mode=batch.mode, region=site.aws.region if site.aws else "", at=at,
                         sent_to=store or site.store, read_from=store or site.offline.store)
    yield step("batch:host", "user data of the instances, and the AWS CLI that they get", host.make,
               spec, needs=[at.cli, at.cli_manifest, at.cli_signature] if carried else [],
               makes=[at.userdata, *([at.cli_receipt] if carried else [])])


def _cli(config: Config, site: Site, at: BatchSitePaths, carried: Cli) -> Iterator[Task]:
    yield step("batch:cli", "the AWS CLI that instances get", cli.make, cli.CliSpec(
        platform=site.platform, version=carried.version, zip=_zip(config, site, carried),
        bundle=at.cli, manifest=at.cli_manifest), makes=[at.cli, at.cli_manifest])
    yield step("batch:cli:sign", "its digest, signed", cli.sign, cli.SignCliSpec(
        manifest=at.cli_manifest, signing=site.signing), needs=[at.cli_manifest],
        makes=[at.cli_signature], keeps=[site.signing.public], servers=site.packages)


def _zip(config: Config, site: Site, carried: Cli) -> Zip | None:
    """AWS's own CLI, where it is that which is carried."""
    if carried.version is None or carried.sha256 is None:
        return None
    published = AWS_CLI.format(machine=MACHINES[site.platform], version=carried.version)
    return cli_aws.Zip(reached_at=urls.mapped(published, site.hosts.urls), sha256=carried.sha256,
                       network=Network.of(config))


def _explore(config: Config, site: Site, at: BatchSitePaths) -> Task:
    return step("batch:explore", "what jobs do without a CLI, without its CA, and with both",
                explore.explore, explore.ExploreSpec(
                    bundle=at.cli, manifest=at.cli_manifest, output=at.explore,
                    region=site.aws.region if site.aws else "",
                    engine=Engine.of(config.environment, site.engine)),
                needs=[at.cli, at.cli_manifest], makes=[at.explore], asked=True,
                servers=site.servers)
