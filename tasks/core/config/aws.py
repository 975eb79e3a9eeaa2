"""What a site has at AWS, in the shape of its file's section `aws`; a part of settings.py."""

# Annotations are not postponed: fields.py reads them as types.

from tasks.core.config.fields import OneOrSeveral
from tasks.core.frozen import frozen


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
