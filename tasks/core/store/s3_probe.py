"""Which promises a bucket keeps, tried out with one small object before anything is sent.

Stores that aren't AWS may keep no SHA-256, refuse its header, or write without looking at
If-None-Match. Without this, that would show with the last file of a push instead of the first.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import AirlockError, StoreError
from tasks.core.store.s3_checksums import (
    checksum_headers,
    kept_sha256,
    metadata_sha256,
    upload_headers,
    wants_checksum,
)
from tasks.core.store.s3_client import Body, Bucket, Request, Response, texts
from tasks.core.store.s3_encryption import (
    ALGORITHM,
    BUCKET_KEY,
    KEY,
    KMS,
    encryption_fault,
    encryption_headers,
    refuse_other_encryption,
)
from tasks.core.store.s3_faults import Refusal

logger = logging.getLogger(__name__)

PROBE = ".airlock/probe"
"""The probe's key, below the store's prefix. It stays there: the pushing role may not delete."""
BODY = Body.of(b"Written before each push, to learn which promises this store keeps.\n")

BY_METADATA = ("set store.checksums to metadata: each file's SHA-256 then stands in its metadata "
               "alone, and each file that is pushed is read back in full and hashed, so all bytes "
               "go over the wire twice")
WITHOUT_CONDITION = ("set store.conditional to none: a HEAD then comes before each put of what "
                     "never changes; two pushes in the same moment can still replace each other's "
                     "files, so let one machine push at a time")


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What the probe showed: the ARN of the KMS key that the store took, if it took one."""

    kms_key: str | None


def probe(bucket: Bucket, key: str, at: StoreAt) -> Kept:
    """Put the probe, put it again where nothing may be, and ask what the store keeps of it.

    Raises StoreError where the store can't keep a promise that the site wants: it names the
    promise, the key of the configuration that gives it up, and what that costs.
    """
    put = _put(bucket, key, at)
    if isinstance(put, Refusal):
        raise _why_refused(bucket, key, at, put)
    if at.is_conditional:
        _put_where_nothing_is(bucket, key, at)
    held = bucket.ask(Request(method="HEAD", key=key, headers=wants_checksum(at)))
    _check_digest(held, bucket.where(key), at)
    # Another site's push may have replaced the probe since, so the put's own word comes first.
    answer = (put if ALGORITHM in put.headers else held).headers
    if fault := encryption_fault(at, answer):
        raise refuse_other_encryption(fault, bucket.where(key))
    if at.encryption == KMS and answer.get(BUCKET_KEY, "").lower() != "true":
        logger.warning("the store uses no bucket key, so each file costs a call to KMS: %s", at.url)
    return Kept(kms_key=answer.get(KEY) if at.encryption == KMS else None)


def try_put(bucket: Bucket, key: str, at: StoreAt) -> None:
    """Ask for the bucket's listing, then begin an upload in parts and give it up.

    So nothing is written. AirlockError where the bucket isn't there, or the credentials may not
    write; where a server knows no uploads in parts, the put itself will tell.
    """
    bucket.ask(Request(method="GET", query={"list-type": "2", "prefix": key, "max-keys": "1"}))
    begun = bucket.answer(Request(method="POST", key=key, query={"uploads": ""}, headers={
        **upload_headers(BODY.sha256, at), **encryption_headers(at)}))
    if isinstance(begun, Refusal):
        if begun.is_unsupported:
            return
        raise bucket.explain(begun, key)
    upload = dict(texts(bucket.parse(begun.data, key))).get("UploadId", "")
    bucket.answer(Request(method="DELETE", key=key, query={"uploadId": upload}))


def _put(bucket: Bucket, key: str, at: StoreAt, **condition: str) -> Response | Refusal:
    return bucket.answer(Request(method="PUT", key=key, body=BODY, headers={
        **checksum_headers(BODY, at), **encryption_headers(at), **condition}))


def _why_refused(bucket: Bucket, key: str, at: StoreAt, refusal: Refusal) -> AirlockError:
    """Find out which header of a put the store refuses, by leaving out one or adding one."""
    def takes(other: StoreAt) -> bool:
        return isinstance(_put(bucket, key, other), Response)

    where = bucket.where(key)
    if refusal.is_passing:
        return bucket.explain(refusal, key)
    if at.has_checksums and takes(replace(at, checksums="metadata")):
        return refused_checksums(refusal, where)
    if at.encrypts and takes(replace(at, encryption=None, kms_key=None)):
        return StoreError("the store refuses the encryption that store.encryption and "
                          f"store.kms_key ask for ({refusal.summary})", where=where,
                          todo="correct them; a KMS key must allow kms:GenerateDataKey and "
                               "kms:Decrypt to this role")
    if refusal.is_denied and not at.encrypts:
        for encryption in ("AES256", KMS):
            if takes(replace(at, encryption=encryption)):
                return StoreError("access is denied to a put that asks for no encryption; one that "
                                  f"asks for {encryption} is let through", where=where,
                                  todo=f"set store.encryption to {encryption}")
    return bucket.explain(refusal, key)


def refused_checksums(refusal: Refusal, where: str) -> StoreError:
    """Return the error to raise where a store refuses a header that is about a checksum."""
    return StoreError(f"the store refuses SHA-256 checksums ({refusal.summary}), so it can't "
                      "promise that it checks each file's bytes, and keeps their digest",
                      where=where, todo=BY_METADATA)


def _put_where_nothing_is(bucket: Bucket, key: str, at: StoreAt) -> None:
    """StoreError unless the store sees that there is something already."""
    again = _put(bucket, key, at, **{"if-none-match": "*"})
    if isinstance(again, Refusal) and again.code_or_status == "PreconditionFailed":
        return
    if isinstance(again, Refusal) and not again.is_unsupported:
        raise bucket.explain(again, key)
    does = f"refuses ({again.summary})" if isinstance(again, Refusal) else "ignores"
    raise StoreError(f"the store {does} conditional writes (If-None-Match), so it can't promise "
                     "that what was released is never replaced", where=bucket.where(key),
                     todo=WITHOUT_CONDITION)


def _check_digest(held: Response, where: str, at: StoreAt) -> None:
    """StoreError unless the store keeps the digest in the way that the site wants."""
    if at.has_checksums:
        if kept_sha256(held.headers) != BODY.sha256:
            raise StoreError("the store keeps no SHA-256 checksums: it takes them, and its answer "
                             "to HEAD has none, so it can't promise what a file's bytes are",
                             where=where, todo=BY_METADATA)
    elif metadata_sha256(held.headers) != BODY.sha256:
        raise StoreError("the store keeps no metadata (x-amz-meta-sha256), so no digest can stay "
                         "with a file", where=where,
                         todo="have what stands before the store let x-amz-meta-* through, or use "
                              "another store: there is no further mode")
