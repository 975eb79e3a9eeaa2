"""What a bucket is asked to encrypt files by, and whether it did.

S3's answer names the ARN of the key itself, also where an alias was asked for. Which key an alias
stands for is only known to whom KMS tells it (kms:DescribeKey), and a pushing role needs no such
right. So the key that S3 took for the push's probe is what the files of that push must have
(docs/decisions/what-a-store-may-do.md).
"""

from __future__ import annotations

from collections.abc import Mapping

from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import StoreError

ALGORITHM = "x-amz-server-side-encryption"
KEY = f"{ALGORITHM}-aws-kms-key-id"
BUCKET_KEY = f"{ALGORITHM}-bucket-key-enabled"
KMS = "aws:kms"


def encryption_headers(at: StoreAt) -> dict[str, str]:
    """Return what a request that makes an object says; nothing where the site asks for nothing."""
    if not at.encrypts:
        return {}
    headers = {ALGORITHM: str(at.encryption)}
    if at.encryption == KMS:
        headers[BUCKET_KEY] = "true"
        if at.kms_key:
            headers[KEY] = at.kms_key
    return headers


def encryption_fault(at: StoreAt, answer: Mapping[str, str],
                     resolved: str | None = None) -> str | None:
    """Return what is wrong with an object's encryption, by the headers of an answer about it.

    `resolved` is the key that S3 took for what the site asks for, where the object must have it.
    """
    if not at.encrypts:
        return None
    algorithm = answer.get(ALGORITHM)
    if algorithm != at.encryption:
        what = (f"it is encrypted by {algorithm}" if algorithm else
                "the store names no encryption of it")
        return f"{what}, and store.encryption is {at.encryption}"
    return _key_fault(at, answer.get(KEY), resolved) if at.encryption == KMS else None


def _key_fault(at: StoreAt, key: str | None, resolved: str | None) -> str | None:
    what = f"it is encrypted by the key {key}" if key else "the store names no key of it"
    if at.kms_key and not (key and _may_be(at.kms_key, key)):
        return f"{what}, and store.kms_key is {at.kms_key}"
    if resolved and key != resolved:
        return f"{what}, and for the same request the probe got {resolved}"
    return None


def refuse_other_encryption(fault: str, where: str) -> StoreError:
    """Return the error to raise where a file that was sent came out with another encryption."""
    return StoreError(f"the store did not encrypt a file as it was asked to: {fault}", where=where,
                      todo="the file lies there now, so remove it if it must not; then correct "
                           "store.encryption and store.kms_key, or what answers at store.endpoint")


def _may_be(asked: str, key: str) -> bool:
    """Whether the key of an answer may be the one that was asked for, by an ARN or an alias.

    Of an alias only what its ARN says can be compared: partition, region and account.
    """
    if asked == key:
        return True
    place, _, name = asked.rpartition(":")
    if name.startswith("alias/"):
        return not (place and key.startswith("arn:")) or key.rpartition(":")[0] == place
    return key == name.removeprefix("key/")  # some servers name a key by its id alone
