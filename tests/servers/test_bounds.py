"""Answers without end, and those that come a byte at a time: each ends, and nothing is left."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.config.settings import PluginsAt
from tasks.core.errors import AirlockError, RegistryError, SourceError
from tasks.core.net import bounds, download, request
from tasks.core.registry import client as registries
from tasks.core.registry.client import Access, Registries
from tasks.data import blobs, bucket, ftp
from tasks.data.blobs import Cache, fetch_all
from tasks.data.sources import Reach, expand, sizes
from tasks.plugins import index
from tests.kit import endless
from tests.kit.endless import DRIPS, FLOODS, OTHERS, Speak
from tests.kit.registry_memory import Answer, Memory, Request, serve
from tests.kit.web import Web, near

NEAR = Reach(network=near())
LONGEST = 8.0
"""Seconds in which each of these attacks must have ended; it would go on for ever."""


@pytest.fixture(autouse=True)
def low(monkeypatch: pytest.MonkeyPatch, quick: None) -> Iterator[None]:
    """Bounds that a test can wait for; each test must end soon."""
    monkeypatch.setattr(bounds, "RESPONSE_TIME", 0.6)
    monkeypatch.setattr(bounds, "MAX_SMALL_RESPONSE", 1 << 22)
    monkeypatch.setattr(registries, "LARGEST_LIST", 1 << 20)
    monkeypatch.setattr(index, "MAX_INDEX", 1 << 20)
    monkeypatch.setattr(blobs, "DEFAULT_LIMIT", 1 << 22)
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < LONGEST


def bare(root: Path) -> Cache:
    return Cache(folder=root / "blobs", partial=root / "partial", reach=NEAR, known={})


def left(root: Path) -> list[Path]:
    return [path for path in files.tree(root) if path.is_file()]


@pytest.mark.parametrize("speak", [*DRIPS, *FLOODS, *OTHERS])
def test_a_file_of_the_web(tmp_path: Path, speak: Speak) -> None:
    with endless.speaking(speak) as port, pytest.raises(SourceError):
        fetch_all({f"http://127.0.0.1:{port}/x.fq": ["here"]}, bare(tmp_path))
    assert left(tmp_path) == []


@pytest.mark.parametrize("speak", [endless.head_drips, endless.head_floods, endless.continues,
                                   *OTHERS])
def test_the_size_of_a_file(speak: Speak) -> None:
    with endless.speaking(speak) as port, pytest.raises(SourceError):
        sizes({f"http://127.0.0.1:{port}/x.fq": ["here"]}, NEAR)


@pytest.mark.parametrize("speak", [*DRIPS, *FLOODS, *OTHERS])
def test_an_index_of_plugins(tmp_path: Path, speak: Speak) -> None:
    for at in ({"index": "/plugins.json"}, {"registry": ""}):
        with endless.speaking(speak) as port, pytest.raises(SourceError):
            where = {key: f"http://127.0.0.1:{port}{path}" for key, path in at.items()}
            index.ask(PluginsAt(**where), {"nf-x": None}, "24.10.5", tmp_path, near())
        assert not any(path.stat().st_size for path in left(tmp_path))


ASKED: dict[str, Callable[[registries.Registry], object]] = {
    "ping": lambda at: at.ping(),
    "manifest": lambda at: at.manifest("a/b", "1"),
    "manifest_digest": lambda at: at.manifest_digest("a/b", "1"),
    "blob_size": lambda at: at.blob_size("a/b", "sha256:" + "0" * 64),
    "tags": lambda at: at.tags("a/b"),
    "mount": lambda at: at.mount("a/b", "sha256:" + "0" * 64, "a/c"),
}


@pytest.mark.parametrize("speak", [*DRIPS, *FLOODS, *OTHERS])
@pytest.mark.parametrize("asked", ASKED)
def test_a_registry(asked: str, speak: Speak) -> None:
    """None of its answers holds the client, whatever it was asked."""
    with endless.speaking(speak) as port, contextlib.suppress(RegistryError):
        at = Registries(Access(registries={"it": f"http://127.0.0.1:{port}"}, ca=None,
                               authfile=None)).at("it")
        ASKED[asked](at)


@pytest.mark.parametrize("speak", [*DRIPS, *FLOODS])
def test_a_token(speak: Speak) -> None:
    with endless.speaking(speak) as port, serve(Memory()) as far:
        far.spoil = lambda request: (401, {
            "WWW-Authenticate": f'Bearer realm="http://127.0.0.1:{port}/t",service="x"'}, b"")
        with pytest.raises(RegistryError):
            Registries(Access(registries={"it": far.url}, ca=None, authfile=None,
                              network=near())).at("it").manifest("a/b", "1")


@pytest.mark.parametrize("speak", [*DRIPS, *FLOODS])
def test_a_blob(speak: Speak) -> None:
    """It has the size that its manifest declares, and no byte more is asked for."""
    size, came = 1 << 20, 0
    with endless.speaking(speak) as port:
        at = Registries(Access(registries={"it": f"http://127.0.0.1:{port}"}, ca=None,
                               authfile=None)).at("it")
        with pytest.raises(AirlockError), at.blob("a/b", "sha256:" + "0" * 64, size) as chunks:
            for chunk in chunks:
                came += len(chunk)
    assert came <= size


def test_a_list_of_tags_whose_pages_have_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registries, "PAGES", 20)
    with serve(Memory()) as far:
        def spoil(request: Request) -> Answer:
            count = len(far.seen)
            return (200, {"Link": f'</v2/a/b/tags/list?last={count}>; rel="next"'},
                    b'{"tags": ["a"]}')

        far.spoil = spoil
        with pytest.raises(RegistryError, match="does not come to an end"):
            Registries(Access(registries={"it": far.url}, ca=None,
                              authfile=None)).at("it").tags("a/b")
        assert len(far.seen) == 20


def test_a_slow_file_that_is_fast_enough_arrives(tmp_path: Path, web: Web,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes longer than what is small may take, and more than the floor's speed."""
    web.files, web.pause = {"/x.fq": b"x" * (1 << 20)}, 0.1
    monkeypatch.setattr(bounds, "RESPONSE_TIME", 0.3)
    found = fetch_all({f"{web.url}/x.fq": ["here"]}, bare(tmp_path))
    assert found[f"{web.url}/x.fq"].size == 1 << 20
    with pytest.raises(SourceError, match="too slow"):
        download.fetch(f"{web.url}/x.fq", tmp_path / "y", network=near(), most=1 << 21)
    assert not (tmp_path / "y").exists()


