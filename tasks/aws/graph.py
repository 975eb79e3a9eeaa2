"""`aws:*`: a store at AWS that is locked down."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tasks.core.aws.paths import AwsPaths
from tasks.core.config.aws_settings import Aws
from tasks.core.config.settings import Config, Site
from tasks.core.graph.deferred import deferred
from tasks.core.graph.step import Task, group, step

with deferred():
    from tasks.aws import apply, check, plan, policies
    from tasks.aws.lockdown import Lockdown
    from tasks.aws.plan import BucketSpec

POLICIES = ("bucket-policy", "online-role", "offline-role", "endpoint-policy", "key-policy")
"""The documents, each a file; the last one where the site encrypts with a key of its own."""


def tasks(config: Config) -> Iterator[Task]:
    """The room's tasks, for a site that has `aws`."""
    site = config.site
    if site.aws is None:
        return
    yield group("aws", "the store at AWS: what its bucket lacks, and its policies",
                ["aws:plan", "aws:policies"])
    yield _bucket("aws:plan", "what aws:apply would set of the store's bucket", plan.show_plan,
                  site, site.aws)
    yield step("aws:apply", "the store's bucket, made and locked down", apply.apply,
               _spec(site, site.aws), always=True)
    yield _bucket("aws:check", "what of that holds", check.check_bucket, site, site.aws)
    yield _policies(site, site.aws)


def _bucket(name: str, doc: str, action: Callable[[BucketSpec], str], site: Site,
            aws: Aws) -> Task:
    return step(name, doc, action, _spec(site, aws), look=True)


def _spec(site: Site, aws: Aws) -> BucketSpec:
    return BucketSpec(layout=AwsPaths(site=site.name), aws=aws, store_endpoint=site.store.endpoint,
                      lock=_lockdown(site, aws, work_days=aws.work_days))


def _policies(site: Site, aws: Aws) -> Task:
    at = AwsPaths(site=site.name)
    names = POLICIES if site.store.kms_key else POLICIES[:-1]
    spec = policies.PoliciesSpec(layout=at, lock=_lockdown(site, aws), names=names)
    return step("aws:policies", "the policies of bucket, roles, endpoint and key, as files",
                policies.write_policies, spec, makes=[at.policy(name) for name in names],
                asked=True)


def _lockdown(site: Site, aws: Aws, *, work_days: int | None = None) -> Lockdown:
    """What the site wants of its bucket; the documents don't hang on how long work/ is kept."""
    store = site.store
    return Lockdown(url=store.url, region=store.region or aws.region, account=aws.account or "",
                    encryption=store.encryption or "none", kms_key=store.kms_key,
                    vpc_endpoints=aws.vpc_endpoint, roles=aws.roles,
                    work=site.batch.work if site.batch else None,
                    work_days=work_days, conditional=store.is_conditional)
