"""Podman's socket in the place of Docker's: the smoke run through the gate, and failing pulls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.engine import daemon
from tasks.core.engine.address import Engine
from tasks.core.errors import HostError, RegistryError
from tasks.dev.smoke import SmokeSpec, smoke
from tasks.runtime import build as runtimes
from tests.kit import engines, machine
from tests.kit import registries as servers
from tests.kit import releases as staged
from tests.kit.project import ROOT
from tests.kit.tls import self_signed

APPLETS = ("awk", "cat", "cp", "date", "env", "grep", "head", "id", "ln", "ls", "mkdir", "mkfifo",
           "mktemp", "mv", "ps", "rm", "sed", "sh", "sleep", "stat", "tail", "tee", "touch", "tr")
MAIN = """
process DRUM {
    cpus 1
    memory '60 MB'
    output: path 'beats.txt'
    script: 'exit 1'
    stub: 'id -u > beats.txt; ls / >> beats.txt'
}
workflow { DRUM().view { "BEATS ${it.text.readLines().first()}" } }
"""
CONFIG = """
process.container = 'IMAGE'
podman.enabled = true
profiles { offline {} }
report.overwrite = true
trace.overwrite = true
dag.overwrite = true
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image in which Nextflow can run a task, with a user of its own."""
    return engines.for_tasks(tmp_path_factory.mktemp("image"), APPLETS)


@pytest.fixture
def podman(tmp_path: Path) -> Iterator[engines.Engine]:
    servers.need_programs()
    with engines.podman(tmp_path / "podman") as engine:
        yield engine


def test_a_smoke_run_by_podman_s_socket_ends_well_where_offline_config_says_podman(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: Path, podman: engines.Engine,
        runtime: runtimes.Runtime) -> None:
    machine.need_namespaces()
    monkeypatch.chdir(tmp_path)
    at = staged.stage("drums").layout
    with servers.registry(tmp_path / "registry") as server, engines.podman_service(
            podman, tmp_path / "service", plain=server.address) as url:
        servers.push(server, "band/drum", "1", image)
        destination = f"{server.address}/band/drum"
        digest = servers.inspect(server, "band/drum:1")["Digest"]
        files.write_json(at.images_receipt, {"registry": server.address, "images": [{
            "source": "quay.io/band/drum:1", "destination": destination, "digest": digest,
            "platform": "linux/amd64", "size": 1}]})
        files.write_text(at.offline_config, CONFIG.replace("IMAGE", f"{destination}@{digest}"))
        files.write_tar(at.plugins, Path(), [])
        files.write_tar(at.code, Path(), [], extra={
            "main.nf": MAIN.encode(), "nextflow.config": b"profiles { test {} }\n"})
        spec = SmokeSpec(
            pipeline="drums", site="here", profile="test", engine=Engine(url=url), authfile=None,
            code=at.code, runtime=runtime.archive, plugins=at.plugins, config=at.offline_config,
            data_manifest=at.data_manifest, receipt=at.images_receipt, output=at.smoke,
            docker=ROOT / "config/engines/docker.config")
        assert "ended well, 1 images pulled" in smoke(spec)
        assert "BEATS 0\n" in (at.smoke / "smoke.log").read_text()
        assert podman.run("ps", "--all", "--quiet").stdout.strip() == ""


def test_a_podman_that_keeps_no_events_is_refused_at_once(
        tmp_path: Path, podman: engines.Engine) -> None:
    """Nextflow would wait for its first task until the run's time is over."""
    with engines.podman_service(podman, tmp_path / "service", events="none") as url, \
            pytest.raises(HostError, match="keeps no events") as caught:
        daemon.connect(Engine(url=url))
    assert 'events_logger = "file"' in str(caught.value.todo)


@pytest.mark.parametrize("cause", ["ca", "login", "absent"])
def test_what_podman_says_within_a_pull_is_told_with_what_to_do(
        tmp_path: Path, image: Path, podman: engines.Engine, cause: str) -> None:
    """Docker's own client passes over it, and would say `No such image` of all three."""
    tls = self_signed(tmp_path, "registry") if cause == "ca" else None
    login = servers.passwords(tmp_path) if cause == "login" else None
    with servers.registry(tmp_path / "registry", tls=tls, htpasswd=login) as server, \
            engines.podman_service(podman, tmp_path / "service",
                                   plain=None if tls else server.address) as url:
        reference = f"{server.address}/band/drum@sha256:{'a' * 64}"
        with pytest.raises(RegistryError) as caught:
            daemon.pull(daemon.connect(Engine(url=url)), [reference], authfile=None)
    said, todo = {"ca": ("x509", f"put the registry's CA at /etc/docker/certs.d/{server.address}"),
                  "login": ("unauthorized", "mend the login"),
                  "absent": ("manifest unknown", "holds no such image")}[cause]
    assert said in caught.value.what and todo in str(caught.value.todo)
    assert "No such image" not in caught.value.what
