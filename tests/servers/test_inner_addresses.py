"""Requests to inside: whoever names an address there, nothing arrives, and the error says why."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from pyftpdlib.handlers import FTPHandler

from tasks.core import files
from tasks.core.config.settings import PluginsAt
from tasks.core.errors import RegistryError, SourceError
from tasks.core.net import download
from tasks.core.net.network import Network
from tasks.core.registry.client import Access, Registries
from tasks.data import bucket
from tasks.data.blobs import Cache, fetch_all
from tasks.data.sources import Reach, expand, sizes
from tasks.plugins import index
from tests.kit.ftp import ftp_server
from tests.kit.hostile import PUBLIC, SECRET, Hostile, table
from tests.kit.registry_memory import Answer, Memory, Request, serve
from tests.kit.web import Web, serving

pytestmark = pytest.mark.usefixtures("quick")


class Listener:
    """A port of loopback that counts who comes."""

    def __init__(self, family: socket.AddressFamily, address: str) -> None:
        self._socket = socket.socket(family)
        self._socket.bind((address, 0))
        self._socket.listen()
        self.port = int(self._socket.getsockname()[1])
        self.came = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                self._socket.accept()[0].close()
            except OSError:
                return
            self.came += 1

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@contextmanager
def untouched(family: socket.AddressFamily, address: str) -> Iterator[Listener]:
    """Something inside that nobody may reach."""
    listener = Listener(family, address)
    yield listener
    listener.close()
    assert listener.came == 0, "something arrived inside"


@pytest.fixture
def within() -> Iterator[Listener]:
    with untouched(socket.AF_INET, "127.0.0.1") as listener:
        yield listener


@pytest.fixture
def elsewhere() -> Iterator[Listener]:
    with untouched(socket.AF_INET, "127.0.0.2") as listener:
        yield listener


@pytest.fixture
def within6() -> Iterator[Listener]:
    with untouched(socket.AF_INET6, "::1") as listener:
        yield listener


def named(web: Web) -> Reach:
    """A site that names this server, by a map of URLs, and no other."""
    return Reach(prefixes={"https://data.example.org/": f"{web.url}/"})


def refused(url: str, reach: Reach, root: Path) -> str:
    """What is said of a URL that must not be had, neither its size nor its bytes."""
    with pytest.raises(SourceError):
        sizes({url: ["here"]}, reach)
    with pytest.raises(SourceError) as caught:
        fetch_all({url: ["row 1"]}, Cache(folder=root / "blobs", partial=root / "partial",
                                          reach=reach, known={}))
    assert "hosts.inside" in str(caught.value)
    assert "row 1" in str(caught.value)
    assert not [path for path in files.tree(root / "partial") if path.is_file()]
    return str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f000001", "2130706433", "127.1",
                                  "[::ffff:127.0.0.1]", "0", "user@127.0.0.1", "127.0.0.2"])
def test_a_redirect_to_another_port_of_a_named_host(web: Web, within: Listener, host: str,
                                                    tmp_path: Path) -> None:
    web.redirects["/x.fq"] = f"http://{host}:{within.port}/latest/meta-data"
    assert host.rpartition("@")[2].strip("[]") in refused(
        "https://data.example.org/x.fq", named(web), tmp_path)
    assert web.asked("/x.fq") == 1


def test_a_redirect_to_loopback_by_ipv6(web: Web, within6: Listener, tmp_path: Path) -> None:
    web.redirects["/x.fq"] = f"http://[::1]:{within6.port}/"
    refused("https://data.example.org/x.fq", named(web), tmp_path)


def test_a_redirect_of_a_named_host_to_itself_is_followed(web: Web, tmp_path: Path) -> None:
    web.redirects["/x.fq"] = f"{web.url}/y.fq"
    web.files["/y.fq"] = b"reads"
    assert sizes({"https://data.example.org/x.fq": []}, named(web)) == {
        "https://data.example.org/x.fq": 5}


@contextmanager
def resolving(monkeypatch: pytest.MonkeyPatch, **hosts: list[str]) -> Iterator[None]:
    """Let names have the one address after the other, the last one for ever."""
    real = socket.getaddrinfo

    def resolve(host: str, port: int, *more: Any, **options: Any) -> Any:
        known = hosts.get(host.replace(".", "_"))
        if not known:
            return real(host, port, *more, **options)
        return real(known.pop(0) if len(known) > 1 else known[0], port, *more, **options)

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", resolve)
        yield


def test_a_name_of_the_metadata_service(web: Web, tmp_path: Path,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    web.redirects["/x.fq"] = "http://meta.example.org/latest/meta-data/iam"
    with resolving(monkeypatch, meta_example_org=["169.254.169.254"]):
        said = refused("https://data.example.org/x.fq", named(web), tmp_path)
    assert "meta.example.org (169.254.169.254)" in said


def test_a_name_that_changes_its_address(web: Web, within: Listener, tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    """The first answer is one of the internet, for whoever judges a name before it is asked."""
    web.redirects["/x.fq"] = f"http://two.example.org:{within.port}/"
    with resolving(monkeypatch, two_example_org=["192.88.98.1", "127.0.0.1"]):
        monkeypatch.setattr(socket.socket, "connect", _unreachable(web.server_port, within.port))
        said = refused("https://data.example.org/x.fq", named(web), tmp_path)
    assert "two.example.org (127.0.0.1)" in said


def _unreachable(*ports: int) -> Any:
    """Connects to loopback alone: the internet doesn't take connections here."""
    real = socket.socket.connect

    def connect(self: socket.socket, place: Any) -> None:
        if not str(place[0]).startswith("127."):
            raise ConnectionRefusedError
        assert place[1] in ports
        real(self, place)

    return connect


