"""PUT and HEAD by the thousand, at a third of the processor time that boto3 takes for each.

Credentials, signature, CA bundle and proxies are botocore's. What is answered by anything but
success is left to boto3, which knows retries, redirects and errors; its requests go by the same
connections, which bound the bytes and the time of what a server answers.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from botocore.auth import EMPTY_SHA256_HASH, S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ConnectionClosedError, HTTPClientError
from urllib3.exceptions import HTTPError

from tasks.core import files
from tasks.core.errors import StoreError
from tasks.core.net import bounds, s3_http

LARGEST = 8 * 2**20
"""Bytes of a file that is sent from memory; above it boto3's own work is a small part."""

LONGEST = 16 * 2**20
"""Bytes of an answer that is no file; a listing's page of 1,000 long keys has some 3 MB."""

PROMPT: Any = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
"""Head and body go in two pieces: without this the second waits for the first to be confirmed."""


class Direct:
    """One bucket, asked by plain signed requests. Every method tells the answer's headers, or
    None where it was no success, whatever the reason."""

    def __init__(self, session: Any, client: Any, bucket: str, *, connections: int) -> None:
        """`session` is botocore's, `client` its client for S3, which says where the bucket is."""
        asked = urlsplit(client.generate_presigned_url(
            "head_object", Params={"Bucket": bucket, "Key": "-"}))
        self._base = urlunsplit((asked.scheme, asked.netloc, asked.path.removesuffix("-"), "", ""))
        self._credentials = session.get_credentials()
        self._region = client.meta.region_name
        self._http = s3_http.session(self._base, None, connections=connections,
                                     socket_options=PROMPT)

    def put(self, key: str, data: bytes, sha256: str,
            headers: Mapping[str, str]) -> Mapping[str, str] | None:
        """Send an object whose SHA-256 is known."""
        return self._send("PUT", key, data, sha256, headers)

    def head(self, key: str) -> Mapping[str, str] | None:
        """Ask for an object's size, tag and checksum."""
        return self._send("HEAD", key, b"", EMPTY_SHA256_HASH, {"x-amz-checksum-mode": "ENABLED"})

    def _send(self, method: str, key: str, data: bytes, sha256: str,
              headers: Mapping[str, str]) -> Mapping[str, str] | None:
        request = AWSRequest(method=method, url=self._base + quote(key, safe="/~"), data=data,
                             headers=headers)
        _Signer(self._credentials.get_frozen_credentials(), self._region, sha256).add_auth(request)
        try:
            answer = self.answer(request.prepare())
        except BotoCoreError:
            return None
        return answer.headers if answer.status_code == 200 else None

    def answer(self, request: Any, **_more: Any) -> Any:
        """Send a prepared request, in botocore's place too (its event before-send).

        StoreError where the answer has more than LONGEST bytes, of a file any number, or comes
        too slowly.
        """
        is_streamed = request.stream_output
        request.stream_output = True  # or all of it would be read before it is bounded
        try:
            answer = self._http.send(request)
        except HTTPClientError as error:
            if isinstance(cause := error.kwargs.get("error"), bounds.Exceeded):
                raise _ended(self._base, cause.what) from error
            raise
        is_file = is_streamed and answer.status_code == 200
        if is_file:
            bounds.allow_large(answer.raw)
        answer.raw = _Body(answer.raw, self._base, most=None if is_file else LONGEST)
        if not is_streamed:
            _ = answer.content  # reads the body, which frees the connection
        return answer


class _Body:
    """The body of an answer, ended where it is too long or too slow; as urllib3 has it."""

    def __init__(self, raw: Any, url: str, *, most: int | None) -> None:
        self._raw, self._url, self._most = raw, url, most
        self._size = 0

    def read(self, size: int | None = None) -> bytes:
        """Some bytes, as soon as there are any; all of them where no size is given."""
        if size is None:
            return b"".join(self.stream())
        try:
            block: bytes = self._raw.read1(size)
        except HTTPError as error:
            raise ConnectionClosedError(endpoint_url=self._url, error=error) from error
        except bounds.Exceeded as error:
            self.close()
            raise _ended(self._url, error.what) from error
        self._size += len(block)
        if self._most is not None and self._size > self._most:
            self.close()
            raise _ended(self._url, f"the store sends an answer of more than "
                                    f"{files.human_size(self._most)}")
        return block

    def stream(self, size: int = files.CHUNK) -> Iterator[bytes]:
        """All of it, in pieces."""
        return iter(lambda: self.read(size), b"")

    def close(self) -> None:
        """Let go of the connection."""
        self._raw.close()


def _ended(url: str, why: str) -> StoreError:
    return StoreError(why, where=url,
                      todo="look at the network, and at who answers at store.endpoint")


class _Signer(S3SigV4Auth):
    """Signature version 4 of a body whose SHA-256 is known, so that it is not hashed again."""

    def __init__(self, credentials: Any, region: str, sha256: str) -> None:
        super().__init__(credentials, "s3", region)
        self._sha256 = sha256

    def payload(self, request: Any) -> str:
        return self._sha256
