"""Requests to one bucket: signed, bounded, tried again, and never redirected.

What answers is judged by what comes: each answer has a bound on its bytes and its time
(`tasks/core/net/bounds.py`). Credentials, regions and AWS's addresses are botocore's to know.
"""

from __future__ import annotations

import base64
import contextlib
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit
from xml.etree import ElementTree

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import AirlockError, StoreError
from tasks.core.net import bounds, certificates, s3_http
from tasks.core.store import s3_faults
from tasks.core.store.interface import THREADS
from tasks.core.store.s3_signature import quote_key, quote_query, sign

if TYPE_CHECKING:
    import urllib3

Taken = TypeVar("Taken")

ATTEMPTS = 4
"""Of a request; the pauses between them are up to 1, 2 and 4 seconds."""

MAX_ANSWER = 16 * 2**20
"""Bytes of an answer that is no file; a listing's page of 1,000 long keys has some 3 MB."""


@dataclass(frozen=True, kw_only=True)
class Body:
    """What a request brings: `read` begins anew for each attempt."""

    read: Callable[[], bytes | Iterable[bytes]]
    size: int
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> Body:
        """Return what sends these bytes."""
        return cls(read=lambda: data, size=len(data), sha256=files.sha256_bytes(data))

    @property
    def checksum(self) -> str:
        """The SHA-256 as S3 has it, in base64."""
        return base64.b64encode(bytes.fromhex(self.sha256)).decode()


NOTHING = Body.of(b"")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a bucket. Statuses in `accept` are answers, not errors."""

    method: str
    key: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body = NOTHING
    accept: tuple[int, ...] = ()

    @property
    def about(self) -> str:
        """The key, or of a listing the prefix."""
        return self.key or self.query.get("prefix", "")


@dataclass(frozen=True, kw_only=True)
class Response:
    """An answer without the body of a file."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class Bucket:
    """A bucket at an endpoint, or at AWS."""

    def __init__(self, at: StoreAt) -> None:
        self._at = at
        self._prefix = urlsplit(at.url).path.strip("/")
        self.url, self.region, self._credentials, ca_bundle = _resolve(at, self.where(""))
        self._host = urlsplit(self.url).netloc
        self._pool = _pool(self.url, ca_bundle)
        self._trusted = certificates.trusted(ca_bundle)

    def where(self, key: str) -> str:
        """The place of a key of the bucket, for errors."""
        at = f" at {self._at.endpoint}" if self._at.endpoint else ""
        short = key.removeprefix(f"{self._prefix}/")
        return f"{self._at.url.rstrip('/')}: {short}{at}"

    def answer(self, request: Request) -> Response | s3_faults.Refusal:
        """Return what the bucket answers: a success, what the request accepts, or a refusal."""
        return self._attempt(request, lambda response: Response(
            status=response.status, headers=response.headers, data=_whole(response)))

    def ask(self, request: Request) -> Response:
        """Return what the bucket answers; an AirlockError if that is a refusal."""
        return self._accepted(self.answer(request), request)

    def stream(self, key: str) -> urllib3.BaseHTTPResponse:
        """Return a file's answer, of which the head alone has been read; the caller closes it."""
        request = Request(method="GET", key=key)
        response = self._accepted(self._attempt(request, lambda response: response), request)
        bounds.allow_large(response)
        return response

    def explain(self, refusal: s3_faults.Refusal, key: str) -> AirlockError:
        """Return the error to raise for a refusal."""
        return s3_faults.explain(refusal, self.where(key), self._at, self.region)

    def _accepted(self, answer: Taken | s3_faults.Refusal, request: Request) -> Taken:
        if isinstance(answer, s3_faults.Refusal):
            raise self.explain(answer, request.about)
        return answer

    def blocks(self, response: urllib3.BaseHTTPResponse, key: str) -> Iterator[bytes]:
        """A file's bytes as they come."""
        from urllib3.exceptions import HTTPError
        try:
            yield from response.stream(files.CHUNK, decode_content=False)
        except HTTPError as error:
            raise s3_faults.explain_break(error, self.where(key)) from error
        except bounds.Exceeded as error:
            raise s3_faults.explain_excess(error, self.where(key)) from error

    def _attempt(self, request: Request,
                 take: Callable[[urllib3.BaseHTTPResponse], Taken]) -> Taken | s3_faults.Refusal:
        """Return what is taken of a wanted answer, or the refusal of the last attempt."""
        from urllib3.exceptions import HTTPError
        where = self.where(request.about)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = self._try(request)
                if response.status in (200, 204, *request.accept):
                    return take(response)
                refusal = _refusal(response)
            except HTTPError as error:
                if attempt == ATTEMPTS or s3_faults.is_untrusted(error):
                    raise s3_faults.explain_connection(error, where, self._trusted) from error
            except bounds.Exceeded as error:
                raise s3_faults.explain_excess(error, where) from error
            else:
                if attempt == ATTEMPTS or not refusal.is_passing:
                    return refusal
            time.sleep(random.uniform(0, 2 ** (attempt - 1)))  # noqa: S311 - no secret
        raise AssertionError

    def _try(self, request: Request) -> urllib3.BaseHTTPResponse:
        url, body = self.url + quote_key(request.key), request.body
        query = quote_query(request.query)
        headers = sign(request.method, self._host, urlsplit(url).path, query, request.headers,
                       sha256=body.sha256, credentials=self._frozen(request.about),
                       region=self.region, now=datetime.now(timezone.utc))
        if request.method in ("PUT", "POST"):
            headers["content-length"] = str(body.size)
        return self._pool.urlopen(request.method, f"{url}?{query}" if query else url,
                                  headers=headers, body=body.read() or None, redirect=False,
                                  retries=False, preload_content=False)

    def _frozen(self, key: str) -> Any:
        """The credentials of now: botocore fetches new ones before they end."""
        from botocore.exceptions import BotoCoreError
        try:
            return self._credentials.get_frozen_credentials()
        except BotoCoreError as error:
            raise s3_faults.explain_settings(error, self.where(key)) from error

    def parse(self, data: bytes, key: str) -> ElementTree.Element:
        """The XML of an answer; StoreError where it is none."""
        try:
            return _parse(data)
        except ElementTree.ParseError as error:
            raise StoreError("the store answers what is no XML", where=self.where(key),
                             todo="look at who answers at store.endpoint") from error