@pytest.mark.parametrize("host", ["127.0.0.1", "inner.example.org"])
def test_a_proxy_is_not_asked_for_what_lies_inside(web: Web, within: Listener, tmp_path: Path,
                                                   host: str,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "nothing")
        with resolving(monkeypatch, inner_example_org=["10.1.2.3"]):
            refused(f"http://{host}:{within.port}/x.fq", Reach(), tmp_path)
        proxy.files["http://known.to.the.proxy.invalid/x.fq"] = b"reads"
        assert sizes({"http://known.to.the.proxy.invalid/x.fq": []}, Reach()) == {
            "http://known.to.the.proxy.invalid/x.fq": 5}
        assert {path for path, *_ in proxy.seen} == set()
        assert proxy.heads == ["http://known.to.the.proxy.invalid/x.fq"]


def test_cells_that_name_what_lies_inside(hostile: Hostile, resolved: dict[str, Any], web: Web,
                                          within: Listener, within6: Listener) -> None:
    """The user's credentials are there, and no bucket is listed."""
    cells = [f"http://localhost:{within.port}/a.fq", f"http://0x7f000001:{within.port}/b.fq",
             f"http://[::ffff:127.0.0.1]:{within.port}/c.fq", f"http://[::1]:{within6.port}/d.fq",
             f"ftp://127.0.0.1:{within.port}/e.fq", f"http://127.0.0.1.:{within.port}/f.fq"]
    web.files["/sheet.csv"] = table([["sample", "file"], *(["a", cell] for cell in cells)])
    resolved["params"]["input"] = f"{PUBLIC}sheet.csv"
    hostile.run("stage")
    said = hostile.refused("mirror:data", "hosts.inside")
    for number in range(1, len(cells) + 1):
        assert f"row {number}, column file" in said


def test_a_bucket_that_is_not_listed_is_not_asked(hostile: Hostile, resolved: dict[str, Any],
                                                  web: Web,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "client_for", lambda *_, **__: pytest.fail("a client was made"))
    web.files["/sheet.csv"] = table([["sample", "file"], ["a", "s3://our-payroll/2024.csv"],
                                     ["b", "s3://our-payroll/all/"]])
    resolved["params"]["input"] = f"{PUBLIC}sheet.csv"
    hostile.run("stage")
    said = hostile.refused("mirror:data", "hosts.buckets", "`our-payroll: aws`")
    assert SECRET not in said


def test_a_bucket_s_server_that_points_inside(
        within: Listener, monkeypatch: pytest.MonkeyPatch, s3_login: None) -> None:
    """Its answer names another region; where AWS would be asked there, a resolver leads inside."""
    with resolving(monkeypatch, listed_s3_amazonaws_com=["127.0.0.1"]):
        with pytest.raises(SourceError, match=r"hosts\.inside"):
            sizes({"s3://listed/x": ["here"]}, Reach(buckets={"listed": "aws"}))
        with pytest.raises(SourceError, match=r"hosts\.inside"):
            expand("s3://listed/x/", Reach(buckets={"listed": "aws"}))


