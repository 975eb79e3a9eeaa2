"""Readers of what registries, indexes and web servers answer, and of names and addresses."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import urllib3
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tasks.core import files
from tasks.core.config.settings import PluginsAt
from tasks.core.errors import RegistryError
from tasks.core.inputs import cells, globs
from tasks.core.net import download, pace, pools, urls
from tasks.core.net import request as requests
from tasks.core.net.network import Network
from tasks.core.net.request import Body, Transport
from tasks.core.nextflow import pipeline_version, versions
from tasks.core.registry import auth, credentials
from tasks.core.registry.client import INDEXES, MANIFESTS, SCHEMA1, Manifest, Registry
from tasks.core.schema import check
from tasks.data import sources
from tasks.images import destination, lock, lock_format, reference
from tasks.plugins import index as plugin_index
from tests.fuzzing.inputs import LARGEST, NAMES, as_json, json_files, json_of, mixed, texts
from tests.fuzzing.reader import Reader

PLATFORM = "linux/amd64"
LAYER: dict[str, Any] = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
         "digest": "sha256:" + "1" * 64, "size": 7}
CONFIG_DATA = b'{"os": "linux", "architecture": "amd64"}'
CONFIG: dict[str, Any] = {
    "mediaType": "application/vnd.oci.image.config.v1+json", "size": len(CONFIG_DATA),
    "digest": "sha256:" + files.sha256_bytes(CONFIG_DATA)}
MANIFEST = {"schemaVersion": 2, "mediaType": MANIFESTS[0], "config": CONFIG, "layers": [LAYER]}
CHILD = "sha256:" + files.sha256_bytes(as_json(MANIFEST))
INDEX: dict[str, Any] = {"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": [
    {"mediaType": MANIFESTS[0], "digest": CHILD, "size": 2, "platform": {
        "os": "linux", "architecture": "amd64", "variant": ""}},
    {"mediaType": MANIFESTS[0], "digest": CHILD, "size": 2, "platform": {
        "os": "linux", "architecture": "arm64"}}]}
HEADS = ['{"formatLength": 5, "formatTail": "Cn0"}', '{"formatLength": -1, "formatTail": ""}',
         '{"formatLength": 1e999, "formatTail": ""}', '{"formatLength": 1.5, "formatTail": ""}',
         f'{{"formatLength": {"9" * 30}, "formatTail": "é"}}', "[]", "[" * 3000, "7"]
OLD = st.sampled_from(HEADS).map(lambda head: {
    "schemaVersion": 1, "name": "a/b", "tag": "1", "architecture": "amd64",
    "fsLayers": [{"blobSum": LAYER["digest"]}],
    "history": [{"v1Compatibility": '{"os": "linux"}'}], "signatures": [{
        "protected": base64.urlsafe_b64encode(head.encode()).decode().rstrip("=")}]})
KINDS = st.sampled_from([*MANIFESTS, *SCHEMA1, INDEX["mediaType"], "text/html", "", "é"])


class Held:
    """A registry that answers with these bytes, whatever is asked."""

    def __init__(self, top: Manifest, child: Manifest, config: bytes) -> None:
        self.top, self.child, self.config = top, child, config

    def at(self, _host: str) -> Held:
        return self

    def manifest(self, _path: str, wanted: str) -> Manifest:
        return self.child if wanted.startswith("sha256:") else self.top

    def blob_size(self, _path: str, _digest: str) -> int:
        return 7

    def blob(self, *_: object) -> Any:
        return mock.MagicMock(__enter__=lambda _: iter([self.config]), __exit__=lambda *_: None)


def resolved(value: tuple[str, bytes, bytes, bytes], folder: Path) -> None:
    """What passes can be locked: it fits the lock's schema, and comes back as it was."""
    kind, top, child, config = value
    held: Any = Held(Manifest(data=top, media_type=kind),
                     Manifest(data=child, media_type=MANIFESTS[0]), config)
    image = lock.resolve(held, reference.parse("q.example.org/a/b:1"), PLATFORM,
                         "2026-01-01T00:00:00Z", ("all",))
    assert image.manifest.startswith("sha256:")
    locked = check(lock_format.as_json(PLATFORM, (), lock_format.as_entries([image])),
                   "images-lock", where="lock")
    files.write_json(folder / "images.json", locked)
    back, = lock_format.read_lock(folder / "images.json")
    assert (back.manifest, back.layers, back.index) == (image.manifest, image.layers, image.index)


