"""A man in the middle, and servers that send elsewhere: nobody believes them, and no login leaks.

Each way out is taken by the product's own client: data and plugins, registries, S3, and git.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tasks.code import git, stage
from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.settings import PluginsAt
from tasks.core.errors import AirlockError, IntegrityError
from tasks.core.net import download, request
from tasks.core.net.inner_addresses import Inside
from tasks.core.net.network import Network
from tasks.core.registry.client import Access, Registries
from tasks.core.store.store import open_store
from tasks.plugins import index
from tests.kit import web
from tests.kit.locks import lock_at
from tests.kit.tls import certificates

SECRET = "s3cr3t-w0rd"
LOGIN = "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()
INSIDE = Inside(allowed=("127.0.0.1", "localhost"))


@dataclass
class Server:
    """Somebody on the wire: what was asked of them, and what they answer."""

    url: str = ""
    status: int = 404
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def leaks(self) -> bool:
        """Whether a login arrived, in whatever form."""
        return any(SECRET in str(entry) or LOGIN[6:] in str(entry) or "authorization" in entry[2]
                   for entry in self.seen)


@contextmanager
def serving(tls: tuple[Path, Path] | None, name: str = "127.0.0.1") -> Iterator[Server]:
    """A server of loopback, by `tls` (certificate and key) or plain."""
    wire = Server()

    class Handler(web.Quiet):
        protocol_version = "HTTP/1.0"
        timeout = 2

        def do_GET(self) -> None:
            wire.seen.append((self.command, self.path,
                              {key.lower(): value for key, value in self.headers.items()}))
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.send_response(wire.status)
            for key, value in {"Content-Length": str(len(wire.body)), **wire.headers}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(wire.body)

        do_HEAD = do_PUT = do_POST = do_PATCH = do_GET

    with web.running(web.Server(Handler, tls=tls)) as server:
        wire.url = f"{server.scheme}://{name}:{server.server_port}"
        yield wire


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The organisation's CA, and certificate and key of a server at 127.0.0.1."""
    return certificates(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def impostor(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Certificate and key for the same address, by another CA of the same name."""
    return certificates(tmp_path_factory.mktemp("other"))[1:]


Ask = Callable[[Server, Path], object]


def data(at: Server, folder: Path) -> None:
    download.fetch(at.url.replace("://", f"://me:{SECRET}@") + "/x.fq", folder / "x",
                   network=Network(inside=INSIDE), most=1000)


def plugins(at: Server, folder: Path) -> None:
    index.ask(PluginsAt(index=f"{at.url}/plugins.json"), {"nf-a": None}, "24.10.5", folder,
              Network(inside=INSIDE))


def _registry(at: Server, folder: Path) -> Any:
    login = folder / "config.json"
    login.write_text(json.dumps({"auths": {at.url.partition("://")[2]: {"auth": LOGIN[6:]}}}))
    return Registries(Access(registries={"quay.io": at.url}, ca=folder / "ca.crt",
                             authfile=login, network=Network(inside=INSIDE))).at("quay.io")


def registry(at: Server, folder: Path) -> None:
    _registry(at, folder).manifest("a/b", "1")


def bucket(at: Server, folder: Path) -> None:
    store = open_store(StoreAt(url="s3://bucket/x", endpoint=at.url, region="us-east-1"))
    (folder / "f").write_bytes(b"x")
    for work in (lambda: store.get("tool/x", folder / "back", most=1000),
                 lambda: store.put("tool/x", folder / "f", files.sha256(folder / "f")),
                 lambda: store.list("tool/")):
        with pytest.raises(AirlockError):
            work()
    store.head("tool/x")


def repository(at: Server, folder: Path) -> None:
    stage.from_git(stage.GitStage(
        pipeline="p", source=f"{at.url}/x.git", revision="v1", urls={}, cache=folder / "cache",
        archive=folder / "code.tar", manifest=folder / "manifest.json",
        lock=lock_at(folder / "locks", "code"), log=folder / "log", relock=False))


WAYS: dict[str, Ask] = {ask.__name__: ask for ask in (data, plugins, registry, bucket,
                                                      repository)}


@pytest.fixture(autouse=True)
def trusting(authority: tuple[Path, Path, Path], tmp_path: Path,
             monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who trusts the organisation's CA, and has logins for everything."""
    (tmp_path / "ca.crt").write_bytes(authority[0].read_bytes())
    for name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE", "GIT_SSL_CAINFO"):
        monkeypatch.setenv(name, str(tmp_path / "ca.crt"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv(git.TOKEN, SECRET)
    monkeypatch.setattr(request, "ATTEMPTS", 1)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("middle", ["another CA", "another name", "plain"])
def test_a_man_in_the_middle_gets_no_secret(
        authority: tuple[Path, Path, Path], impostor: tuple[Path, Path], tmp_path: Path,
        way: str, middle: str) -> None:
    """Another CA's certificate, the right CA's for another host, and no TLS where it must be."""
    tls = {"another CA": impostor, "another name": authority[1:], "plain": None}[middle]
    with serving(tls, "localhost" if middle == "another name" else "127.0.0.1") as server:
        server.url = server.url.replace("http://", "https://")
        with pytest.raises(AirlockError) as caught:
            WAYS[way](server, tmp_path)
        assert SECRET not in str(caught.value)
    assert server.seen == []


@pytest.mark.parametrize("way", WAYS)
def test_the_right_server_is_asked(authority: tuple[Path, Path, Path], tmp_path: Path,
                                   way: str) -> None:
    """What the tests above and below rely on: nothing but TLS stands in the way."""
    with serving(authority[1:]) as server:
        try:
            WAYS[way](server, tmp_path)
        except AirlockError as error:
            assert SECRET not in str(error)
    assert server.seen


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("status", [301, 303, 308])
def test_nobody_is_sent_from_tls_to_a_plain_connection(
        authority: tuple[Path, Path, Path], tmp_path: Path, way: str, status: int) -> None:
    with serving(authority[1:]) as server, serving(None) as plain:
        server.status, server.headers = status, {
            "Location": f"{plain.url}/x/info/refs?service=git-upload-pack",
            "x-amz-bucket-region": "us-east-1"}
        try:
            WAYS[way](server, tmp_path)
        except AirlockError as error:
            assert SECRET not in str(error)
        else:
            assert way == "bucket"
    assert server.seen
    assert plain.seen == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("status", [302, 307])
def test_a_login_does_not_go_where_a_redirect_leads(
        authority: tuple[Path, Path, Path], tmp_path: Path, way: str, status: int) -> None:
    """To another port of the same host, by the same CA."""
    with serving(authority[1:]) as server, serving(authority[1:]) as other:
        server.status = status
        server.headers = {"Location": f"{other.url}/x", "WWW-Authenticate": 'Basic realm="x"'}
        other.status, other.headers = 401, {"WWW-Authenticate": 'Basic realm="x"'}
        try:
            WAYS[way](server, tmp_path)
        except AirlockError as error:
            assert SECRET not in str(error)
    assert server.seen
    assert not other.leaks()
    if way == "bucket":
        assert other.seen == []


def test_a_token_goes_to_its_registry_alone(authority: tuple[Path, Path, Path],
                                            tmp_path: Path) -> None:
    """A bearer token, and the login that it was got for: the object store sees neither."""
    manifest = b'{"schemaVersion": 2}'
    digest = f"sha256:{files.sha256_bytes(manifest)}"
    with serving(authority[1:]) as server, serving(authority[1:]) as other, \
            serving(authority[1:]) as tokens:
        tokens.status, tokens.body = 200, json.dumps({"token": SECRET}).encode()
        other.status, other.body = 200, manifest
        server.status = 401
        server.headers = {"WWW-Authenticate": f'Bearer realm="{tokens.url}/token"'}
        client = _registry(server, tmp_path)
        before = client._auth.learn
        def admitted(*given: Any) -> Any:
            server.status, server.headers = 307, {"Location": f"{other.url}/blob"}
            return before(*given)
        client._auth.learn = admitted
        assert client.find_manifest("a/b", digest).data == manifest
    assert [entry[2].get("authorization") for entry in server.seen] == [None, f"Bearer {SECRET}"]
    assert [entry[2].get("authorization") for entry in tokens.seen] == [LOGIN]
    assert len(other.seen) == 1
    assert not other.leaks()


def test_a_token_is_not_asked_for_over_a_plain_connection(
        authority: tuple[Path, Path, Path], tmp_path: Path) -> None:
    with serving(authority[1:]) as server, serving(None) as plain:
        server.status = 401
        server.headers = {"WWW-Authenticate": f'Bearer realm="{plain.url}/token"'}
        with pytest.raises(AirlockError, match="can't be used"):
            registry(server, tmp_path)
    assert plain.seen == []


def test_bytes_changed_on_the_way_are_refused_by_every_digest(
        authority: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """One who holds the right certificate, such as a proxy that looks into TLS."""
    with serving(authority[1:]) as server:
        server.status, server.body = 200, b'{"schemaVersion": 2}'
        server.headers = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
        client = _registry(server, tmp_path)
        with pytest.raises(IntegrityError, match="other bytes than its digest"):
            client.find_manifest("a/b", "sha256:" + "0" * 64)
        with pytest.raises(IntegrityError), client.blob("a/b", "sha256:" + "0" * 64, 20) as chunks:
            b"".join(chunks)


def test_an_expired_certificate(authority: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """Of the right CA, for the right name, of last year."""
    ca, key, csr, crt = authority[0], *(tmp_path / name for name in ("key", "csr", "crt"))
    (tmp_path / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
    commands: list[list[str | Path]] = [
        ["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", key, "-out", csr],
        ["x509", "-req", "-in", csr, "-CA", ca, "-CAkey", ca.with_name("ca.key"), "-days", "-1",
         "-extfile", tmp_path / "ext", "-out", crt]]
    for words in commands:
        subprocess.run(["openssl", *words], check=True, capture_output=True)
    with serving((crt, key)) as server:
        for way in WAYS.values():
            with pytest.raises(AirlockError):
                way(server, tmp_path)
    assert server.seen == []