def test_data_of_ftp_come_from_the_server_that_was_asked(
        tmp_path: Path, elsewhere: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer to PASV names another address, where something listens."""
    for folder in ("public", "private"):
        files.write_bytes(tmp_path / "root" / folder / "x.fa", b">a\n")
    asked = []

    def passive(self: FTPHandler, line: str) -> None:
        asked.append(line)
        self.respond(f"227 Entering passive mode (127,0,0,2,{elsewhere.port >> 8},"
                     f"{elsewhere.port & 255}).")

    monkeypatch.setattr(FTPHandler, "ftp_PASV", passive)
    with ftp_server(tmp_path / "root") as port, pytest.raises(SourceError):
        fetch_all({f"ftp://127.0.0.1:{port}/x.fa": ["here"]},
                  Cache(folder=tmp_path / "b", partial=tmp_path / "p", known={}, reach=Reach(
                      network=Network().naming(f"ftp://127.0.0.1:{port}"))))
    assert asked


@pytest.fixture
def far() -> Iterator[Memory]:
    with serve(Memory()) as memory:
        yield memory


def registry(far: Memory) -> Any:
    return Registries(Access(registries={"it": far.url}, ca=None, authfile=None)).at("it")


def test_a_token_server_inside(far: Memory, within: Listener) -> None:
    realm = f"http://127.0.0.1:{within.port}/token"
    far.spoil = lambda request: (401, {
        "WWW-Authenticate": f'Bearer realm="{realm}",service="x"'}, b"")
    with pytest.raises(RegistryError, match=rf"hosts\.inside.*127\.0\.0\.1:{within.port}"):
        registry(far).manifest("a/b", "1")


def test_a_blob_that_lies_inside(far: Memory, within: Listener) -> None:
    digest = far.add_blob("a/b", b"data")
    far.spoil = lambda request: (307, {"Location": f"http://localhost:{within.port}/x"}, b"")
    with pytest.raises(RegistryError, match=r"hosts\.inside"), registry(far).blob(
            "a/b", digest, 4) as chunks:
        list(chunks)


def test_an_upload_that_is_to_go_inside(far: Memory, within: Listener) -> None:
    def spoil(request: Request) -> Answer | None:
        return (202, {"Location": f"http://127.0.0.1:{within.port}/upload"}, b"") \
            if request.method == "POST" else None

    far.spoil = spoil
    with pytest.raises(RegistryError, match="wants uploads at"):
        registry(far).upload("a/b", "sha256:" + "0" * 64, 1, lambda: nullcontext([b"x"]))


def test_an_image_of_a_registry_inside(within: Listener) -> None:
    known = Registries(Access(registries={}, ca=None, authfile=None))
    with pytest.raises(RegistryError, match=r"hosts\.inside"):
        known.at(f"localhost:{within.port}").manifest("a/b", "1")


@pytest.mark.parametrize("answers", ["index", "registry"])
def test_a_plugin_whose_zip_lies_inside(web: Web, within: Listener, tmp_path: Path,
                                        answers: str) -> None:
    entry = [{"id": "nf-x", "releases": [{
        "version": "1.0.0", "date": "2024-01-01T00:00:00Z", "sha512sum": "0" * 128,
        "url": f"http://127.0.0.1:{within.port}/nf-x.zip"}]}]
    web.files = {"/plugins.json": json.dumps(entry).encode(),
                 "/v1/plugins/dependencies": json.dumps({"plugins": entry}).encode()}
    at = (PluginsAt(index=f"{web.url}/plugins.json") if answers == "index"
          else PluginsAt(registry=web.url))
    network = Network().naming(web.url)
    known, base = index.ask(at, {"nf-x": "1.0.0"}, "24.10.5", tmp_path, network)
    release = index.choose(known, base, "nf-x", "1.0.0", "24.10.5")
    with pytest.raises(SourceError, match=r"hosts\.inside"):
        download.fetch(release.url, tmp_path / "x.zip", network=network, most=1000)


def test_an_index_that_redirects_inside(web: Web, within: Listener, tmp_path: Path) -> None:
    web.redirects["/plugins.json"] = f"http://127.0.0.1:{within.port}/"
    with pytest.raises(SourceError, match=r"hosts\.inside"):
        index.ask(PluginsAt(index=f"{web.url}/plugins.json"), {}, "24.10.5", tmp_path,
                  Network().naming(web.url))