class Played(Transport):
    """A transport whose answers are given; each is given once, and then there are no more."""

    def __init__(self, answers: Iterable[tuple[int, Mapping[str, str], bytes]]) -> None:
        super().__init__(Network())
        self._left = iter(answers)

    def _once(self, method: str, url: str, headers: Mapping[str, str],
              body: Body) -> urllib3.BaseHTTPResponse:
        response = next(self._left, None)
        if response is None:
            raise RegistryError("there is no further answer")
        pace.pause(response[1], url)
        return answer(*response)

    def rest(self, url: str, attempt: int, seconds: float | None = None) -> None:
        """Don't wait."""


def answer(status: int, headers: Mapping[str, str], body: bytes) -> urllib3.HTTPResponse:
    return urllib3.HTTPResponse(io.BytesIO(body), headers=urllib3.HTTPHeaderDict(headers),
                                status=status, preload_content=False, decode_content=False)


NUMBERS = st.sampled_from(["0", "7", "-1", "9" * 5000, "٣", "1e9", "", "²", "7, 7", " 7"])
DATES = st.sampled_from(["Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 99 Oct 99999 07:28:00 GMT",
                         "Mon, 1 Jan 0001 00:00:00 +9999", "9" * 5000, "x"])
CHALLENGES = mixed(['Bearer realm="https://h.example.org/token"', ',service="x"', "Basic ",
                    "Bearer", 'realm="x"', "=", ",", " ", '"', "\\", "a", "Basic realm=x", "\r\n ",
                    "é", 'realm="https://["', 'realm="null://x"', "Negotiate"])
LOCATIONS = texts("https://h.example.org/v2/x", "/v2/a/tags/list?last=1", "https://[", "//x",
                  "http://h.example.org:99999/", "https://h.example.org:x/")
HEADERS = st.fixed_dictionaries({}, optional={
    "Content-Type": KINDS, "Docker-Content-Digest": texts(CHILD), "Content-Length": NUMBERS,
    "WWW-Authenticate": CHALLENGES, "Location": LOCATIONS, "Retry-After": NUMBERS | DATES,
    "Link": mixed(['<https://h.example.org/v2/x?n=1>', "; ", 'rel="next"', "<", ">", " "]),
    "ratelimit-remaining": NUMBERS, "ratelimit-reset": NUMBERS, "ETag": texts('"x"'),
    "ratelimit-limit": texts("100;w=21600"), "Range": texts("0-7", "bytes=0-7"),
    "Content-Range": texts("bytes 0-6/7", "bytes */7", f"bytes 0-0/{'9' * 5000}"),
    "Date": DATES, "Last-Modified": DATES, "Content-Encoding": st.sampled_from(["gzip", "x"])})
BODIES = (json_files(OLD | st.sampled_from([
    MANIFEST, INDEX, {"tags": ["1"]}, {"repositories": ["a/b"]}, {"token": "x", "expires_in": 3}]))
          | st.sampled_from([b'{"token": "x", "expires_in": ' + b"9" * 400 + b"}", b"x"]))
ANSWERS = st.lists(st.tuples(st.sampled_from([200, 200, 200, 206, 401, 401, 404, 403, 307, 416,
                                              202, 429, 500, 999]), HEADERS, BODIES), max_size=5)
REQUESTS = st.sampled_from(["tags", "repositories", "manifest", "digest", "size", "blob", "mount",
                            "ping", "upload"])


