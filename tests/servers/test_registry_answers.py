"""What a registry may answer otherwise: addresses in other words, and what is optional."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from tasks.core.errors import RegistryError
from tasks.core.net.network import Network
from tasks.core.net.redirects import origin
from tasks.core.registry import uploads
from tasks.core.registry.client import Access, Manifest, Registries, Registry
from tasks.core.registry.uploads import Started
from tests.kit.registry_memory import Answer, Memory, Request, client, serve

pytestmark = pytest.mark.usefixtures("quick")

DATA = b"of no use to anybody\n" * 5000
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()
LOGIN = base64.b64encode(b"me:hidden-word").decode()


@pytest.fixture
def far() -> Iterator[Memory]:
    with serve(Memory()) as memory:
        yield memory


@pytest.fixture
def other() -> Iterator[Memory]:
    with serve(Memory()) as memory:
        yield memory


def with_login(memory: Memory, folder: Path, *others: Memory) -> Registry:
    """A client whose login the registry asks for, which may be sent on to `others`."""
    authfile = folder / "config.json"
    authfile.write_text(json.dumps({"auths": {
        server.url[7:]: {"auth": LOGIN} for server in (memory, *others)}}))
    return Registries(Access(registries={"it": memory.url}, ca=None, authfile=authfile,
                             network=Network().naming(*(server.url for server in others)))).at("it")


def asking(rule: object) -> object:
    """Let a registry ask for the login before `rule` says what it answers."""
    def spoil(request: Request) -> Answer | None:
        if request.headers.get("authorization") != f"Basic {LOGIN}":
            return 401, {"WWW-Authenticate": 'Basic realm="x"'}, b""
        return rule(request)  # type: ignore[operator,no-any-return]
    return spoil


def put_all(registry: Registry, path: str = "a/b") -> None:
    """Upload a blob and put a manifest."""
    registry.upload(path, DIGEST, len(DATA), lambda: nullcontext([DATA]))
    assert registry.put_manifest(path, "1", Manifest(data=b"{}", media_type="x/y"))


# Locations


@pytest.mark.parametrize("location", [
    "http://127.0.0.1:{port}/v2/a/b/blobs/uploads/1", "/v2/a/b/blobs/uploads/1", "1",
    "//127.0.0.1:{port}/v2/a/b/blobs/uploads/1?state=x%2By",
    "HTTP://127.0.0.1:{port}/v2/a/b/blobs/uploads/1?", "http://me:pw@127.0.0.1:{port}/v2/a/b/blobs/"
    "uploads/1#part"])
def test_where_an_upload_goes_on_may_be_said_in_any_way(far: Memory, location: str) -> None:
    place = location.format(port=far.url.rpartition(":")[2])
    far.spoil = lambda request: (202, {"Location": place}, b"") \
        if request.method == "POST" else None
    put_all(client(far.url))
    assert far.blobs["a/b", DIGEST] == DATA


@pytest.mark.parametrize(("one", "same"), [
    ("https://h.example.org/v2/", "https://H.Example.org:443/x"), ("http://h/", "http://h:80"),
    ("https://[::1]:443/", "https://[0:0:0:0:0:0:0:1]/"), ("https://[FE80::A]/", "https://[fe80::a]")])
def test_origins_are_compared_and_not_their_texts(one: str, same: str) -> None:
    assert origin(one) == origin(same)
    known = Registry("h", one, None, client("http://it")._auth._transport)
    assert known.is_own(same)


@pytest.mark.parametrize(("base", "url", "is_own"), [
    ("https://h", "http://h:443/", False), ("https://h", "http://h/", False),
    ("https://h:8443", "https://h/", False), ("https://h", "https://h.evil/", False),
    ("http://h", "https://h/", True), ("http://h:5000", "https://h:5000/", True),
    ("http://h:5000", "https://h/", False)])
def test_a_login_is_for_its_origin_alone(base: str, url: str, *, is_own: bool) -> None:
    known = Registry("h", base, None, client("http://it")._auth._transport)
    assert known.is_own(url) is is_own


def test_an_upload_without_a_place_is_named(far: Memory) -> None:
    far.spoil = lambda request: (202, {}, b"") if request.method == "POST" else None
    with pytest.raises(RegistryError, match="doesn't say where it goes on"):
        put_all(client(far.url))


# Redirects that keep the method


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "GET", "HEAD"])
def test_a_redirect_that_keeps_the_method_is_followed_with_its_body(
        far: Memory, other: Memory, tmp_path: Path, method: str, status: int,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """To another host, which never sees the login."""
    if method == "PATCH":
        monkeypatch.setattr(uploads, "LARGE", 0)
        monkeypatch.setattr(uploads, "CHUNK", 40_000)
    other.blobs, other.manifests, other.parts = far.blobs, far.manifests, far.parts
    far.spoil = asking(lambda request: (  # type: ignore[assignment]
        status, {"Location": f"{other.url}{request.path}?" + "&".join(
            f"{name}={value[0]}" for name, value in request.query.items())}, b"")
        if request.method == method else None)
    registry = with_login(far, tmp_path, other)
    put_all(registry)
    assert far.blobs["a/b", DIGEST] == DATA
    assert registry.manifest("a/b", "1").data == b"{}"
    assert registry.blob_size("a/b", DIGEST, len(DATA)) == len(DATA)
    assert other.count(method, ".")
    assert all("authorization" not in request.headers for request in other.seen)


def test_a_redirect_within_the_registry_keeps_the_login(far: Memory, tmp_path: Path) -> None:
    def spoil(request: Request) -> Answer | None:
        if "moved" not in request.query and request.method in ("POST", "PUT"):
            joint = "&".join(f"{name}={value[0]}" for name, value in request.query.items())
            return 308, {"Location": f"{request.path}?moved=1&{joint}"}, b""
        return None

    far.spoil = asking(spoil)  # type: ignore[assignment]
    put_all(with_login(far, tmp_path))
    assert far.blobs["a/b", DIGEST] == DATA


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_redirects_in_a_circle_end(far: Memory, method: str,
                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "LARGE", 0 if method == "PATCH" else 1 << 30)
    far.spoil = lambda request: (307, {"Location": far.url + request.path}, b"") \
        if request.method == method else None
    with pytest.raises(RegistryError, match="more than 10"):
        put_all(client(far.url))
    assert far.count(method, ".") <= 24


def test_a_redirect_that_changes_the_method_is_shown_and_not_followed(far: Memory) -> None:
    away = {"Location": "https://elsewhere.example.org/x?sig=abc"}
    far.spoil = lambda request: (302, away, b"") if request.method == "POST" else None
    with pytest.raises(RegistryError, match=r"302.*points to https://elsewhere\.example\.org/x"):
        put_all(client(far.url))


def test_another_host_that_wants_a_login_is_named(far: Memory, other: Memory,
                                                  tmp_path: Path) -> None:
    other.spoil = lambda request: (401, {"WWW-Authenticate": 'Basic realm="x"'}, b"")
    far.spoil = asking(lambda request: (  # type: ignore[assignment]
        307, {"Location": f"{other.url}{request.path}"}, b"") if request.method == "POST" else None)
    with pytest.raises(RegistryError, match="another address, which answers 401") as caught:
        put_all(with_login(far, tmp_path, other))
    assert other.url in str(caught.value)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_success_of_a_chunk_or_of_an_uploads_end_is_one(
        far: Memory, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the blob is there then is asked for anyway."""
    monkeypatch.setattr(uploads, "LARGE", 0)
    monkeypatch.setattr(uploads, "CHUNK", 40_000)

    def answer(request: Request, body: bytes) -> Answer:
        said = Memory.answer(far, request, body)
        is_upload = request.method in ("PATCH", "PUT") and "uploads" in request.path
        return (status, said[1], b"") if is_upload and said[0] < 300 else said

    monkeypatch.setattr(far, "answer", answer)
    put_all(client(far.url))
    assert far.blobs["a/b", DIGEST] == DATA


