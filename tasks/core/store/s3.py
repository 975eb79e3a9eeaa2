"""A bucket as the store."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os.path
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus, urlsplit
from xml.sax.saxutils import escape

from tasks.core import files
from tasks.core.config.settings import StoreAt
from tasks.core.errors import IntegrityError, StoreError
from tasks.core.parsing import whole_number
from tasks.core.store.interface import (
    Stored,
    is_blob,
    is_immutable,
    refuse_changed,
    take,
    within,
)
from tasks.core.store.s3_client import Body, Bucket, Request, Response, texts
from tasks.core.store.s3_faults import Refusal, explain

MAX_SINGLE = 5 * 10**9
"""The largest file that goes in one PutObject, in bytes (S3 allows 5 GiB)."""

PART_SIZE = 256 * 2**20
"""Bytes of a part above that; 10,000 parts are allowed, so 2.6 TB."""

MAX_HEADS = 50
"""Keys that are asked for one by one at most; that costs as much as a listing's page of 1,000."""

MAX_PAGES = 5000
"""Pages of a listing, 1,000 keys each; a server may go on without end."""

CHECKSUM = "x-amz-checksum-sha256"


class S3Store:
    """A bucket. Each file is sent with its SHA-256, which the server checks and keeps.

    SHA-256 has no full-object form for multipart uploads, so above `single` bytes each part is
    sent with its own, and the file's stands in the object's metadata; the file is hashed once more
    while the parts are, and the upload is abandoned if it differs. Files are read as they are
    sent, so each transfer holds no more than a block in memory.
    """

    def __init__(self, at: StoreAt, *, single: int = MAX_SINGLE, part: int = PART_SIZE) -> None:
        self.url = at.url.rstrip("/")
        self._prefix = urlsplit(at.url).path.strip("/")
        self._single, self._part = single, part
        self._bucket = Bucket(at)
        self._bucket_exists = False

    def _key(self, key: str) -> str:
        files.inside(Path(), key)
        return f"{self._prefix}/{key}" if self._prefix else key

    def head(self, key: str) -> Stored | None:
        response = self._bucket.ask(Request(method="HEAD", key=self._key(key), accept=(403, 404),
                                            headers={"x-amz-checksum-mode": "ENABLED"}))
        if response.status in (403, 404):
            # The answer to HEAD has no body, so no error code: a listing says which it is.
            if response.status == 403 or not self._bucket_exists:
                self._list_page({"prefix": self._key(key), "max-keys": "1"})
                self._bucket_exists = True
            if response.status == 404:
                return None
            raise explain(Refusal(status=403), self._bucket.where(key))
        size = whole_number(response.headers.get("Content-Length", ""))
        if size is None:
            raise StoreError("the store doesn't say how large a file is",
                             where=self._bucket.where(self._key(key)),
                             todo="look at who answers at store.endpoint")
        return Stored(key=key, size=size, tag=response.headers.get("ETag"),
                      sha256=_sha256(response.headers.get(CHECKSUM, ""),
                                     response.headers.get("x-amz-meta-sha256")))

    def put(self, key: str, path: Path, sha256: str) -> str | None:
        size = path.stat().st_size
        if size > self._single:
            self._put_parts(key, path, sha256)
            return None
        body = Body(read=partial(_read, path, 0, size), size=size, sha256=sha256)
        return self._put(key, body)

    def put_bytes(self, key: str, data: bytes) -> None:
        self._put(key, Body.of(data))

    def _put(self, key: str, body: Body) -> str | None:
        """Send an object whole; its tag, if the server says that it has checked the bytes."""
        response = self._create(key, body.sha256, lambda headers, accept: self._bucket.ask(Request(
            method="PUT", key=self._key(key), body=body, headers={**_checked(body), **headers},
            accept=accept)))
        if response is None or response.headers.get(CHECKSUM) != body.checksum:
            return None
        return response.headers.get("ETag")

    def _create(self, key: str, sha256: str,
                ask: Callable[[Mapping[str, str], tuple[int, ...]], Response]) -> Response | None:
        """Make an object, by a request with some headers; None where its bytes are there already.

        What never changes is only made where nothing is: a bucket's policy may demand that. Where
        another push was quicker with a blob, or an answer was lost, its bytes are the same; a
        damaged one is replaced if the bucket lets it.
        """
        if not (is_immutable(key) or is_blob(key)):
            return ask({}, ())
        response = ask({"if-none-match": "*"}, (412,) if is_blob(key) else ())
        if response.status != 412:
            return response
        held = self.head(key)
        if held is not None and held.sha256 == sha256:
            return None
        response = ask({}, (403,))
        if response.status == 403:
            raise StoreError("the store holds this file with other bytes, and the bucket doesn't "
                             "let it be replaced", where=self._bucket.where(key),
                             todo="have the bucket's administrator look at it and remove it")
        return response

    def _put_parts(self, key: str, path: Path, sha256: str) -> None:
        def ask(method: str, **more: Any) -> Response:
            return self._bucket.ask(Request(method=method, key=self._key(key), **more))

        begun = ask("POST", query={"uploads": ""}, headers={
            "x-amz-checksum-algorithm": "SHA256", "x-amz-meta-sha256": sha256})
        upload = dict(texts(self._bucket.parse(begun.data, key))).get("UploadId", "")
        try:
            parts = []
            for number, body in enumerate(_parts(path, self._part, sha256), start=1):
                sent = ask("PUT", query={"partNumber": str(number), "uploadId": upload},
                           headers=_checked(body), body=body)
                tag = escape(sent.headers.get("ETag", ""))
                parts.append(f"<Part><PartNumber>{number}</PartNumber><ChecksumSHA256>"
                             f"{body.checksum}</ChecksumSHA256><ETag>{tag}</ETag></Part>")
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
            take(self._bucket.blocks(response, key), writer, most=most, where=f"{self.url}: {key}")

    def list(self, prefix: str) -> Sequence[str]:
        root = f"{self._prefix}/" if self._prefix else ""
        return within(prefix, (entry["Key"].removeprefix(root)
                               for entries, _ in self._pages(root + prefix) for entry in entries))

    def tags(self, keys: Collection[str]) -> Mapping[str, Stored] | None:
        """By a listing of the folder that they share; None for a few, or among too many others."""
        if len(keys) < MAX_HEADS:
            return None
        wanted = {self._key(key): key for key in keys}
        folder = os.path.commonpath([key.rpartition("/")[0] for key in wanted])
        stored: dict[str, Stored] = {}
        for number, (entries, more) in enumerate(self._pages(folder and f"{folder}/"), start=1):
            stored |= {key: Stored(key=key, size=int(entry["Size"]), sha256=None,
                                   tag=entry.get("ETag"))
                       for entry in entries if (key := wanted.get(entry["Key"]))}
            if more and number * MAX_HEADS > len(keys):
                return None
        return stored

    def _pages(self, prefix: str) -> Iterator[tuple[Sequence[Mapping[str, str]], str | None]]:
        """The entries of a listing by pages, each with the token of the next one."""
        query = {"prefix": prefix}
        for _ in range(MAX_PAGES):
            entries, token = self._list_page(query)
            yield entries, token
            if not token:
                return
            query["continuation-token"] = token
        raise StoreError(f"a listing has more than {MAX_PAGES} pages", where=self.url,
                         todo="look at who answers at store.endpoint")

    def _list_page(self, query: Mapping[str, str]) -> tuple[Sequence[dict[str, str]], str | None]:
        response = self._bucket.ask(Request(method="GET", query={
            "list-type": "2", "encoding-type": "url", **query}))
        page = self._bucket.parse(response.data, query["prefix"])
        fields = dict(texts(page))
        entries = [dict(texts(child)) for child in page if child.tag.endswith("Contents")]
        for entry in entries:
            if "Key" not in entry or whole_number(entry.get("Size", "")) is None:
                raise StoreError("the store lists a file without key or size", where=self.url,
                                 todo="look at who answers at store.endpoint")
            if fields.get("EncodingType") == "url":
                entry["Key"] = unquote_plus(entry["Key"])
        token = fields.get("NextContinuationToken")
        return entries, token if fields.get("IsTruncated") == "true" else None


