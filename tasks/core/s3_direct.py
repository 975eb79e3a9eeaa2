"""PUT and HEAD by the thousand, at a third of the processor time that boto3 takes for each.

Credentials, signature, CA bundle and proxies are botocore's. What is answered by anything but
success is left to boto3, which knows retries, redirects and errors.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from botocore import utils
from botocore.auth import EMPTY_SHA256_HASH, S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session

LARGEST = 8 * 2**20
"""Bytes of a file that is sent from memory; above it boto3's own work is a small part."""

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
        self._http = URLLib3Session(
            verify=session.get_config_variable("ca_bundle") or True,
            proxies=utils.get_environ_proxies(self._base), timeout=60,
            max_pool_connections=connections, socket_options=PROMPT)

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
            answer = self._http.send(request.prepare())
            _ = answer.content  # reads the body, which frees the connection
        except BotoCoreError:
            return None
        return answer.headers if answer.status_code == 200 else None


class _Signer(S3SigV4Auth):
    """Signature version 4 of a body whose SHA-256 is known, so that it is not hashed again."""

    def __init__(self, credentials: Any, region: str, sha256: str) -> None:
        super().__init__(credentials, "s3", region)
        self._sha256 = sha256

    def payload(self, request: Any) -> str:
        return self._sha256
