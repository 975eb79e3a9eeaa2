"""Signatures of requests to S3, held against AWS's own examples and against botocore's."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import pytest

from tasks.core import files
from tasks.core.store.s3_signature import quote_key, quote_query, sign

EMPTY_SHA256 = hashlib.sha256().hexdigest()


@dataclass(frozen=True, kw_only=True)
class Key:
    """Credentials; those of AWS's examples."""

    access_key: str = "AKIAIOSFODNN7EXAMPLE"
    secret_key: str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    token: str | None = None


@pytest.mark.parametrize(("method", "key", "query", "headers", "body", "signature"), [
    ("GET", "test.txt", {}, {"range": "bytes=0-9"}, b"",
     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
    ("PUT", "test$file.text", {}, {"date": "Fri, 24 May 2013 00:00:00 GMT",
                                   "x-amz-storage-class": "REDUCED_REDUNDANCY"},
     b"Welcome to Amazon S3.",
     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
    ("GET", "", {"lifecycle": ""}, {}, b"",
     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    ("GET", "", {"prefix": "J", "max-keys": "2"}, {}, b"",
     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")])
def test_the_examples_of_the_api_reference(method: str, key: str, query: dict[str, str],
                                           headers: dict[str, str], body: bytes,
                                           signature: str) -> None:
    """Amazon S3 API Reference, "Signature Calculations for the Authorization Header"."""
    signed = sign(method, "examplebucket.s3.amazonaws.com", f"/{quote_key(key)}",
                  quote_query(query), headers, sha256=files.sha256_bytes(body), credentials=Key(),
                  region="us-east-1", now=datetime(2013, 5, 24, tzinfo=timezone.utc))
    assert signed["authorization"].endswith(f"Signature={signature}")


@pytest.mark.parametrize("key", ["a/b", "a b+c~d", "ü/€", "%2F", "a//b", "x=y&z;?#", "a'(b)*!"])
@pytest.mark.parametrize("query", [{}, {"prefix": "a b/ü+&=~", "list-type": "2", "uploads": ""}])
@pytest.mark.parametrize("token", [None, "a/token+with=signs"])
def test_the_same_as_botocores(key: str, query: dict[str, str], token: str | None) -> None:
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    credentials = Credentials("access", "secret", token)
    url = f"http://host:7070/bucket/{quote_key(key)}"
    request: Any = AWSRequest("PUT", f"{url}?{quote_query(query)}" if query else url,
                              headers={"x-amz-meta-a": "b"}, data=b"")
    S3SigV4Auth(credentials, "s3", "eu-west-1").add_auth(request)
    now = datetime.strptime(request.context["timestamp"], "%Y%m%dT%H%M%SZ")
    signed = sign("PUT", "host:7070", f"/bucket/{quote_key(key)}", quote_query(query),
                  {"x-amz-meta-a": "b"}, sha256=EMPTY_SHA256, credentials=credentials,
                  region="eu-west-1", now=now)
    assert signed["authorization"].rpartition("Signature=")[2] == \
        request.headers["Authorization"].rpartition("Signature=")[2]
