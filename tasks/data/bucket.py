"""Files in S3 buckets, of AWS or of other servers, with credentials where there are any."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from tasks.core import files
from tasks.core.errors import SourceError
from tasks.core.net import s3_http
from tasks.core.net.bounds import Exceeded
from tasks.core.net.network import Network
from tasks.core.net.request import Broken, reason
from tasks.core.net.transfer import Body, Denied, RemoteFile
from tasks.core.net.unreachable import unreachable

THREADS = 8
AWS = "aws"
"""The endpoint of a bucket that AWS holds."""
MAX_OBJECTS, MAX_LISTING_TIME = 1_000_000, 1800.0
"""Objects, and seconds, that a listing may have: a cache of annotations has tens of thousands."""
MISSING = {"404", "NoSuchKey", "NotFound"}
PERMANENT = {"NoSuchBucket": "the bucket does not exist",
           "InvalidBucketName": "no bucket can have this name",
           "InvalidObjectState": "it lies in an archive (Glacier), and must be restored first",
           "MethodNotAllowed": "it was deleted"}
DENIED = {"401", "403", "AccessDenied", "AllAccessDisabled", "AccountProblem", "InvalidAccessKeyId",
          "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired",
          "XAdminUserNotFound", "AuthorizationHeaderMalformed", "InvalidSecurity"}
"""Codes after which the same is asked without credentials: a public bucket may forbid it to an
account that was given no right there, and credentials may be meant for another server."""
TOO_FAST = {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded"}
PASSING = {*TOO_FAST, "ServiceUnavailable", "InternalError", "RequestTimeout", "OperationAborted"}

T = TypeVar("T")


class Buckets:
    """`endpoints` maps the name of each bucket that may be read to the server that holds it, or
    to `aws`; no other is asked, since it would be with this machine's credentials."""

    def __init__(self, endpoints: Mapping[str, str], network: Network) -> None:
        self._endpoints, self._network = endpoints, network

    def look(self, url: str) -> RemoteFile | None:
        bucket, key = parts(url)
        try:
            response = self._ask(bucket, lambda client: client.head_object(Bucket=bucket, Key=key))
        except _Missing:
            return None
        return RemoteFile(size=response.get("ContentLength"), validator=response.get("ETag"))

    def receive(self, url: str, body: Body) -> None:
        """Bring what `body` lacks: a range, if the object still has the same entity tag."""
        bucket, key = parts(url)
        goes_on = bool(body.size and body.validator)
        part = {"Range": f"bytes={body.size}-", "IfMatch": body.validator} if goes_on else {}
        try:
            response = self._ask(bucket, lambda client: client.get_object(
                Bucket=bucket, Key=key, **part))
        except _Missing as error:
            raise SourceError("there is no such object", where=self._where(bucket)) from error
        except _Changed as error:
            body.restart(None)
            raise Broken("the object changed meanwhile") from error
        length = response.get("ContentLength")
        if goes_on:
            body.expect(None if length is None else body.size + length)
        else:
            body.restart(response.get("ETag"), length)
        with self._faults(bucket, body), contextlib.closing(response["Body"]) as stream:
            for block in stream.iter_chunks(files.CHUNK):
                body.add(block)
        body.finish()

    def names(self, url: str) -> Iterator[str]:
        """The keys below a prefix that ends in a slash; markers of folders are left out."""
        bucket, prefix = parts(url)

        def listed(client: Any) -> list[str]:
            keys: list[str] = []
            until = time.monotonic() + MAX_LISTING_TIME
            for page in client.get_paginator("list_objects_v2").paginate(
                    Bucket=bucket, Prefix=prefix):
                keys += [entry["Key"] for entry in page.get("Contents", [])]
                if len(keys) > MAX_OBJECTS or time.monotonic() > until:
                    raise Exceeded(f"the server lists {len(keys)} objects, and does not come to "
                                   "an end", where=self._where(bucket))
            return keys

        for key in self._ask(bucket, listed):
            if not key.endswith("/"):
                yield key[len(prefix):]

    def _ask(self, bucket: str, ask: Callable[[Any], T]) -> T:
        """What `ask` returns, with credentials if there are any, else or then without."""
        server = self._endpoints.get(bucket)
        if server is None:
            raise SourceError("the bucket is not one that the site's config names: hosts.buckets "
                              f"can, as `{bucket}: aws` or with the URL of its S3 server; it is "
                              "then read with this machine's credentials, if there are any")
        endpoint = None if server == AWS else server
        self._network.hosts.at(bucket).wait()
        with self._faults(bucket):
            signed = client_for(endpoint, self._network, signed=True)
            if signed is not None:
                with contextlib.suppress(Denied), self._faults(bucket):
                    return ask(signed)
            return ask(client_for(endpoint, self._network, signed=False))

    @contextlib.contextmanager
    def _faults(self, bucket: str, body: Body | None = None) -> Iterator[None]:
        from botocore import exceptions
        where, host = self._where(bucket), self._network.hosts.at(bucket)
        try:
            yield
            host.answered = True
        except exceptions.ClientError as error:
            host.answered = True
            fault = _explain(error.response, where)
            if isinstance(fault, Broken) and fault.status:
                host.learn(fault.status, {})
            raise fault from error
        except exceptions.SSLError as error:
            raise SourceError("the server's certificate is not trusted; AWS_CA_BUNDLE names that "
                              "of a CA (PEM)", where=where) from error
        except exceptions.FlexibleChecksumError as error:
            if body:
                body.restart(None)
            raise Broken("the bytes do not have the checksum that the server keeps") from error
        except exceptions.ConnectionError as error:
            why = reason(getattr(error, "kwargs", {}).get("error") or error)
            raise (Broken(why) if host.answered
                   else unreachable(self._address(bucket), why)) from error
        except (exceptions.HTTPClientError, exceptions.IncompleteReadError) as error:
            cause = getattr(error, "kwargs", {}).get("error")
            if isinstance(cause, SourceError):  # refused, too much, or too slow
                raise cause from error
            raise Broken(f"the connection broke off ({type(error).__name__})") from error
        except exceptions.BotoCoreError as error:
            raise SourceError(f"S3 can't be asked: {type(error).__name__}", where=where) from error
        except RecursionError as error:  # botocore asks for the region, and is sent on again
            raise SourceError("S3 redirects without end", where=where) from error

    def _address(self, bucket: str) -> str:
        server = self._endpoints[bucket]
        return f"https://{bucket}.s3.amazonaws.com/" if server == AWS else server

    def _where(self, bucket: str) -> str:
        server = self._endpoints[bucket]
        return f"s3://{bucket} at {'AWS' if server == AWS else server}"


