"""A bucket as the store. Credentials come by boto3's own chain and are never shown."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os.path
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tasks.core import files
from tasks.core.config import StoreAt
from tasks.core.errors import AirlockError, IntegrityError, StoreError
from tasks.core.store.interface import THREADS, Stored, is_immutable, take, within
from tasks.core.store.s3_direct import LARGEST, Direct

SINGLE = 5 * 10**9
"""The largest file that goes in one PutObject, in bytes (S3 allows 5 GiB)."""

PART = 256 * 2**20
"""Bytes of a part above that; 10,000 parts are allowed, so 2.6 TB."""

FEW = 50
"""Keys that are asked for one by one; a page of a listing costs about as much, and shows 1,000."""

PAGES = 5000
"""Pages of a listing, 1,000 keys each; a server may go on without end."""

CHECKSUM = "x-amz-checksum-sha256"

KNOWN = {
    "NoSuchBucket": ("the bucket does not exist", "create it, or correct store.url"),
    "InvalidAccessKeyId": ("the credentials are wrong", "correct AWS_PROFILE or the access key"),
    "XAdminUserNotFound": ("the credentials are wrong", "correct AWS_PROFILE or the access key"),
    "SignatureDoesNotMatch": ("the credentials are wrong", "correct the secret access key"),
    "ExpiredToken": ("the credentials have expired", "log in again"),
    "RequestTimeTooSkewed": ("this machine's clock is wrong", "set the clock"),
    "AccessDenied": ("access is denied", "allow s3:GetObject, s3:PutObject and s3:ListBucket "
                     "there; a bucket policy may also demand a VPC endpoint (aws:SourceVpce)"),
    "PermanentRedirect": ("the bucket lies in another region", "correct store.region"),
    "AuthorizationHeaderMalformed": ("the bucket lies in another region", "correct store.region"),
    "NoSuchKey": ("the store lacks a file", "push the release again"),
}
REFUSED_BYTES = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch",
                 "XAmzContentChecksumMismatch"}
"""What S3 servers answer where the bytes do not have the checksum that was sent."""


class S3Store:
    """A bucket, by boto3. Each file is sent with its SHA-256, which the server checks and keeps.

    SHA-256 has no full-object form for multipart uploads, so above `single` bytes each part is
    sent with its own, and the file's stands in the object's metadata; it is hashed once more
    while the parts are read, and the upload is abandoned if it differs.
    """

    def __init__(self, at: StoreAt, *, single: int = SINGLE, part: int = PART) -> None:
        import boto3
        import botocore.session
        from botocore.config import Config

        address = urlsplit(at.url)
        self.url = at.url.rstrip("/")
        self._bucket, self._prefix = address.netloc, address.path.strip("/")
        self._at, self._single, self._part = at, single, part
        self._seen = False
        with self._faults(""):
            session = botocore.session.get_session()
            # Nobody reads when an object was written, and dates are half the work of a listing.
            session.get_component("response_parser_factory").set_parser_defaults(
                timestamp_parser=str)
            self._client = boto3.session.Session(botocore_session=session).client(
                "s3", endpoint_url=at.endpoint, verify=None,
                region_name=at.region or ("us-east-1" if at.endpoint else None),
                config=Config(s3={"addressing_style": "path" if at.endpoint else "auto"},
                              max_pool_connections=THREADS, connect_timeout=10,
                              retries={"mode": "standard", "max_attempts": 4}))
            self._direct = Direct(session, self._client, self._bucket, connections=THREADS)
            self._client.meta.events.register("before-send.s3", self._direct.answer)

    def _key(self, key: str) -> str:
        files.inside(Path(), key)
        return f"{self._prefix}/{key}" if self._prefix else key

    def head(self, key: str) -> Stored | None:
        headers = self._direct.head(self._key(key))
        if headers is None:
            return self._head(key)
        return Stored(key=key, size=int(headers["Content-Length"]), tag=headers.get("ETag"),
                      sha256=_sha256(headers.get(CHECKSUM), headers.get("x-amz-meta-sha256")))

    def _head(self, key: str) -> Stored | None:
        from botocore.exceptions import ClientError
        with self._faults(key):
            try:
                told = self._client.head_object(Bucket=self._bucket, Key=self._key(key),
                                                ChecksumMode="ENABLED")
            except ClientError as error:
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                if status not in (403, 404):
                    raise
                if status == 403 or not self._seen:
                    # A HEAD has no body, so its error has no code: a listing tells which it is.
                    self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._key(key),
                                                 MaxKeys=1)
                    self._seen = True
                if status == 404:
                    return None
                raise
        return Stored(key=key, size=told["ContentLength"], tag=told.get("ETag"), sha256=_sha256(
            told.get("ChecksumSHA256"), told.get("Metadata", {}).get("sha256")))

    def put(self, key: str, path: Path, sha256: str) -> str | None:
        size = path.stat().st_size
        if size > self._single:
            self._put_parts(key, path, sha256)
            return None
        checksum = _base64(bytes.fromhex(sha256))
        if size <= LARGEST and not is_immutable(key):
            headers = self._direct.put(self._key(key), path.read_bytes(), sha256,
                                       {CHECKSUM: checksum})
            if headers is not None:
                return headers.get("ETag") if headers.get(CHECKSUM) == checksum else None
        with path.open("rb") as body, self._faults(key):
            told = self._client.put_object(Bucket=self._bucket, Key=self._key(key), Body=body,
                                           ChecksumSHA256=checksum, **_only_once(key))
        return told.get("ETag") if told.get("ChecksumSHA256") == checksum else None

    def put_bytes(self, key: str, data: bytes) -> None:
        with self._faults(key):
            self._client.put_object(Bucket=self._bucket, Key=self._key(key), Body=data,
                                    ChecksumSHA256=_base64(hashlib.sha256(data).digest()),
                                    **_only_once(key))

    def _put_parts(self, key: str, path: Path, sha256: str) -> None:
        place = {"Bucket": self._bucket, "Key": self._key(key)}
        with self._faults(key):
            upload = self._client.create_multipart_upload(
                **place, ChecksumAlgorithm="SHA256", Metadata={"sha256": sha256})["UploadId"]
            try:
                parts: list[Any] = []
                whole = hashlib.sha256()
                with path.open("rb") as reader:
                    while block := reader.read(self._part):
                        whole.update(block)
                        digest = _base64(hashlib.sha256(block).digest())
                        told = self._client.upload_part(
                            **place, UploadId=upload, PartNumber=len(parts) + 1, Body=block,
                            ChecksumSHA256=digest)
                        parts.append({"PartNumber": len(parts) + 1, "ETag": told["ETag"],
                                      "ChecksumSHA256": digest})
                if whole.hexdigest() != sha256:
                    raise IntegrityError(f"a file has changed: sha256 {whole.hexdigest()}, "
                                         f"expected {sha256}", where=path)
                self._client.complete_multipart_upload(
                    **place, UploadId=upload, MultipartUpload={"Parts": parts}, **_only_once(key))
            except BaseException:
                self._client.abort_multipart_upload(**place, UploadId=upload)
                raise

    def get(self, key: str, path: Path, *, most: int) -> None:
        with self._faults(key):
            body = self._client.get_object(Bucket=self._bucket, Key=self._key(key))["Body"]
            with contextlib.closing(body), files.atomic(path) as writer:
                take(iter(lambda: body.read(files.CHUNK), b""), writer, most=most,
                     where=f"{self.url}: {key}")

    def list(self, prefix: str) -> Sequence[str]:
        skip = len(self._prefix) + 1 if self._prefix else 0
        with self._faults(prefix):
            return within(prefix, (
                entry["Key"][skip:]
                for page in self._pages(f"{self._prefix}/{prefix}" if skip else prefix)
                for entry in page.get("Contents", [])))

    def _pages(self, prefix: str) -> Iterator[Any]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix)
        for number, page in enumerate(pages, 1):
            yield page
            if number == PAGES:
                raise StoreError(f"a listing has more than {PAGES} pages", where=self.url,
                                 todo="look at who answers at store.endpoint")

    def tags(self, keys: Collection[str]) -> Mapping[str, Stored] | None:
        """By a listing of the folder that they share; None for a few, or among too many others."""
        if len(keys) < FEW:
            return None
        wanted = {self._key(key): key for key in keys}
        folder = os.path.commonpath([key.rpartition("/")[0] for key in wanted])
        found: dict[str, Stored] = {}
        with self._faults(folder):
            for number, page in enumerate(self._pages(folder and f"{folder}/"), start=1):
                found |= {key: Stored(key=key, size=entry["Size"], sha256=None, tag=entry["ETag"])
                          for entry in page.get("Contents", ())
                          if (key := wanted.get(entry["Key"]))}
                if page.get("IsTruncated") and number * FEW > len(keys):
                    return None
        return found

    @contextlib.contextmanager
    def _faults(self, key: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError
        where = f"{self.url}: {key}" + (f" at {self._at.endpoint}" if self._at.endpoint else "")
        try:
            yield
        except AirlockError:
            raise
        except ClientError as error:
            raise _explain(error.response.get("Error", {}), where) from error
        except BotoCoreError as error:
            raise _explain_local(error, where) from error
        except RecursionError as error:  # botocore asks for the region, and is sent on again
            raise StoreError("the store redirects without end", where=where,
                             todo="correct store.endpoint and store.region") from error


def _only_once(key: str) -> dict[str, Any]:
    return {"IfNoneMatch": "*"} if is_immutable(key) else {}


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _sha256(checksum: str | None, noted: str | None) -> str | None:
    """The SHA-256 that the server checked, or where the file came in parts, the one noted."""
    if checksum and "-" not in checksum:
        return base64.b64decode(checksum).hex()
    return noted if checksum else None


def _explain(error: Any, where: str) -> AirlockError:
    code, message = str(error.get("Code")), str(error.get("Message", ""))
    if code in REFUSED_BYTES:
        return IntegrityError(f"the store refused a file whose bytes are not what its checksum says"
                              f" ({code})", where=where,
                              todo="remove the local file, so that the step that makes it runs")
    if code in ("PreconditionFailed", "412"):
        return StoreError("the store holds this file already, and it never changes", where=where,
                          todo="somebody pushed it at the same time; run this again")
    if code in ("403", "Forbidden"):
        code = "AccessDenied"
    what, todo = KNOWN.get(code, (f"the store refused: {code} {message}".rstrip(),
                                  "look up the code in the S3 documentation"))
    return StoreError(f"{what} ({code})" if code in KNOWN else what, where=where, todo=todo)


def _explain_local(error: Exception, where: str) -> StoreError:
    from botocore import exceptions
    if isinstance(error, (exceptions.NoCredentialsError, exceptions.PartialCredentialsError,
                          exceptions.ProfileNotFound, exceptions.TokenRetrievalError)):
        return StoreError("there are no credentials for the store", where=where,
                          todo="set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                               "or give this machine a role")
    if isinstance(error, exceptions.NoRegionError):
        return StoreError("the store's region is not known", where=where,
                          todo="set store.region, or AIRLOCK_STORE_REGION")
    if isinstance(error, exceptions.SSLError):
        return StoreError("the store's certificate is not trusted", where=where,
                          todo="set AWS_CA_BUNDLE to the CA's certificate (PEM)")
    return StoreError(f"no connection to the store ({type(error).__name__})", where=where,
                      todo="check the network, store.endpoint and store.region, then try again")
