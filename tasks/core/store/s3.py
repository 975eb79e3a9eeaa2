"""A bucket as the store."""

from __future__ import annotations

import contextlib
import hashlib
import os.path
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import AirlockError, StoreError
from tasks.core.parallel import run_all
from tasks.core.parsing import whole_number
from tasks.core.process_shared import Shared
from tasks.core.store import s3_listing
from tasks.core.store.interface import (
    THREADS,
    Entry,
    NotDeletable,
    Overtaken,
    Stored,
    difference,
    is_blob,
    is_immutable,
    take,
    within,
)
from tasks.core.store.s3_bodies import file_body, file_parts
from tasks.core.store.s3_checksums import (
    CHECKSUM,
    checksum_headers,
    kept_sha256,
    part_headers,
    upload_headers,
    wants_checksum,
)
from tasks.core.store.s3_client import Body, Bucket, Request, Response, texts
from tasks.core.store.s3_encryption import (
    ALGORITHM,
    encryption_fault,
    encryption_headers,
    refuse_other_encryption,
)
from tasks.core.store.s3_faults import Refusal
from tasks.core.store.s3_probe import PROBE, Kept, probe, refused_checksums

MAX_SINGLE = 5 * 10**9
"""The largest file that goes in one PutObject, in bytes (S3 allows 5 GiB)."""

PART_SIZE = 256 * 2**20
"""Bytes of a part above that; 10,000 parts are allowed, so 2.6 TB."""

MAX_HEADS = 50
"""Keys that are asked for one by one at most; that costs as much as a listing's page of 1,000."""

_probed = Shared()
"""What a store's probe showed, once for each store of a process."""


