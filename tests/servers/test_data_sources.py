"""Buckets, FTP and folders as sources, at real servers: sizes, listings, faults, going on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from ftplib import FTP
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest

from tasks.core import files
from tasks.core.errors import SourceError
from tasks.core.net.transfer import Body, read_note
from tasks.data.blobs import Blob, Cache, fetch_all
from tasks.data.sources import Reach, companions, expand, sizes
from tests.kit import buckets
from tests.kit.ftp import ftp_server
from tests.kit.project import ROOT
from tests.kit.relays import relay
from tests.kit.web import Web, near

pytestmark = pytest.mark.usefixtures("quick", "s3_login")

LARGE = bytes(range(256)) * 2**14  # 4 MiB
NEAR = Reach(network=near())
ODD = "öffentlich/a b+c#1?.fa"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[buckets.Gateway]:
    """A bucket `genomes`, written by boto3."""
    with buckets.gateway(tmp_path_factory.mktemp("s3")) as running:
        client = boto3.client("s3", endpoint_url=running.endpoint, region_name="us-east-1",
                              aws_access_key_id=buckets.ACCESS,
                              aws_secret_access_key=buckets.SECRET)
        client.create_bucket(Bucket="genomes")
        for key, body in {"x/large.bam": LARGE, "x/large.bam.bai": b"index", ODD: b">a\nACGT\n",
                          "tree/": b"", "tree/one.txt": b"1", "tree/sub/two.txt": b"22"}.items():
            client.put_object(Bucket="genomes", Key=key, Body=body)
        for number in range(1100):
            client.put_object(Bucket="genomes", Key=f"many/{number}.txt", Body=b"")
        yield running


def cache(root: Path, reach: Reach, limit: int | None = None) -> Cache:
    return Cache(folder=root / "blobs", partial=root / "partial", reach=reach, known={},
                 limit=limit)


def fetched(url: str, at: Cache) -> bytes:
    blob: Blob = fetch_all({url: ["here"]}, at)[url]
    data = (at.folder / blob.path).read_bytes()
    assert (blob.sha256, blob.size) == (files.sha256_bytes(data), len(data))
    return data


def test_a_bucket_reports_sizes_and_companions_and_is_listed(served: buckets.Gateway) -> None:
    reach = Reach(buckets={"genomes": served.endpoint})
    large, odd = "s3://genomes/x//large.bam", f"s3://genomes/{ODD}"
    assert sizes({large: [], odd: []}, reach) == {large: len(LARGE), odd: 8}
    assert companions([large, odd], reach) == {large: (f"{large}.bai",)}
    assert expand("s3://genomes/tree/", reach) == (
        "s3://genomes/tree/one.txt", "s3://genomes/tree/sub/two.txt")
    assert len(expand("s3://genomes/many/{1,2}*.txt", reach)) == 211 + 111
    assert len(expand("s3://genomes/many/", reach)) == 1100
    with pytest.raises(SourceError, match="nothing is found"):
        expand("s3://genomes/none/", reach)


def test_objects_are_fetched_and_their_faults_reported_together(served: buckets.Gateway,
                                                                tmp_path: Path) -> None:
    here = cache(tmp_path, Reach(buckets={"genomes": served.endpoint, "gone": served.endpoint}))
    assert fetched(f"s3://genomes/{ODD}", here) == b">a\nACGT\n"
    with pytest.raises(SourceError) as caught:
        fetch_all({"s3://genomes/none": ["params.a"], "s3://gone/x": ["params.b"]}, here)
    for part in ("s3://genomes/none: there is no such object\n      in params.a",
                 "s3://gone/x: the bucket does not exist (NoSuchBucket)\n      in params.b"):
        assert part in str(caught.value)
    assert buckets.SECRET not in str(caught.value)


def test_a_bucket_that_wants_credentials_says_so(served: buckets.Gateway, tmp_path: Path,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(SourceError, match="access is denied") as caught:
        fetched("s3://genomes/x/large.bam", cache(tmp_path, Reach(
            buckets={"genomes": served.endpoint})))
    assert "wrong" not in str(caught.value)


def test_a_broken_object_goes_on_from_where_it_broke(served: buckets.Gateway,
                                                     tmp_path: Path) -> None:
    with relay(urlsplit(served.endpoint).port or 0) as between:
        between.cuts = [len(LARGE) // 2]
        here = cache(tmp_path, Reach(buckets={"genomes": f"http://127.0.0.1:{between.port}"}))
        assert fetched("s3://genomes/x/large.bam", here) == LARGE
        assert (between.cuts, between.came < 1.3 * len(LARGE)) == ([], True)


@pytest.fixture
def ftp_root(tmp_path: Path) -> Path:
    root = tmp_path / "ftp"
    for name, data in {"public/x/large.bam": LARGE, "public/x/large.bam.bai": b"index",
                       "public/x/ü b.fa": b">a\n", "public/x/sub/z.txt": b"z",
                       "private/secret.fa": b">s\n"}.items():
        files.write_bytes(root / name, data)
        long_ago = time.time() - 3600
        os.utime(root / name, (long_ago, long_ago))
    return root


def test_ftp_reports_sizes_and_is_listed_and_fetched(ftp_root: Path, tmp_path: Path) -> None:
    with ftp_server(ftp_root) as port:
        base = f"ftp://127.0.0.1:{port}/x"
        assert sizes({f"{base}/large.bam": []}, NEAR) == {f"{base}/large.bam": len(LARGE)}
        assert companions([f"{base}/large.bam"], NEAR) == {
            f"{base}/large.bam": (f"{base}/large.bam.bai",)}
        assert expand(f"{base}/", NEAR) == tuple(sorted(
            f"{base}/{name}" for name in ("large.bam", "large.bam.bai", "sub/z.txt",
                                          "%C3%BC%20b.fa")))
        here = cache(tmp_path, NEAR)
        assert fetched(f"{base}/%C3%BC%20b.fa", here) == b">a\n"
        assert fetched(f"ftp://user:pass%20word@127.0.0.1:{port}/secret.fa", here) == b">s\n"
        with pytest.raises(SourceError, match="no such file"):
            fetched(f"{base}/none", here)
        with pytest.raises(SourceError) as caught:
            fetched(f"ftp://user:guess@127.0.0.1:{port}/secret.fa", here)
        assert "530" in str(caught.value)
        assert "guess" not in str(caught.value)


def test_a_broken_ftp_transfer_goes_on_from_where_it_broke(
        ftp_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data connection breaks in the middle, as firewalls do to long ones."""
    received: list[int | None] = []
    add = Body.add

    def breaking(self: Body, block: bytes) -> None:
        add(self, block)
        if not received and self.size > len(LARGE) // 2:
            received.append(self.size)
            raise ConnectionResetError

    monkeypatch.setattr(Body, "add", breaking)
    asked: list[int | None] = []
    transfer = FTP.transfercmd

    def watched(self: FTP, command: str, rest: int | None = None) -> object:
        asked.append(rest if command.startswith("RETR") else -1)
        return transfer(self, command, rest)

    monkeypatch.setattr(FTP, "transfercmd", watched)
    with ftp_server(ftp_root) as port:
        assert fetched(f"ftp://127.0.0.1:{port}/x/large.bam", cache(tmp_path, NEAR)) == LARGE
    assert asked == [None, *received]