# Mounts


@pytest.mark.parametrize("headers", [{}, {"Location": "/v2/a/two/blobs/uploads/9"},
                                     {"Location": "https://203.0.113.9/x"}, {"Location": "::["}])
@pytest.mark.parametrize("status", [200, 202, 204, 302, 400, 401, 403, 404, 405, 409, 415, 429, 500,
                                    501, 503])
def test_whatever_a_mount_is_answered_the_blob_arrives(far: Memory, tmp_path: Path, status: int,
                                                       headers: dict[str, str]) -> None:
    """An upload that was opened in its place can be neither used nor cancelled."""
    def spoil(request: Request) -> Answer | None:
        if "mount" in request.query:
            return status, headers, b""
        if request.path.endswith("/9"):
            return 403, {}, b""
        return (405, {}, b"") if request.method == "DELETE" else None

    far.spoil = asking(spoil)  # type: ignore[assignment]
    registry = with_login(far, tmp_path)
    mounted = registry.mount("a/two", DIGEST, "a/b")
    assert mounted is False or isinstance(mounted, Started)
    registry.upload("a/two", DIGEST, len(DATA), lambda: nullcontext([DATA]), mounted or None)
    assert far.blobs["a/two", DIGEST] == DATA
    assert sum("mount" in request.query for request in far.seen) <= 2  # one of them for the login


