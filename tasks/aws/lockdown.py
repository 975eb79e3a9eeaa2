"""How a site's bucket is locked down: which bucket, who works with it, and by which ways."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from tasks.core.aws.policy import account_of, partition
from tasks.core.config.aws_settings import AwsRoles
from tasks.core.errors import ConfigError
from tasks.core.frozen import frozen

KMS = "aws:kms"
WORK_DAYS = 30
"""Days that files below work/ are kept, where the site doesn't say."""
FOLDERS = (".airlock", "blobs", "cli", "releases", "smoke", "tool")
"""What a push writes, below the store's prefix: .airlock its probe, cli what batch:host sends."""
READ_FOLDERS = ("blobs", "releases", "tool")
"""What an offline host reads of it."""

WRITTEN_ONCE = ("blobs/sha256/*", "releases/*/*/*.json", "releases/*/*/SHA256SUMS",
                "tool/*/*.json", "tool/*/airlock.tar", "tool/*/wheels/*")
"""What never changes: as the store's `is_immutable` has it, and blobs, which their digest names.
Pointers and signatures may be replaced. `*` goes across slashes, as in ARNs."""


@frozen
class Lockdown:
    """A bucket and what holds of it, as the site's settings say.

    `account` is the bucket's; an empty one is not known yet. `work` is Batch's work folder.
    `conditional` says whether the store asks to write only where nothing is.
    """

    url: str
    region: str
    account: str = ""
    encryption: str = "none"
    kms_key: str | None = None
    vpc_endpoints: tuple[str, ...] = ()
    roles: AwsRoles | None = None
    work: str | None = None
    work_days: int | None = None
    conditional: bool = True

    @property
    def bucket(self) -> str:
        """Its name; ConfigError where the store is a folder."""
        address = urlsplit(self.url)
        if address.scheme != "s3":
            raise ConfigError("the site's store is a folder: there is no bucket to lock down",
                              where=f"store.url: {self.url}",
                              todo="aws:* works on a bucket: store.url s3://bucket/prefix, for one "
                                   "run by AIRLOCK_STORE")
        return address.netloc

    @property
    def prefix(self) -> str:
        """What stands before the store's keys: empty, or ending in a slash."""
        path = urlsplit(self.url).path.strip("/")
        return f"{path}/" if path else ""

    @property
    def arn(self) -> str:
        return f"arn:{partition(self.region)}:s3:::{self.bucket}"

    def objects(self, patterns: Iterable[str]) -> tuple[str, ...]:
        """Return the ARNs of objects by patterns of the store's keys."""
        return tuple(f"{self.arn}/{self.prefix}{pattern}" for pattern in patterns)

    @property
    def key_arn(self) -> str | None:
        """The KMS key's ARN; None for an alias, of which no document can say which key it is."""
        key = self.kms_key or ""
        return key if self.encryption == KMS and account_of(key) and ":key/" in key else None

    def role(self, name: str) -> str:
        """Return the ARN of `online`, `offline` or `admin`; ConfigError where it isn't known."""
        given: str | None = getattr(self.roles, name, None)
        if given is None:
            raise ConfigError("the policies need to know the roles", where=f"aws.roles.{name}",
                              todo="set aws.roles.online and aws.roles.offline to names or ARNs")
        return self._role_arn(given)

    def _role_arn(self, name: str) -> str:
        if name.startswith("arn:"):
            return name
        return f"arn:{partition(self.region)}:iam::{self.owner}:role/{name}"

    @property
    def jobs(self) -> tuple[str, ...]:
        """The roles of Batch's jobs, if the site names any."""
        return tuple(map(self._role_arn, self.roles.jobs)) if self.roles else ()

    @property
    def job_buckets(self) -> tuple[str, ...]:
        """The ARNs of the buckets that Batch's jobs work with."""
        work = urlsplit(self.work or self.url).netloc
        return tuple(dict.fromkeys((self.arn, f"arn:{partition(self.region)}:s3:::{work}")))

    @property
    def owner(self) -> str:
        """The bucket's account; ConfigError where it isn't known."""
        if not self.account:
            raise ConfigError("the policies need to know the account that the bucket belongs to",
                              where="aws.account", todo="set it to the account's 12 digits")
        return self.account

    @property
    def admins(self) -> tuple[str, ...]:
        """The role that the rules for objects leave out, if the site names one."""
        return (self.role("admin"),) if self.roles and self.roles.admin else ()

    @property
    def work_prefix(self) -> str:
        """Below which prefix files are only kept for some days: Batch's work folder, if it is here.

        ConfigError where it would be the store's own files.
        """
        address = urlsplit(self.work or "")
        if address.netloc != self.bucket:
            return f"{self.prefix}work/"
        work = f"{address.path.strip('/')}/".lstrip("/")
        for folder in FOLDERS:
            own = f"{self.prefix}{folder}/"
            if own.startswith(work) or work.startswith(own):
                raise ConfigError("the work folder holds the store's own files, which would be "
                                  "deleted with it", where=f"batch.work: {self.work}",
                                  todo=f"give it a folder of its own: {self.url.rstrip('/')}/work")
        return work
