"""Hosts that can't be reached: said at once, by name, with the proxy that was asked."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.code import stage
from tasks.core import files
from tasks.core.errors import SourceError
from tasks.core.net import download
from tasks.core.net.request import persist
from tasks.core.net.unreachable import Unreachable
from tasks.core.registry.client import Access, Registries
from tasks.data import ftp
from tasks.data.bucket import Buckets
from tasks.runtime import maven
from tests.kit.git import spec
from tests.kit.web import Quiet, Server, Web, near, running

CLOSED = "127.0.0.1:9"
"""The discard service, which nobody runs."""
AT_ONCE = 3.0
"""Seconds; five attempts with their pauses would take longer than 4."""


@contextlib.contextmanager
def at_once(what: str) -> Iterator[pytest.ExceptionInfo[Unreachable]]:
    """The block ends in an error of one attempt that says `what`."""
    begun = time.monotonic()
    with pytest.raises(Unreachable, match=what) as caught:
        yield caught
    assert time.monotonic() - begun < AT_ONCE


def data(host: str, folder: Path) -> None:
    download.fetch(f"http://{host}/x.fq", folder / "x.fq", network=near(), most=1000)


def registry(host: str, _: Path) -> None:
    Registries(Access(registries={"it": f"http://{host}"}, ca=None, authfile=None,
                      network=near())).at("it").manifest("org/tool", "1")


def by_ftp(host: str, _: Path) -> None:
    network, url = near(), f"ftp://{host}/x.fq"
    persist(url, network.hosts, lambda: ftp.Ftp(network).look(url))


def bucket(host: str, _: Path) -> None:
    network = near()
    persist("s3://reads/x", network.hosts,
            lambda: Buckets({"reads": f"http://{host}"}, network).look("s3://reads/x.fq"))


def by_git(host: str, folder: Path) -> None:
    stage.from_git(spec(folder, f"http://{host}/git"))


KINDS = (data, registry, by_ftp, bucket, by_git)


@pytest.mark.parametrize("ask", KINDS)
@pytest.mark.parametrize("host", [CLOSED, "nowhere.invalid"])
def test_a_host_that_never_answered_is_named_after_one_attempt(
        ask: Callable[[str, Path], None], host: str, tmp_path: Path,
        bucket_credentials: None) -> None:
    with at_once(f"no answer from {host}") as caught:
        ask(host, tmp_path)
    assert ask is by_ftp or "without a proxy" in str(caught.value)


@pytest.mark.parametrize("ask", [data, registry])
def test_a_proxy_that_is_away_is_named_without_its_password(
        ask: Callable[[str, Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://me:s3cret@{CLOSED}")
    with at_once(r"no answer from data\.example\.org") as caught:
        ask("data.example.org", tmp_path)
    assert f"through the proxy http://{CLOSED}, by HTTP_PROXY" in str(caught.value)
    assert "s3cret" not in str(caught.value)


class NoTunnel(Quiet):
    """A proxy that reaches nobody."""

    def do_CONNECT(self) -> None:
        self.send_response(503)
        self.end_headers()


def test_a_proxy_that_reaches_nobody_is_named(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(Server(NoTunnel)) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        with at_once(r"no answer from data\.example\.org") as caught:
            download.fetch("https://data.example.org/x.fq", tmp_path / "x.fq", network=near(),
                           most=1000)
        assert f"through the proxy {proxy.url}" in str(caught.value)


def test_all_that_is_asked_of_one_host_gives_one_error(tmp_path: Path) -> None:
    registries = Registries(Access(registries={"it": f"http://{CLOSED}"}, ca=None, authfile=None,
                                   network=near()))
    said = set()
    for name in ("one", "two"):
        with pytest.raises(Unreachable) as caught:
            registries.at("it").manifest(name, "1")
        said.add(str(caught.value))
    assert len(said) == 1


def test_a_host_that_has_answered_is_asked_again(quick: None, tmp_path: Path) -> None:
    network = near()
    with running(Web()) as web:
        web.files["/x.fq"], web.headers["/x.fq"] = b"reads", {"Connection": "close"}
        url = f"{web.url}/x.fq"
        download.fetch(url, tmp_path / "x.fq", network=network, most=1000)
    with pytest.raises(SourceError, match=r"\(5 attempts\)") as caught:
        download.fetch(url, tmp_path / "x.fq", network=network, most=1000)
    assert not isinstance(caught.value, Unreachable)


@pytest.mark.parametrize(("said", "host"), [
    ("transfer failed for https://repo.example.org/x.pom: Unknown host repo.example.org: "
     "Temporary failure in name resolution", "repo.example.org"),
    ("Could not transfer artifact a:b:pom:1 from/to central: Connect to repo.example.org:443 "
     "[repo.example.org/10.0.0.1] failed: Connection refused (Connection refused)",
     "repo.example.org:443"),
])
def test_maven_s_own_words_are_understood(said: str, host: str, tmp_path: Path,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_text(tmp_path / "bin/mvn", f"#!/bin/sh\necho '[ERROR] {said}'; exit 1\n",
                     mode=0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    with pytest.raises(SourceError, match=f"no answer from {host}") as caught:
        maven.resolve(("a:b:1",), tmp_path / "scratch/lib", log=tmp_path / "log",
                      repository=tmp_path / "maven", environment=os.environ, least="none")
    assert "settings.xml" in str(caught.value)