def test_bytes_are_bounded_before_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head, and a listing, which would fill the memory meanwhile."""
    monkeypatch.setattr(bounds, "RESPONSE_TIME", 100.0)
    monkeypatch.setattr(ftp, "MAX_ENTRIES", 1000)
    with endless.speaking(endless.continues) as port, pytest.raises(
            SourceError, match="more than 4 MiB"):
        sizes({f"http://127.0.0.1:{port}/x.fq": ["here"]}, NEAR)
    with endless.ftp_server(endless.opens, endless.floods) as port, pytest.raises(
            SourceError, match="more than 4 MiB"):
        expand(f"ftp://127.0.0.1:{port}/x/", NEAR)
    with endless.ftp_server(endless.opens, endless.some) as port, pytest.raises(
            SourceError, match="more than 1000 files and folders"):
        expand(f"ftp://127.0.0.1:{port}/x/", NEAR)


def test_without_a_limit_there_is_one_that_says_so(tmp_path: Path) -> None:
    with endless.speaking(endless.body_floods) as port, pytest.raises(
            SourceError, match=r"more would come than the 4\.2 MB that comes without data\.limit"):
        fetch_all({f"http://127.0.0.1:{port}/x.fq": ["here"]}, bare(tmp_path))


def test_retries_come_to_an_end(tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each brings enough to count for none, and the file never ends."""
    monkeypatch.setattr(request, "PROGRESS", 1)
    monkeypatch.setattr(request, "ATTEMPTS_IN_ALL", 7)
    web.files, web.cuts = {"/x.fq": bytes(10_000)}, {"/x.fq": 10**6}

    def growing(self: Web, path: str) -> bytes:
        return bytes(10_000 + 10_000 * self.asked("/x.fq"))

    monkeypatch.setattr(Web, "content", growing)
    with pytest.raises(SourceError, match="7 attempts"):
        fetch_all({f"{web.url}/x.fq": ["here"]}, bare(tmp_path))
    assert web.asked("/x.fq") == 7


@pytest.mark.parametrize(("answer", "data"), [
    (endless.reply_drips, endless.drips), (endless.reply_floods, endless.drips),
    (endless.opens, endless.drips), (endless.opens, endless.floods)])
def test_ftp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Speak, data: Speak) -> None:
    monkeypatch.setattr(ftp, "MAX_ENTRIES", 1000)
    with endless.ftp_server(answer, data) as port, pytest.raises(SourceError):
        expand(f"ftp://127.0.0.1:{port}/x/", NEAR)
    with endless.ftp_server(answer, data) as port, pytest.raises(SourceError):
        fetch_all({f"ftp://127.0.0.1:{port}/x.fa": ["here"]}, bare(tmp_path))
    assert left(tmp_path) == []


@pytest.mark.usefixtures("s3_login")
@pytest.mark.parametrize("speak", [*DRIPS, *FLOODS, endless.error_drips, endless.error_floods])
def test_a_bucket(tmp_path: Path, speak: Speak) -> None:
    with endless.speaking(speak) as port:
        reach = Reach(buckets={"reads": f"http://127.0.0.1:{port}"})
        here = Cache(folder=tmp_path / "blobs", partial=tmp_path / "partial", reach=reach, known={})
        with pytest.raises(SourceError):
            expand("s3://reads/x/", reach)
        with pytest.raises(SourceError):
            fetch_all({"s3://reads/x.fq": ["here"]}, here)
    assert left(tmp_path) == []


@pytest.mark.usefixtures("s3_login")
def test_a_bucket_whose_listing_has_no_end(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "MAX_OBJECTS", 20)
    pages = iter(range(10**6))

    def page(self: Web, path: str) -> bytes:
        number = next(pages)
        return (f"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>{number}"
                f"</NextContinuationToken><Contents><Key>x/{number}</Key></Contents>"
                "</ListBucketResult>").encode()

    monkeypatch.setattr(Web, "content", page)
    with pytest.raises(SourceError, match="does not come to an end"):
        expand("s3://reads/x/", Reach(buckets={"reads": web.url}))
    assert len(web.seen) == 21
