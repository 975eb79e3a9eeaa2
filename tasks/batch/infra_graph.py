"""`batch:infra:*`: what Batch needs at AWS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tasks.core.aws.paths import BatchSitePaths
from tasks.core.config.aws_settings import Aws, Batch
from tasks.core.config.settings import Config, Site
from tasks.core.graph.deferred import deferred
from tasks.core.graph.step import Task, group, step

with deferred():
    from tasks.batch import infra_apply, infra_plan
    from tasks.batch.infra_settings import InfraSpec


def tasks(config: Config) -> Iterator[Task]:
    """The steps, for a site that has `aws` and `batch`.

    Each apply looks again: it needs the plan, which is made each time, and writes it as it is
    once all is there. So apply is current as long as AWS is as it left it.
    """
    site = config.site
    if site.aws is None or site.batch is None:
        return
    at, spec = BatchSitePaths(site=site.name), infra_spec(site, site.aws, site.batch)
    yield group("batch:infra", "what Batch has at AWS of what it needs", ["batch:infra:plan"])
    yield step("batch:infra:plan", "what Batch has at AWS, what would be made, and its cost",
               infra_plan.show_plan, spec, needs=[at.userdata], makes=[at.plan], look=True)
    yield step("batch:infra:apply", "roles, template, environment and queue of Batch",
               infra_apply.apply, spec, needs=[at.userdata, at.plan], makes=[at.receipt],
               asked=True)
    yield step("batch:infra:destroy", "the end of what batch:infra:apply made",
               infra_apply.destroy, spec, always=True)


def infra_spec(site: Site, aws: Aws, batch: Batch) -> InfraSpec:
    """Return what the steps know of the site, without what nothing at AWS hangs on."""
    store = (batch.cli.store if batch.cli else None) or site.offline.store
    keys = {at.kms_key for at in (site.store, store) if at.encryption == "aws:kms" and at.kms_key}
    return InfraSpec(
        site=site.name, at=BatchSitePaths(site=site.name),
        aws=Aws(region=aws.region, endpoint=aws.endpoint, account=aws.account),
        batch=replace(batch, profile="", cli=None, limits=None),
        cli_url=store.url if batch.mode == "carried-cli" else None, kms_keys=tuple(sorted(keys)))
