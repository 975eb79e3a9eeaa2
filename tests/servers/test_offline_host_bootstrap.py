"""What the offline host lacks is reported all at once, before anything is unpacked."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.engine.address import Engine
from tasks.core.errors import HostError, RegistryError
from tasks.core.in_place import InPlace
from tasks.core.net.inner_addresses import EVERYWHERE
from tasks.core.net.network import Network
from tasks.core.nextflow.machine import this_machine
from tasks.core.schema import read_json
from tasks.offline_host.bootstrap import BootstrapSpec, bootstrap, lacking, see_registry
from tasks.offline_host.fetch import fetch
from tests.kit.releases import Staged, stage
from tests.kit.tls import self_signed
from tests.kit.web import Quiet, Server, running

USER, PASSWORD = "reader", "a-secret-word"


class Registry(Quiet):
    """Answers `GET /v2/` as a registry with a password does."""

    def do_GET(self) -> None:
        wanted = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        good = self.headers.get("Authorization") == f"Basic {wanted}"
        self.send_response(200 if good else 401)
        if not good:
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """host:port of a TLS server; its certificate is tmp_path/registry.crt."""
    pair = self_signed(tmp_path, "registry")
    with running(Server(Registry, tls=pair)) as server:
        yield server.url.removeprefix("https://")


def login(folder: Path, address: str, password: str) -> Path:
    path = folder / "config.json"
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    path.write_text(json.dumps({"auths": {address: {"auth": auth}}}))
    return path


def test_the_registry_is_seen_over_verified_tls(registry: str, tmp_path: Path) -> None:
    ca, network = tmp_path / "registry.crt", Network(inside=EVERYWHERE)
    see_registry(registry, ca, login(tmp_path, registry, PASSWORD), network)
    wrong, _ = self_signed(tmp_path, "wrong")
    for distrusted in (wrong, None):
        with pytest.raises(RegistryError, match=r"certificate of .* is not trusted") as caught:
            see_registry(registry, distrusted, tmp_path / "config.json", network)
        assert f"/etc/docker/certs.d/{registry}/ca.crt" in str(caught.value)
    with pytest.raises(RegistryError, match="without a login, and none is known"):
        see_registry(registry, ca, tmp_path / "none", network)
    with pytest.raises(RegistryError, match="wrong user or password") as caught:
        see_registry(registry, ca, login(tmp_path, registry, "a-wrong-word"), network)
    assert "a-wrong-word" not in str(caught.value)
    with pytest.raises(RegistryError, match="Connection refused"):
        see_registry("127.0.0.1:9", ca, tmp_path / "config.json", network)


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Staged:
    monkeypatch.chdir(tmp_path)
    staged = stage()
    staged.publish()
    staged.trust_key()
    fetch(staged.fetch_spec())
    return staged


def test_all_that_is_lacking_is_said_at_once(fetched: Staged, tmp_path: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    spec = BootstrapSpec(
        pipeline="hello", layout=fetched.prod, launch=fetched.prod.launch, trust=fetched.trust,
        network=Network(inside=EVERYWHERE), engine=Engine(url=f"unix://{tmp_path}/no.sock"),
        machine=this_machine({"PATH": str(empty)}), place=InPlace(fetched.prod))
    folder = fetched.prod.release(fetched.id())
    release = read_json(folder / "release.json", "release")
    receipt = read_json(folder / "images.receipt.json", "images-receipt")
    receipt["images"][0]["destination"] = "127.0.0.1:9/quay.io/airlock/tool"
    files.write_json(folder / "images.receipt.json", receipt)
    said = "\n".join(map(str, lacking(spec, release, folder)))
    assert "'bash' is not on the PATH" in said
    assert "no container engine answers" in said
    assert "no answer from 127.0.0.1:9: Connection refused" in said

    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(1, 1, 0))
    monkeypatch.setattr("tasks.offline_host.bootstrap.see_registry", lambda *rest: None)
    with pytest.raises(HostError, match="can't run the release yet") as caught:
        bootstrap(spec)
    assert "'bash'" in str(caught.value) and "the disk has 0 B left" in str(caught.value)
    assert not fetched.prod.launch.exists() and not fetched.prod.bootstrap.exists()
