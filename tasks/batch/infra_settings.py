"""What a site wants of AWS for Batch, and how its parts are called there."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from tasks.core.aws.paths import BatchSitePaths
from tasks.core.config.aws_settings import CARRIED_CLI, FUSION, Aws, Batch
from tasks.core.errors import ConfigError
from tasks.core.frozen import frozen

DISK_GIB = {CARRIED_CLI: 200, FUSION: 100}
"""A job's files lie on the disk with a carried CLI, and pass through it with Fusion, whose guide
asks for gp3 of 100 GiB and 325 MiB/s (Seqera's Fusion guide, "AWS Batch")."""
FUSION_THROUGHPUT = 325
"""MiB/s of a gp3 volume; 125 are in its price."""
JOBS = ("s3", "ecr.api", "ecr.dkr", "ecs", "ecs-agent", "ecs-telemetry", "logs")
ENDPOINTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "jobs": {CARRIED_CLI: JOBS, FUSION: ("s3",)},
    "head": dict.fromkeys((CARRIED_CLI, FUSION), ("batch", "sts", "ec2")),
    "session": dict.fromkeys((CARRIED_CLI, FUSION), ("ssm", "ssmmessages", "ec2messages")),
}
"""The services that a VPC without internet needs endpoints of, by who needs them and by mode: with
Fusion there must be internet anyway, so only S3 has one, which costs nothing."""


@frozen
class InfraSpec:
    """All that batch:infra:* know of the configuration.

    `kms_keys` are the keys, by ARN or alias, that files of the buckets are encrypted with;
    `cli_url` is where instances read the carried CLI, s3://bucket/prefix.
    """

    site: str
    at: BatchSitePaths
    aws: Aws
    batch: Batch
    cli_url: str | None = None
    kms_keys: tuple[str, ...] = ()

    @property
    def role(self) -> str:
        """The name of the instances' role, and of the profile that holds it."""
        return self.batch.instance_role or f"{self.batch.environment}-instance"

    @property
    def buckets(self) -> tuple[str, ...]:
        """The buckets that jobs read and write."""
        work = urlsplit(self.batch.work).netloc
        return tuple(sorted({work, *self.batch.buckets}))

    @property
    def cli(self) -> str | None:
        """The CLI that instances fetch, where one is carried: bucket/key, whatever its digest."""
        if self.cli_url is None:
            return None
        address = urlsplit(self.cli_url)
        if address.scheme != "s3":
            raise ConfigError("instances of AWS Batch can't read the AWS CLI from a folder",
                              where=self.cli_url,
                              todo="set batch.cli.store to a bucket, s3://bucket/prefix")
        parts = (address.netloc, address.path.strip("/"), "blobs/sha256/*/aws-cli.tar.gz")
        return "/".join(part for part in parts if part)

    @property
    def disk(self) -> int:
        """GiB of an instance's disk."""
        return self.batch.disk or DISK_GIB[self.batch.mode]

    @property
    def services(self) -> tuple[str, ...]:
        """The services that endpoints are asked for."""
        return tuple(service for group in self.batch.endpoints
                     for service in ENDPOINTS[group][self.batch.mode])