def test_a_host_that_is_not_known_is_named_as_that(tmp_path: Path) -> None:
    for url, message in (("ftp://nowhere.invalid/x.fa", "the host's name is not known"),
                         ("ftp://127.0.0.1:9/x.fa", "the host does not take connections")):
        with pytest.raises(SourceError, match=message):
            fetched(url, cache(tmp_path, NEAR))


def test_what_a_killed_run_left_goes_on(web: Web, tmp_path: Path) -> None:
    """kill -9 in mid-download; the next run asks for the rest alone."""
    web.files, web.pause = {"/large.fq": LARGE}, 0.08
    script = ("import sys; from pathlib import Path; from tasks.data.blobs import *;"
              "from tests.kit.web import near;"
              "from tasks.data.sources import Reach; root = Path(sys.argv[2]);"
              "fetch_all({sys.argv[1]: ['x']}, Cache(folder=root / 'blobs', known={},"
              " partial=root / 'partial', reach=Reach(network=near())))")
    url = f"{web.url}/large.fq"
    process = subprocess.Popen([sys.executable, "-c", script, url, str(tmp_path)], cwd=ROOT,
                               env={**os.environ, "PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not any(
            note.size for path in (tmp_path / "partial").glob("*.json")
            if (note := read_note(path))):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    web.pause = 0
    assert fetched(url, cache(tmp_path, NEAR)) == LARGE
    first, second = (entry[1] for entry in web.seen)
    assert first is None
    assert second is not None
    assert int(second.removeprefix("bytes=").rstrip("-")) > 0


def test_what_changed_since_a_killed_run_starts_anew(web: Web, tmp_path: Path) -> None:
    web.files, web.cuts = {"/large.fq": LARGE}, {"/large.fq": 9}
    url, here = f"{web.url}/large.fq", cache(tmp_path, NEAR)
    with pytest.raises(SourceError):
        fetched(url, cache(tmp_path, NEAR, limit=len(LARGE) // 4))
    web.files, web.cuts = {"/large.fq": LARGE[::-1]}, {}
    assert fetched(url, here) == LARGE[::-1]


def test_more_than_the_limit_is_not_received(web: Web, tmp_path: Path) -> None:
    """Neither where the server says so before, nor where it says nothing of a length."""
    web.files = {"/a.fq": LARGE, "/b.fq": LARGE}
    for length in (str(len(LARGE)), None):
        web.headers = {"/a.fq": {"Content-Length": length}}
        with pytest.raises(SourceError, match=r"more would come than the 1\.\d MB"):
            fetched(f"{web.url}/a.fq", cache(tmp_path, NEAR, limit=1_500_000))
