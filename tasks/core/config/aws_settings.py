"""The site's store, and what it has at AWS: classes as in settings.py."""

# Annotations are not postponed: fields.py reads them as types.

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tasks.core.config.fields import Bytes, OneOrSeveral
from tasks.core.frozen import frozen

CARRIED_CLI, FUSION = "carried-cli", "fusion"
"""How jobs on Batch reach their files: `batch.mode`."""


@frozen
class StoreAt:
    """A folder (path or file://…) or a bucket (s3://bucket/prefix) for the carried files.

    `encryption` is what a bucket's files are encrypted by: none, AES256 or aws:kms, then with the
    key of an ARN or alias. `checksums` is who keeps files' SHA-256: the `server`, as a checksum
    that it has checked, or their `metadata`. `conditional` says whether what never changes is
    only written where nothing is: `required`, or `none` where the server can't do that.
    """

    url: str
    endpoint: str | None = None
    region: str | None = None
    encryption: str | None = None
    kms_key: str | None = None
    checksums: str | None = None
    conditional: str | None = None

    @property
    def folder(self) -> Path | None:
        """The folder of this machine that it is; None for a bucket."""
        parts = urlsplit(self.url)
        if parts.scheme == "s3":
            return None
        return Path(unquote(parts.path) if parts.scheme == "file" else self.url).expanduser()

    @property
    def encrypts(self) -> bool:
        """Whether an encryption is asked for, beside the bucket's own default."""
        return self.encryption not in (None, "none")

    @property
    def has_checksums(self) -> bool:
        """Whether the server checks and keeps files' SHA-256."""
        return self.checksums != "metadata"

    @property
    def is_conditional(self) -> bool:
        """Whether the server writes only where nothing is, when it is asked to."""
        return self.conditional != "none"


@frozen
class AwsRoles:
    """Who works with the store, as names of roles or ARNs.

    `online` pushes, `offline` fetches. `admin` may clean up: the bucket's rules against deleting,
    overwriting and other networks leave that one out. `jobs` run on Batch with files that the
    store's KMS key encrypts.
    """

    online: str
    offline: str
    admin: str | None = None
    jobs: OneOrSeveral = ()


@frozen
class Aws:
    """Where a site's AWS is: a region, and the `endpoint` of what stands in for its services.

    `vpc_endpoint` are the only ways to the store's files, where any is given; `work_days` is for
    how long files are kept below work/.
    """

    region: str
    endpoint: str | None = None
    account: str | None = None
    vpc_endpoint: OneOrSeveral = ()
    roles: AwsRoles | None = None
    work_days: int | None = None


@frozen
class Cli:
    """The AWS CLI that is carried onto Batch's instances.

    `source` is aws, its own zip of a `version` with `sha256`, or pypi, made here. `store` is
    where instances read it, if that isn't where offline hosts read releases.
    """

    source: str
    version: str | None = None
    sha256: str | None = None
    store: StoreAt | None = None


@frozen
class Limits:
    """The largest job that Batch's compute environment can place: vCPUs, and bytes of memory."""

    cpus: int | None = None
    memory: Bytes | None = None


@frozen
class Batch:
    """How pipelines run on AWS Batch.

    `mode` is how a job reaches its files: `fusion` or `carried-cli`; `profile` is the pipeline's
    that runs there, `work` Nextflow's work folder, s3://bucket/prefix. From `instance_types` on,
    fields say what batch:infra:* makes; `disk` is in GiB. `images` are those of batch:test-*.
    """

    mode: str
    profile: str
    queue: str
    environment: str
    work: str
    instance_types: tuple[str, ...]
    max_vcpus: int
    disk: int | None = None
    vpc: str | None = None
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    endpoints: tuple[str, ...]
    instance_role: str | None = None
    service_role: str | None = None
    head_role: str | None = None
    parity: bool
    buckets: tuple[str, ...]
    images: Mapping[str, str] = field(default_factory=dict)
    cli: Cli | None = None
    limits: Limits | None = None