def _whole(response: urllib3.BaseHTTPResponse) -> bytes:
    """The body of an answer that is no file; frees the connection. Exceeded where it is too long.
    """
    data = bytearray()
    try:
        for block in response.stream(files.CHUNK, decode_content=False):
            data += block
            if len(data) > MAX_ANSWER:
                raise bounds.Exceeded("the store sends an answer of more than "
                                      f"{files.human_size(MAX_ANSWER)}")
    except BaseException:
        response.close()
        raise
    response.release_conn()
    return bytes(data)


def _refusal(response: urllib3.BaseHTTPResponse) -> s3_faults.Refusal:
    fields: dict[str, str] = {}
    data = _whole(response)
    with contextlib.suppress(ElementTree.ParseError):  # a balancer's page, or nothing
        fields = dict(texts(_parse(data)))
    return s3_faults.Refusal(
        status=response.status, code=fields.get("Code", ""), message=fields.get("Message", ""),
        region=response.headers.get("x-amz-bucket-region") or fields.get("Region"))


def _parse(data: bytes) -> ElementTree.Element:
    if b"<!DOCTYPE" in data:  # S3 has none; entities could grow beyond all bounds
        raise ElementTree.ParseError
    return ElementTree.fromstring(data)  # noqa: S314 - without entities


def texts(element: ElementTree.Element) -> Iterator[tuple[str, str]]:
    """Name and text of an element's children, whatever their namespace."""
    for child in element:
        yield child.tag.rpartition("}")[2], child.text or ""


def _pool(url: str, ca_bundle: str | None) -> urllib3.PoolManager:
    try:
        return s3_http.pool(url, ca_bundle, connections=THREADS)
    except OSError as error:
        raise StoreError(f"the file of trusted certificates can't be read: {error}",
                         where=ca_bundle, todo="have it be readable, and certificates in PEM form, "
                                               "or correct AWS_CA_BUNDLE") from error


def _resolve(at: StoreAt, where: str) -> tuple[str, str, Any, str | None]:
    """The bucket's URL, its region, what hands out credentials, and the file of trusted CAs."""
    import botocore.session
    from botocore.exceptions import BotoCoreError
    try:
        session = botocore.session.get_session()
        credentials = session.get_credentials()
        if credentials is None:
            raise s3_faults.no_credentials(where)
        url, region = _address(at, session)
        return url, region, credentials, s3_http.ca_bundle(session)
    except BotoCoreError as error:
        raise s3_faults.explain_settings(error, where) from error


def _address(at: StoreAt, session: Any) -> tuple[str, str]:
    """The bucket's URL and region; without an endpoint as botocore knows them of AWS."""
    bucket = urlsplit(at.url).netloc
    if at.endpoint:
        return f"{at.endpoint.rstrip('/')}/{bucket}/", at.region or "us-east-1"
    from botocore.config import Config
    own = session.get_scoped_config().get("s3", {})
    client = session.create_client("s3", region_name=at.region, config=Config(
        # The default style would have it presign for the one address of all regions.
        signature_version="s3v4", s3={"addressing_style": own.get("addressing_style", "virtual")}))
    url = client.generate_presigned_url("head_object", Params={"Bucket": bucket, "Key": "-"})
    return url.partition("?")[0].removesuffix("-"), client.meta.region_name
