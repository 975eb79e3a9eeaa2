"""A server that answers as a bucket does and means harm: every answer ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import IntegrityError, StoreError
from tasks.core.net import bounds
from tasks.core.store import interface, s3_listing
from tasks.core.store.interface import Store, Stored
from tasks.core.store.store import open_store
from tests.kit.bounded import limited
from tests.kit.web import Quiet, Server, running

MB = 10**6
GET = """
from tasks.core.config.aws_settings import StoreAt
from tasks.core.store.store import open_store
store = open_store(StoreAt(url='s3://bucket', endpoint=sys.argv[1], region='us-east-1'))
if sys.argv[3] == 'get':
    store.get('key', Path(sys.argv[2]), most=2_000_000)
else:
    getattr(store, sys.argv[3])('key')
"""


class Hostile(Quiet):
    """Sends what the server's `kind` says, until the client goes."""

    def do_GET(self) -> None:
        server: Any = self.server
        with suppress(OSError):
            getattr(self, server.kind)()
        self.close_connection = True

    do_HEAD = do_PUT = do_GET

    def begin(self, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def endless(self, status: int = 200) -> None:
        self.begin(status)
        while True:
            self.wfile.write(b"<" * MB)

    def endless_error(self) -> None:
        self.endless(400)

    def without_length(self) -> None:
        self.begin(Transfer_Encoding="chunked")
        for _ in range(50):
            self.wfile.write(b"%x\r\n" % MB + bytes(MB) + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def short(self) -> None:
        self.begin(Content_Length="1000")
        self.wfile.write(bytes(10))

    def slow(self) -> None:
        self.begin(Content_Length="1000000")
        while True:
            self.wfile.write(b"x")
            time.sleep(0.05)

    def slow_head(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-More: ")
        while True:
            self.wfile.write(b"x")
            time.sleep(0.05)

    def pages(self) -> None:
        server: Any = self.server
        server.count += 1
        entries = "".join(f"<Contents><Key>{server.count}-{number}</Key><Size>1</Size></Contents>"
                          for number in range(server.keys))
        data = (f"<ListBucketResult><IsTruncated>true</IsTruncated>{entries}"
                f"<NextContinuationToken>{server.count}</NextContinuationToken>"
                "</ListBucketResult>").encode()
        self.begin(Content_Length=str(len(data)), Content_Type="application/xml")
        self.wfile.write(data)

    def no_size(self) -> None:
        self.begin(x_amz_checksum_sha256="nonsense!")

    def no_checksum(self) -> None:
        self.begin(Content_Length="1", x_amz_checksum_sha256="nonsense!")

    def entities(self) -> None:
        data = (b'<!DOCTYPE x [<!ENTITY e "key">]><ListBucketResult><Contents><Key>&e;</Key>'
                b"<Size>1</Size></Contents></ListBucketResult>")
        self.begin(Content_Length=str(len(data)))
        self.wfile.write(data)


@pytest.fixture
def server() -> Iterator[Any]:
    made: Any = Server(Hostile)
    made.count, made.keys = 0, 0
    with running(made):
        yield made


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"),
                        ("CONFIG_FILE", str(tmp_path / "none")), ("MAX_ATTEMPTS", "1"),
                        ("SHARED_CREDENTIALS_FILE", str(tmp_path / "none")),
                        ("EC2_METADATA_DISABLED", "true")):
        monkeypatch.setenv(f"AWS_{name}", value)


def opened(server: Any) -> Store:
    return open_store(StoreAt(url="s3://bucket", endpoint=server.url, region="us-east-1"))


@pytest.mark.parametrize(("kind", "ask", "said"), [
    ("endless", "get", "IntegrityError this is refused: it has more than the 2.0 MB"),
    ("without_length", "get", "IntegrityError this is refused: it has more than the 2.0 MB"),
    ("endless_error", "get", "StoreError the store sends an answer of more than"),
    ("endless", "list", "StoreError the store sends an answer of more than"),
    ("endless_error", "list", "StoreError the store sends an answer of more than"),
    ("short", "get", "StoreError the store broke off in the middle")])
def test_an_answer_ends_by_what_comes_not_by_what_it_says(
        server: Any, tmp_path: Path, kind: str, ask: str, said: str) -> None:
    server.kind = kind
    output = limited(GET, server.url, tmp_path / "back", ask, memory=900 * MB, size=3 * MB,
                     seconds=40)
    assert output.startswith(said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["slow", "slow_head"])
@pytest.mark.parametrize("ask", ["get", "list"])
def test_a_byte_now_and_then_does_not_last_for_ever(
        server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: str,
        kind: str) -> None:
    server.kind = kind
    monkeypatch.setattr(bounds, "RESPONSE_TIME", 1.0)
    begun = time.monotonic()
    with pytest.raises(StoreError, match="too slow"):
        if ask == "get":
            opened(server).get("key", tmp_path / "back", most=MB)
        else:
            opened(server).list("key")
    assert time.monotonic() - begun < 20
    assert list(tmp_path.iterdir()) == []


def test_what_no_store_would_say_of_a_file(server: Any) -> None:
    server.kind = "no_checksum"
    assert opened(server).head("key") == Stored(key="key", size=1, sha256=None)
    server.kind = "no_size"
    with pytest.raises(StoreError, match="doesn't say how large"):
        opened(server).head("key")


def test_a_listing_has_no_entities(server: Any) -> None:
    """They could grow beyond all bounds once they are read."""
    server.kind = "entities"
    with pytest.raises(StoreError, match="what is no XML"):
        opened(server).list("")


def test_a_listing_ends(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server.kind = "pages"
    monkeypatch.setattr(s3_listing, "MAX_PAGES", 7)
    with pytest.raises(StoreError, match="more than 7 pages"):
        opened(server).list("")
    server.keys = 10
    monkeypatch.setattr(interface, "MAX_LISTED", 50)
    with pytest.raises(StoreError, match="more than 50 files"):
        opened(server).list("")


def test_what_is_large_is_refused_by_the_bound(server: Any, tmp_path: Path) -> None:
    server.kind = "without_length"
    opened(server).get("key", tmp_path / "back", most=50 * MB)
    assert (tmp_path / "back").stat().st_size == 50 * MB
    with pytest.raises(IntegrityError, match=r"s3://bucket: key|more than"):
        opened(server).get("key", tmp_path / "more", most=50 * MB - 1)
    assert not (tmp_path / "more").exists()