def asked(value: tuple[str, list[tuple[int, dict[str, str], bytes]]], folder: Path) -> None:
    """A client that gets these answers, one after the other."""
    what, answers = value
    (folder / "login.json").write_text('{"auths": {"h.example.org": {"auth": "YTpi"}}}')
    registry = Registry("h.example.org", "https://h.example.org", folder / "login.json",
                        Played(answers))
    if what in ("tags", "repositories"):
        names = registry.tags("a/b") if what == "tags" else registry.repositories()
        assert all(isinstance(name, str) for name in names)
    elif what == "manifest":
        found = registry.find_manifest("a/b", CHILD)
        assert found is None or found.digest == CHILD
    elif what == "digest":
        registry.manifest_digest("a/b", "1")
    elif what == "size":
        assert isinstance(registry.blob_size("a/b", CHILD), int | None)
    elif what == "blob":
        with registry.blob("a/b", CONFIG["digest"], len(CONFIG_DATA)) as chunks:
            assert b"".join(chunks) == CONFIG_DATA
    elif what == "upload":
        registry.upload("a/b", CONFIG["digest"], 3, lambda: mock.MagicMock(
            __enter__=lambda _: iter([b"abc"]), __exit__=lambda *_: None))
    elif what == "mount":
        registry.mount("a/b", CHILD, "c/d")
    else:
        registry.ping()


def challenged(text: str, _: Path) -> None:
    """Challenges have a known scheme, and their parameters are texts."""
    for challenge in auth.challenges([text]):
        assert challenge.scheme in ("basic", "bearer")


def paused(headers: dict[str, str], _: Path) -> None:
    """Seconds that somebody would wait, or an error."""
    parsed = urllib3.HTTPHeaderDict(headers)
    pace.Host("h").learn(200, parsed)
    assert (pace.remaining(parsed) or 0) >= 0
    seconds = pace.pause(parsed, "here")
    assert seconds is None or 0 <= seconds <= pace.MAX_WAIT


def received(answers: list[tuple[int, dict[str, str], bytes]], folder: Path) -> None:
    """What a web server's answers leave is what one of them sent."""
    left = iter(answers)

    def request(*_: object, **__: object) -> urllib3.HTTPResponse:
        response = next(left, None)
        if response is None:
            raise urllib3.exceptions.ProtocolError("no further answer")
        return answer(*response)

    with mock.patch.object(pools.Pools, "at", lambda *_: mock.Mock(request=request)), \
            mock.patch.object(requests, "backoff", lambda _: 0.0), \
            mock.patch.object(pace, "MAX_WAIT", 0.0):
        got = download.fetch("http://user:word@127.0.0.1/x", folder / "x", network=Network(),
                             most=LARGEST)
    assert files.sha256(folder / "x") == got.sha256


PLUGINS = [{"id": "nf-a", "releases": [
    {"version": "1.0.0", "url": "nf-a-1.zip", "requires": ">=23.04.0", "sha512sum": "x"},
    {"version": "1.1.0-rc", "url": "https://p.example.org/x.zip", "requires": None},
    {"version": "9" * 5000, "url": "http://["}]}]


def chosen(value: tuple[bytes, bool, str | None, str], folder: Path) -> None:
    """A release of the plugin that was asked for, whose zip lies on the web."""
    data, is_registry, version, url = value
    at = PluginsAt(registry="https://r.example.org/api", index=None) if is_registry else PluginsAt(
        index="https://p.example.org/plugins.json", registry=None)

    def fetch(_url: str, target: Path, **_: object) -> None:
        target.write_bytes(data)

    with mock.patch.object(download, "fetch", fetch):
        index, own = plugin_index.ask(at, {"nf-a": version}, "24.10.5", folder,
                                      Network())
    release = plugin_index.choose(index, url or own, "nf-a", version, "24.10.5")
    assert release.id == "nf-a"
    assert version in (None, release.version)
    assert release.url.partition("://")[0] in ("http", "https")


def named(text: str, _: Path) -> None:
    """What is a reference is read the same when it is shown."""
    for registry in (None, "r.example.org/x", text):
        read = reference.complete(text, registry)
        again = reference.parse(str(read))
        assert again == read
        assert destination.Destination(address="h:1").path(read).isascii()