class S3Store:
    """A bucket. Each file is sent with its SHA-256, which the server checks and keeps.

    SHA-256 has no full-object form for multipart uploads, so above `single` bytes each part is
    sent with its own, and the file's stands in the object's metadata; the file is hashed once more
    while the parts are, and the upload is abandoned if it differs. Files are read as they are
    sent, so each transfer holds no more than a block in memory.

    A server that keeps no checksums has the SHA-256 in the metadata of each object, which is read
    in full and hashed where its bytes have to be known. Before the first put of a process a
    probe shows which promises the server keeps.
    """

    def __init__(self, at: StoreAt, *, single: int = MAX_SINGLE, part: int = PART_SIZE) -> None:
        self.url = at.url.rstrip("/")
        self._at = at
        self._prefix = urlsplit(at.url).path.strip("/")
        self._single, self._part = single, part
        self._bucket = Bucket(at)
        self._bucket_exists = False
        self._kept: Kept | AirlockError | None = None
        self._lock = threading.Lock()
        self._sent: set[str] = set()

    def _key(self, key: str) -> str:
        files.inside(Path(), key)
        return f"{self._prefix}/{key}" if self._prefix else key

    def _promises(self) -> Kept:
        """What the probe showed, before the first put; StoreError where a promise isn't kept."""
        with self._lock:
            if self._kept is None:
                try:
                    self._kept = _probed.once(self._at, lambda: probe(
                        self._bucket, self._key(PROBE), self._at))
                except AirlockError as error:
                    self._kept = error
        if isinstance(self._kept, AirlockError):
            raise self._kept
        return self._kept

    def head(self, key: str) -> Stored | None:
        response = self._head(key, wants_checksum(self._at))
        if response.status in (403, 404):
            # The answer to HEAD has no body, so no error code: a listing says which it is.
            if response.status == 403 or not self._bucket_exists:
                s3_listing.page(self._bucket, {"prefix": self._key(key), "max-keys": "1"})
                self._bucket_exists = True
            if response.status == 404:
                return None
            raise self._bucket.explain(Refusal(status=403), self._key(key))
        size = whole_number(response.headers.get("Content-Length", ""))
        if size is None:
            raise StoreError("the store doesn't say how large a file is",
                             where=self._bucket.where(self._key(key)),
                             todo="look at who answers at store.endpoint")
        return Stored(key=key, size=size, tag=response.headers.get("ETag"),
                      sha256=(kept_sha256(response.headers) if self._at.has_checksums
                              else self._hash(key, size)),
                      fault=self._encryption_fault(key, response))

    def _head(self, key: str, headers: Mapping[str, str]) -> Response:
        def ask(headers: Mapping[str, str]) -> Response | Refusal:
            return self._bucket.answer(Request(method="HEAD", key=self._key(key), headers=headers,
                                               accept=(403, 404)))

        response = ask(headers)
        if isinstance(response, Refusal):
            if headers and response.is_unsupported and isinstance(ask({}), Response):
                raise refused_checksums(response, self._bucket.where(self._key(key)))
            if not (response.code or response.is_passing):  # an answer to HEAD has no words
                s3_listing.page(self._bucket, {"prefix": self._key(key), "max-keys": "1"})
            raise self._bucket.explain(response, self._key(key))
        return response

    def _hash(self, key: str, size: int) -> str:
        """The SHA-256 of an object's bytes, of which there may be `size`."""
        digest = hashlib.sha256()
        with contextlib.closing(self._bucket.stream(self._key(key))) as response:
            take(self._bucket.blocks(response, key), digest.update, most=size,
                 where=f"{self.url}: {key}")
        return digest.hexdigest()

    def _encryption_fault(self, key: str, answer: Response) -> str | None:
        """What is wrong with an object's encryption. What was sent has the key that the probe got.

        What was there before may have the key that an alias stood for then.
        """
        resolved = self._promises().kms_key if key in self._sent else None
        return encryption_fault(self._at, answer.headers, resolved)

    def put(self, key: str, path: Path, sha256: str) -> str | None:
        self._promises()
        size = path.stat().st_size
        if size > self._single:
            self._put_parts(key, path, sha256)
            return None
        return self._put(key, file_body(path, size, sha256))

    def put_bytes(self, key: str, data: bytes) -> None:
        self._promises()
        self._put(key, Body.of(data))

    def replace(self, key: str, data: bytes, before: bytes | None) -> None:
        """By If-Match or If-None-Match, where the store knows conditions."""
        self._promises()
        held, tag = self._content(key)
        if held != before:
            raise Overtaken(f"{self.url}: {key}")
        body = Body.of(data)
        condition = {"if-none-match": "*"} if tag is None else {"if-match": tag}
        response = self._bucket.ask(Request(method="PUT", key=self._key(key), body=body, headers={
            **checksum_headers(body, self._at), **encryption_headers(self._at),
            **(condition if self._at.is_conditional else {})}, accept=(412,)))
        # An attempt whose answer was lost may have written it.
        if response.status == 412 and self._content(key)[0] != data:
            raise Overtaken(f"{self.url}: {key}")

    def _content(self, key: str) -> tuple[bytes | None, str | None]:
        """A small file's bytes and tag; None twice where it isn't there."""
        response = self._bucket.ask(Request(method="GET", key=self._key(key), accept=(404,)))
        if response.status == 404:
            return None, None
        return response.data, response.headers.get("ETag")

    def _put(self, key: str, body: Body) -> str | None:
        """Send an object whole; its tag, if the server says that it has checked the bytes.

        And where an encryption was asked for, that it has used it.
        """
        headers = {**checksum_headers(body, self._at), **encryption_headers(self._at)}
        response = self._create(key, body.sha256, lambda condition, accept: self._bucket.ask(
            Request(method="PUT", key=self._key(key), body=body, headers={**headers, **condition},
                    accept=accept)))
        if response is None or not self._is_encrypted(key, response):
            return None
        return (response.headers.get("ETag") if response.headers.get(CHECKSUM) == body.checksum
                else None)

    def _is_encrypted(self, key: str, answer: Response) -> bool:
        """Whether the answer to a put names the encryption; StoreError if it names another."""
        self._sent.add(key)
        fault = self._encryption_fault(key, answer)
        if fault and ALGORITHM in answer.headers:
            raise refuse_other_encryption(fault, self._bucket.where(self._key(key)))
        return fault is None

    def _create(self, key: str, sha256: str,
                ask: Callable[[Mapping[str, str], tuple[int, ...]], Response]) -> Response | None:
        """Make an object, by a request with some headers; None where its bytes are there already.

        What never changes is only made where nothing is: a bucket's policy may demand that. Where
        another push was quicker with a blob, or an answer was lost, its bytes are the same; a
        damaged one is replaced if the bucket lets it.
        """
        if is_immutable(key) and not self._at.is_conditional and self.head(key) is not None:
            raise self._bucket.explain(Refusal(status=412), self._key(key))
        if not (self._at.is_conditional and (is_immutable(key) or is_blob(key))):
            return ask({}, ())
        response = ask({"if-none-match": "*"}, (412,) if is_blob(key) else ())
        if response.status != 412:
            return response
        held = self.head(key)
        if held is not None and held.sha256 == sha256 and not held.fault:
            return None
        response = ask({}, (403,))
        if response.status == 403:
            differs = held and difference(held, replace(held, sha256=sha256, fault=None))
            raise StoreError("the store holds this file otherwise, and the bucket doesn't let it "
                             f"be replaced: {differs}", where=self._bucket.where(self._key(key)),
                             todo="have the bucket's administrator look at it and remove it")
        return response

    def _put_parts(self, key: str, path: Path, sha256: str) -> None:
        def ask(method: str, **more: Any) -> Response:
            return self._bucket.ask(Request(method=method, key=self._key(key), **more))

        begun = ask("POST", query={"uploads": ""}, headers={
            **upload_headers(sha256, self._at), **encryption_headers(self._at)})
        upload = dict(texts(self._bucket.parse(begun.data, key))).get("UploadId", "")
        try:
            self._is_encrypted(key, begun)
            parts = []
            for number, body in enumerate(file_parts(path, self._part, sha256), start=1):
                sent = ask("PUT", query={"partNumber": str(number), "uploadId": upload},
                           headers=part_headers(body, self._at), body=body)
                checksum = (f"<ChecksumSHA256>{body.checksum}</ChecksumSHA256>"
                            if self._at.has_checksums else "")
                tag = escape(sent.headers.get("ETag", ""))
                parts.append(f"<Part><PartNumber>{number}</PartNumber>{checksum}"
                             f"<ETag>{tag}</ETag></Part>")
            data = f"<CompleteMultipartUpload>{''.join(parts)}</CompleteMultipartUpload>".encode()
            ended = self._create(key, sha256, lambda headers, accept: ask(
                "POST", query={"uploadId": upload}, headers=headers, body=Body.of(data),
                accept=accept))
            if ended is None:
                ask("DELETE", query={"uploadId": upload})
                return
            result = self._bucket.parse(ended.data, key)
            if result.tag.rpartition("}")[2] == "Error":  # found once 200 was under way
                raise StoreError(f"the store did not put the parts together: "
                                 f"{dict(texts(result)).get('Code')}",
                                 where=self._bucket.where(key), todo="run this again")
        except BaseException:
            with contextlib.suppress(StoreError):
                ask("DELETE", query={"uploadId": upload})
            raise

    def get(self, key: str, path: Path, *, most: int) -> None:
        with contextlib.closing(self._bucket.stream(self._key(key))) as response, \
                files.atomic(path) as writer:
            take(self._bucket.blocks(response, key), writer.write, most=most,
                 where=f"{self.url}: {key}")

    def list(self, prefix: str) -> Sequence[str]:
        root = f"{self._prefix}/" if self._prefix else ""
        return within(prefix, (entry["Key"].removeprefix(root) for entries, _ in
                               s3_listing.pages(self._bucket, root + prefix) for entry in entries))

    def tags(self, keys: Collection[str]) -> Mapping[str, Stored] | None:
        """By a listing of the folder that they share; None for a few, or among too many others."""
        if len(keys) < MAX_HEADS:
            return None
        wanted = {self._key(key): key for key in keys}
        folder = os.path.commonpath([key.rpartition("/")[0] for key in wanted])
        stored: dict[str, Stored] = {}
        pages = s3_listing.pages(self._bucket, folder and f"{folder}/")
        for number, (entries, more) in enumerate(pages, start=1):
            stored |= {key: Stored(key=key, size=int(entry["Size"]), sha256=None,
                                   tag=entry.get("ETag"))
                       for entry in entries if (key := wanted.get(entry["Key"]))}
            if more and number * MAX_HEADS > len(keys):
                return None
        return stored

    def sizes(self, keys: Collection[str]) -> Mapping[str, int]:
        listing = self.tags(keys)
        if listing is not None:
            return {key: stored.size for key, stored in listing.items()}
        sizes = zip(sorted(keys), run_all(self._size, sorted(keys), threads=THREADS), strict=True)
        return {key: size for key, size in sizes if size is not None}

    def _size(self, key: str) -> int | None:
        response = self._head(key, {})
        if response.status == 403:
            raise self._bucket.explain(Refusal(status=403), self._key(key))
        return None if response.status == 404 else whole_number(
            response.headers.get("Content-Length", ""))

    def entries(self, prefix: str) -> Iterator[Entry]:
        root = f"{self._prefix}/" if self._prefix else ""
        for entries, _ in s3_listing.pages(self._bucket, root + prefix):
            for entry in entries:
                yield Entry(key=entry["Key"].removeprefix(root), size=int(entry["Size"]),
                            modified=s3_listing.time(self._bucket, entry))

    def delete(self, key: str) -> bool:
        answer = self._bucket.answer(Request(method="DELETE", key=self._key(key), accept=(404,)))
        if isinstance(answer, Response):
            return answer.headers.get("x-amz-delete-marker") == "true"
        if answer.is_denied or answer.is_unsupported:
            raise NotDeletable(f"the store doesn't let this be deleted ({answer.summary})",
                               where=self._bucket.where(self._key(key)),
                               todo="work as a role that may delete (aws.roles.admin)")
        raise self._bucket.explain(answer, self._key(key))