def _read(path: Path, start: int, size: int) -> bytes | Iterator[bytes]:
    """`size` bytes of a file from `start` on: all at once where they are few, else block by block.
    """
    if size <= files.CHUNK:
        with path.open("rb") as reader:
            reader.seek(start)
            return reader.read(size)
    return _blocks(path, start, size)


def _blocks(path: Path, start: int, size: int) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as reader:
        reader.seek(start)
        while size > 0:
            block = reader.read(min(size, files.CHUNK))
            if not block:
                raise IntegrityError("a file became shorter while it was sent", where=path,
                                     todo="remove it, so that the step that makes it runs again")
            size -= len(block)
            yield block


def _parts(path: Path, part: int, sha256: str) -> Iterator[Body]:
    """The parts of a file; IntegrityError after the last one unless all have its SHA-256."""
    whole, size = hashlib.sha256(), path.stat().st_size
    for start in range(0, size, part):
        length = min(part, size - start)
        digest = hashlib.sha256()
        for block in _blocks(path, start, length):
            whole.update(block)
            digest.update(block)
        yield Body(read=partial(_read, path, start, length), size=length,
                   sha256=digest.hexdigest())
    refuse_changed(whole.hexdigest(), sha256, path)


def _checked(body: Body) -> dict[str, str]:
    """Have the server check a body; some keep the checksum only where its algorithm is named."""
    return {CHECKSUM: body.checksum, "x-amz-sdk-checksum-algorithm": "SHA256"}


def _sha256(checksum: str, noted: str | None) -> str | None:
    """The SHA-256 that the server checked, or where the file came in parts, the one noted."""
    if "-" in checksum:
        return noted
    try:
        return base64.b64decode(checksum, validate=True).hex() or None
    except ValueError:
        return None