def test_mounts_that_fail_are_soon_no_longer_asked_for(far: Memory) -> None:
    far.spoil = lambda request: (503, {}, b"") if "mount" in request.query else None
    registry = client(far.url)
    for number in range(20):
        assert registry.mount(f"a/{number}", DIGEST, "a/b") is False
    assert far.count("POST", "uploads") == 3


# Heads


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("answer", [
    (200, {"Content-Length": "0"}, b""), (200, {"Content-Length": "7"}, b""), (405, {}, b""),
    (501, {}, b""), (400, {}, b""), (200, {"Transfer-Encoding": "chunked", "Content-Length": ""},
                                     b"")])
def test_a_blob_whose_head_tells_no_length_is_asked_by_get(far: Memory, answer: Answer,
                                                           *, ranges: bool) -> None:
    far.ranges = ranges
    far.spoil = lambda request: answer if request.method == "HEAD" else None
    registry = client(far.url)
    put_all(registry)
    assert registry.blob_size("a/b", DIGEST, len(DATA)) == len(DATA)
    assert registry.blob_size("a/nosuch", DIGEST, len(DATA)) in (None, 7)
    assert registry.manifest_digest("a/b", "1") == registry.manifest("a/b", "1").digest
    assert registry.blob_size("a/b", DIGEST, 5) == len(DATA)


def test_a_blob_of_no_told_length_at_all_is_counted(far: Memory) -> None:
    put_all(client(far.url))
    chunked = {"Transfer-Encoding": "chunked", "Content-Length": ""}
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(DATA), DATA)
    far.spoil = lambda request: (200, chunked, body if request.method == "GET" else b"") \
        if "/blobs/sha256" in request.path else None
    assert client(far.url).blob_size("a/b", DIGEST, len(DATA)) == len(DATA)
    assert client(far.url).blob_size("a/b", DIGEST, 100) not in (100, None)
    with pytest.raises(RegistryError, match="doesn't tell how large"):
        client(far.url).blob_size("a/b", DIGEST)


def test_a_damaged_blob_is_still_seen(far: Memory) -> None:
    far.add_blob("a/b", DATA)
    far.blobs["a/b", DIGEST] = DATA[:-1]
    far.ranges = True
    assert client(far.url).blob_size("a/b", DIGEST, len(DATA)) == len(DATA) - 1


@pytest.mark.parametrize("digest", ["", "sha256:short", "md5:1"])
def test_a_manifest_whose_head_tells_no_digest_is_read(far: Memory, digest: str) -> None:
    wanted = far.add_manifest("a/b", "1", "x/y", b"{}")
    far.spoil = lambda request: (200, {"Docker-Content-Digest": digest} if digest else {}, b"") \
        if request.method == "HEAD" else None
    assert client(far.url).manifest_digest("a/b", "1") == wanted
    assert client(far.url).manifest_digest("a/b", "2") is None


# Token servers


@pytest.mark.parametrize(("realm", "said"), [
    ("http://127.0.0.1:7590:7590/token", "host or port is broken"), ("", "it is empty"),
    ("/service/token", "no whole URL"), ("token", "no whole URL"), ("https://", "no whole URL"),
    ("https://me:hunter2@h.example.org/t", "it holds a user"), ("https://h:99999/t", "broken"),
    ("https://[::1/t", "broken"), ("ftp://h.example.org/t", "ftp:// is not asked"),
    ("https://h.example org/t", "broken")])
def test_a_broken_token_server_is_named_by_its_own_address(far: Memory, realm: str,
                                                           said: str) -> None:
    far.spoil = lambda request: (
        401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'}, b"")
    with pytest.raises(RegistryError, match=said) as caught:
        client(far.url).ping()
    assert repr(realm.replace("me:hunter2@", "")) in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "Bearer Token Realm" in str(caught.value)


def test_a_token_server_that_does_not_answer_is_named_as_one(far: Memory) -> None:
    far.spoil = lambda request: (
        401, {"WWW-Authenticate": 'Bearer realm="http://127.0.0.1:1/token",service="x"'}, b"")
    with pytest.raises(RegistryError, match=r"token server that 127\.0\.0\.1:\d+ names") as caught:
        client(far.url, Network().naming("http://127.0.0.1:1")).ping()
    assert "http://127.0.0.1:1/token" in str(caught.value)