class _Missing(Exception):
    """There is no such object."""


class _Changed(Exception):
    """The object is not what its entity tag said, or ends before the range that was asked for."""


def parts(url: str) -> tuple[str, str]:
    """Bucket and key of an s3:// URL: nothing in it is quoted, and Nextflow takes several slashes
    for one, as they come of joining a base with a path."""
    bucket, _, key = url[len("s3://"):].partition("/")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}", bucket):
        raise SourceError("s3:// needs a bucket's name: s3://bucket/key")
    return bucket, re.sub("/+", "/", key).removeprefix("/")


def client_for(endpoint: str | None, network: Network, *, signed: bool) -> Any:
    """A client of AWS or of another server; None where it is to sign and has no credentials.

    The region is AWS's default: botocore asks again in the one that the answer names.
    """
    return network.shared.once(("s3", endpoint, network.inside, signed),
                             lambda: _client(endpoint, network, signed))


def _client(endpoint: str | None, network: Network, signed: bool) -> Any:
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config
    session = boto3.session.Session()
    if signed and session.get_credentials() is None:
        return None
    client = session.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1",
        config=Config(signature_version=None if signed else UNSIGNED,
                      s3={"addressing_style": "path" if endpoint else "auto"},
                      max_pool_connections=THREADS, connect_timeout=15, read_timeout=60,
                      retries={"mode": "standard", "total_max_attempts": 1}))
    s3_http.use(client, network.inside, connections=THREADS)
    return client


def _explain(response: Any, where: str) -> Exception:
    code = str(response.get("Error", {}).get("Code"))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in PERMANENT:
        return SourceError(f"{PERMANENT[code]} ({code})", where=where)
    if code in MISSING:
        return _Missing()
    if code in DENIED:
        return Denied(f"access is denied ({code}), with the credentials of this machine, if there "
                      "are any, and without", where=where)
    if status in (412, 416):
        return _Changed()
    if code in PASSING or status >= 500 or status == 429:
        return Broken(f"the server answers {code}", status=429 if code in TOO_FAST else status)
    return SourceError(f"the server refused: {code}", where=where)