def addressed(text: str, _: Path) -> None:
    """No login survives in what is shown, and what is mapped goes where the map says."""
    if not set("/?#@") & set(text) and not any(map(str.isspace, text)):
        assert "s3cr3t" not in urls.redact(f"https://me:s3cr3t@h{text}/?token=s3cr3t")
    urls.redact(text)
    urls.has_password(text)
    urls.path(text)
    urls.is_url(text)
    assert urls.mapped(text, {"https://a/": "file:///b/"}) is not None
    for part in cells.parts(text):
        reached = sources.at(part, sources.Reach(prefixes={}))[1]
        urls.without_login(str(reached))


def braced(text: str, _: Path) -> None:
    """No more names than are allowed."""
    assert len(globs.braces(text)) <= globs.MAX_NAMES
    globs.matcher(text).fullmatch(text[:100])
    globs.base(text)


def compared(value: tuple[str, str], _: Path) -> None:
    """A version fits a condition or doesn't."""
    version, condition = value
    assert versions.meets(version, condition) in (True, False)
    pipeline_version.misfit("24.10.5", condition)


LOGINS = {"auths": {"h.example.org": {"auth": "YTpi"}, "https://index.docker.io/v1/": {
    "username": "a", "password": "b", "identitytoken": ""}}, "credHelpers": {"x": "y"},
    "credsStore": ""}
ODD_LOGINS: SearchStrategy[Any] = st.sampled_from(
    [*NAMES, "YTpi", "YQ==", "é=", 7, None, [], "/8" * 8]).map(
    lambda value: {"auths": {"h.example.org": {"auth": value}}}) | st.sampled_from(NAMES).map(
    lambda value: {"auths": {"h.example.org": {"username": value, "password": value}}})


def logged_in(data: bytes, folder: Path) -> None:
    """A login that can be sent in a header, or none."""
    (folder / "config.json").write_bytes(data)
    with mock.patch.object(credentials, "_ask", lambda *_: None):
        found = credentials.find("h.example.org", folder / "config.json")
    if found is not None:
        assert found.basic.startswith("Basic ")
        assert found.basic.isascii()


def _versions() -> SearchStrategy[str]:
    return texts("24.10.5", "25.04.0-edge", ">=23.04.0, <25", "!>=24", "nextflow@24", "24.+",
                 "0" * 5000, "9" * 5000)


READERS = [
    Reader(name="image", read=resolved, inputs=st.tuples(
        KINDS, json_files(st.sampled_from([MANIFEST, INDEX]) | OLD),
        json_files(st.just(MANIFEST)), json_files(st.just(json.loads(CONFIG_DATA))))),
    Reader(name="registry", read=asked, quick=20, inputs=st.tuples(REQUESTS, ANSWERS)),
    Reader(name="challenge", read=challenged, inputs=CHALLENGES),
    Reader(name="limits", read=paused, quick=25, inputs=HEADERS),
    Reader(name="web", read=received, quick=20, inputs=ANSWERS),
    Reader(name="plugin index", read=chosen, inputs=st.tuples(
        json_files(st.sampled_from([PLUGINS, {"plugins": PLUGINS}])) | json_of("plugins-index"),
        st.booleans(), st.sampled_from([None, "1.0.0", "9" * 5000]),
        st.sampled_from(["", "https://p.example.org/"]))),
    Reader(name="reference", read=named, inputs=texts(
        "quay.io/a/b:1", "a", "docker.io/library/a:1@sha256:" + "0" * 64, "localhost:5000/x",
        "A/B", "a__b/c--d.e:tag", "h.example.org:65536/x")),
    Reader(name="address", read=addressed, inputs=texts(
        "https://u:p@h.example.org:443/a?token=x#y", "s3://b/k", "ftp://h/x", "http://[::1]/",
        "https://[", "https://h:x/", "a,https://x/ s3://y", "https://\u2100/")),
    Reader(name="braces", read=braced, inputs=texts(
        "s3://a/{b,c{d,e}}/*.fa", "{1,2}" * 30, "{" * 3000, "{,}" * 40, "**/?[a-z]*" * 50)
        | mixed(["{", "}", ",", "a", "*", "**", "?", "/"])),
    Reader(name="version", read=compared, inputs=st.tuples(_versions(), _versions())),
    Reader(name="login", read=logged_in, inputs=json_files(st.just(LOGINS) | ODD_LOGINS)),
]
