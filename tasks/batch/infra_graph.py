"""`batch:infra:*` and `batch:doctor`: what Batch needs at AWS, and whether it would work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from tasks.core.aws.paths import BatchPaths, BatchSitePaths
from tasks.core.config.aws_settings import CARRIED_CLI, FUSION, Aws, Batch
from tasks.core.config.settings import Config, Pipeline, Site
from tasks.core.graph.deferred import deferred, uncompared
from tasks.core.graph.step import Task, group, step
from tasks.core.graph.verbs import for_pipelines
from tasks.core.net.network import Network
from tasks.core.paths import PipelinePaths

with deferred():
    from tasks.batch import doctor, infra_apply, infra_plan
    from tasks.batch.doctor import DoctorSpec
    from tasks.batch.doctor_images import ImageSpec
    from tasks.batch.infra_settings import InfraSpec
    from tasks.core.registry.client import Access


def tasks(config: Config, aws: Aws, batch: Batch) -> Iterator[Task]:
    """The steps of the whole site, and the doctor of each pipeline.

    Each apply looks again: it needs the plan, which is made each time, and writes it as it is
    once all is there. So apply is current as long as AWS is as it left it.
    """
    site = config.site
    at, spec = BatchSitePaths(site=site.name), infra_spec(site, aws, batch)
    yield group("batch:infra", "what Batch has at AWS of what it needs", ["batch:infra:plan"])
    yield step("batch:infra:plan", "what Batch has at AWS, what would be made, and its cost",
               infra_plan.show_plan, spec, needs=[at.userdata], makes=[at.plan], look=True)
    yield step("batch:infra:apply", "roles, template, environment and queue of Batch",
               infra_apply.apply, spec, needs=[at.userdata, at.plan], makes=[at.receipt],
               asked=True)
    yield step("batch:infra:destroy", "the end of what batch:infra:apply made",
               infra_apply.destroy, spec, always=True)
    yield from for_pipelines(config, {
        "batch:doctor": ("whether its jobs would run, before any is submitted",
                         partial(_doctor, spec=spec, batch=batch))})


def _doctor(name: str, doc: str, config: Config, pipeline: Pipeline, *, spec: InfraSpec,
            batch: Batch) -> Task:
    site = config.site
    built = PipelinePaths(site=site.name, pipeline=pipeline.name)
    at = BatchPaths(site=site.name, pipeline=pipeline.name)
    own = (site.own_registry.address, *site.own_registry.repositories.values())
    access = Access(registries=site.hosts.registries, ca=site.ca,
                    authfile=site.authfile, network=Network.of(config).naming(
                        *(f"https://{address}" for address in own)))
    return step(name, doc, doctor.doctor, DoctorSpec(
        pipeline=pipeline.name, infra=spec, head_role=batch.head_role,
        resolved=built.resolved, output=at.doctor,
        images=ImageSpec(receipt=built.images_receipt, blobs=built.of_site.blobs, access=access,
                         lock=built.lock("images") if batch.mode == FUSION else None),
        has_token=uncompared(bool(config.environment.get("TOWER_ACCESS_TOKEN")))),
        look=True)


def infra_spec(site: Site, aws: Aws, batch: Batch) -> InfraSpec:
    """Return what the steps know of the site, without what nothing at AWS hangs on."""
    store = (batch.cli.store if batch.cli else None) or site.offline.store
    keys = {at.kms_key for at in (site.store, store) if at.encryption == "aws:kms" and at.kms_key}
    return InfraSpec(
        site=site.name, at=BatchSitePaths(site=site.name),
        aws=Aws(region=aws.region, endpoint=aws.endpoint, account=aws.account),
        batch=replace(batch, profile="", head_role=None, cli=None, limits=None, images={}),
        cli_url=store.url if batch.mode == CARRIED_CLI else None, kms_keys=tuple(sorted(keys)))
