"""Whom a bucket's client asks, as whom, by which way, and when it asks again."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import HostError, StoreError
from tasks.core.store import s3_client
from tasks.core.store.interface import Stored
from tasks.core.store.store import open_store
from tasks.data.bucket import Buckets
from tests.kit import tls
from tests.kit.web import Quiet, Server, near, running

CA_VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
PAGE = b"<html><br>Bad gateway"
HELD = Stored(key="key", size=3, sha256=None)


class Recording(Quiet):
    """Notes each request, and answers with the statuses of the server's list, then with 200."""

    server: Any

    def do_HEAD(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        self.send_response(status)
        if status == 307:
            self.send_header("Location", self.server.elsewhere)
        body = PAGE if status == 502 else b""
        self.send_header("Content-Length", "3" if status == 200 else str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.do_HEAD()
        if not self.server.cuts:
            self.wfile.write(b"abc")
        else:
            self.server.cuts -= 1
            self.close_connection = True


@contextmanager
def recording(tls: tuple[Path, Path] | None = None) -> Iterator[Any]:
    server: Any = Server(Recording, tls=tls)
    server.requests, server.statuses, server.cuts = [], [], 0
    with running(server):
        yield server


@pytest.fixture
def server() -> Iterator[Any]:
    with recording() as recorder:
        yield recorder


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "access")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in CA_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("random.uniform", lambda low, high: 0)


def head(url: str) -> Stored | None:
    return open_store(StoreAt(url="s3://bucket", endpoint=url, region="here")).head("key")


def key_of(request: tuple[str, dict[str, str]]) -> str:
    """The access key of a request's signature."""
    return request[1]["authorization"].partition("Credential=")[2].partition("/")[0]


def profile(tmp_path: Path, *lines: str) -> None:
    (tmp_path / "config").write_text("\n".join(("[profile named]", *lines, "")))


def without_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_PROFILE", "named")


def test_a_session_token_goes_along_signed(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "the token")
    assert head(server.url) == HELD
    headers = server.requests[0][1]
    assert headers["x-amz-security-token"] == "the token"
    assert "x-amz-security-token" in headers["authorization"].partition("SignedHeaders=")[2]


def test_credentials_of_a_profile(server: Any, monkeypatch: pytest.MonkeyPatch,
                                  tmp_path: Path) -> None:
    profile(tmp_path, "aws_access_key_id = of-profile", "aws_secret_access_key = secret")
    without_key(monkeypatch)
    assert head(server.url) == HELD
    assert key_of(server.requests[0]) == "of-profile"


def test_credentials_that_end_are_fetched_anew(server: Any, monkeypatch: pytest.MonkeyPatch,
                                               tmp_path: Path) -> None:
    """As those of SSO, roles and instances are, which botocore treats alike."""
    issue = tmp_path / "issue.py"
    issue.write_text(
        "import datetime, json, pathlib\n"
        f"count = pathlib.Path({str(tmp_path / 'count')!r})\n"
        "number = int(count.read_text()) + 1 if count.exists() else 1\n"
        "count.write_text(str(number))\n"
        "end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=5)\n"
        "print(json.dumps({'Version': 1, 'AccessKeyId': f'key{number}', 'SecretAccessKey': 's',\n"
        "                  'SessionToken': 't', 'Expiration': end.isoformat()}))\n")
    profile(tmp_path, f"credential_process = {sys.executable} {issue}")
    without_key(monkeypatch)
    store = open_store(StoreAt(url="s3://bucket", endpoint=server.url, region="here"))
    store.head("key")
    store.head("key")
    first, second = map(key_of, server.requests)
    assert int(first.removeprefix("key")) < int(second.removeprefix("key"))


def test_credentials_that_can_not_be_had(server: Any, monkeypatch: pytest.MonkeyPatch,
                                         tmp_path: Path) -> None:
    profile(tmp_path, "credential_process = false")
    without_key(monkeypatch)
    with pytest.raises(StoreError, match="credentials for the store can't be had"):
        head(server.url)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(StoreError, match="no credentials"):
        head(server.url)


@pytest.mark.parametrize("variable", CA_VARIABLES)
def test_a_private_ca(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    ca, certificate, key = tls.certificates(tmp_path / "tls")
    with recording((certificate, key)) as server:
        with pytest.raises(StoreError, match="certificate is not trusted"):
            head(server.url)
        monkeypatch.setenv(variable, str(ca))
        assert head(server.url) == HELD
    broken = tmp_path / "broken"
    broken.write_text("no certificate")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(broken))
    with pytest.raises(StoreError, match="trusted certificates can't be read") as caught:
        head(server.url)
    assert str(broken) in str(caught.value)


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "ca_bundle"])
def test_a_missing_file_of_cas_is_named_with_who_names_it(
        server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    missing = tmp_path / "missing.pem"
    if variable == "ca_bundle":
        profile(tmp_path, f"ca_bundle = {missing}")
        monkeypatch.setenv("AWS_PROFILE", "named")
    else:
        monkeypatch.setenv(variable, str(missing))
    with pytest.raises(HostError, match=f"missing; {variable}") as caught:
        head(server.url)
    assert str(missing) in str(caught.value)
    with pytest.raises(HostError, match=str(missing)):
        Buckets({"reads": server.url}, near()).look("s3://reads/key")


def test_a_missing_file_that_openssl_passes_over_is_named(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, certificate, key = tls.certificates(tmp_path / "tls")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    with recording((certificate, key)) as server, pytest.raises(
            StoreError, match=r"not trusted by .*SSL_CERT_FILE \(.*missing\.pem, which is missing"):
        head(server.url)


def test_a_proxy_is_asked_unless_the_host_is_left_out(
        server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url.replace("//", "//user:password@"))
    assert head("http://store.example") == HELD
    assert server.requests[0][0] == "http://store.example/bucket/key"
    assert server.requests[0][1]["host"] == "store.example"
    assert server.requests[0][1]["proxy-authorization"].startswith("Basic ")
    monkeypatch.setenv("no_proxy", "store.example")
    with pytest.raises(StoreError, match="no connection"):
        head("http://store.example")
    assert len(server.requests) == 1


@pytest.mark.parametrize(("region", "url"), [
    ("eu-central-1", "https://bucket.s3.eu-central-1.amazonaws.com/"),
    ("cn-north-1", "https://bucket.s3.cn-north-1.amazonaws.com.cn/")])
def test_the_address_of_a_bucket_at_aws(region: str, url: str) -> None:
    bucket = s3_client.Bucket(StoreAt(url="s3://bucket/prefix", region=region))
    assert (bucket.url, bucket.region) == (url, region)


def test_an_endpoint_that_boto3_would_know(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
    bucket = s3_client.Bucket(StoreAt(url="s3://bucket", region="here"))
    assert bucket.url == f"{server.url}/bucket/"


def test_what_passes_is_asked_again(server: Any) -> None:
    server.statuses = [503, 500, 429]
    assert head(server.url) == HELD
    server.statuses = [503] * 4
    with pytest.raises(StoreError, match="the store refused: 503"):
        head(server.url)
    assert len(server.requests) == 8


def test_a_page_of_a_balancer_and_an_answer_that_is_cut_are_asked_again(server: Any) -> None:
    bucket = s3_client.Bucket(StoreAt(url="s3://bucket", endpoint=server.url))
    server.statuses, server.cuts = [502, 200], 2
    assert bucket.ask(s3_client.Request(method="GET", key="key")).data == b"abc"
    assert len(server.requests) == 3


def test_a_redirect_is_not_followed(server: Any, tmp_path: Path) -> None:
    """It could lead to any address inside, and take the signature there."""
    with recording() as inner:
        server.elsewhere = f"{inner.url}/secret"
        store = open_store(StoreAt(url="s3://bucket", endpoint=server.url, region="here"))
        server.statuses = [307] * 9  # a HEAD has no words, so a listing is asked for them
        with pytest.raises(StoreError, match="the store redirects"):
            store.head("key")
        with pytest.raises(StoreError, match="the store redirects"):
            store.get("key", tmp_path / "back", most=100)
        assert inner.requests == []
    assert json.dumps(server.requests).count("authorization") >= 3
