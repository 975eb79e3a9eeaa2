"""Real peers take the archives: Docker 20.10, Podman, containerd, skopeo."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.registry.client import Access
from tasks.images.destination import Destination
from tasks.images.lock_format import read_lock
from tests.kit import machine
from tests.kit import registries as servers
from tests.kit.engines import docker, podman, runnable, says, shell
from tests.kit.image_steps import Steps, steps

OCI, V2S2 = "quay.io/bio/oci:1.0", "quay.io/bio/docker:2--0"


@dataclass(frozen=True, kw_only=True)
class Saved:
    """Archives of an OCI image, a Docker image, and the first again, named by its digest."""

    steps: Steps
    digest: str
    folder: Path

    def names(self) -> dict[str, str]:
        """The names that the engine knows them by, to what they print."""
        return {OCI: "I am OCI", V2S2: "I am v2s2",
                f"quay.io/bio/oci:{self.digest.replace(':', '-')}": "I am OCI"}

    def archives(self) -> list[Path]:
        return sorted(self.folder.glob("*.tar"))

    def archive(self, name: str) -> Path:
        return next(self.folder.glob(f"{name}-*.tar"))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Saved]:
    servers.need_programs()
    root = tmp_path_factory.mktemp("saved")
    base = shell()
    with servers.registry(root / "registry") as server:
        # The same empty layer twice, as `docker build` makes them.
        for name, layers, is_docker in (("oci", [base, says("I am OCI")], False),
                                        ("docker", [base, says("I am v2s2"), bytes(10240),
                                                    bytes(10240)], True)):
            layout = runnable(root / name, layers, docker=is_docker)
            tag = "2--0" if is_docker else "1.0"
            subprocess.run(["skopeo", "--insecure-policy", "copy", "--quiet", "--preserve-digests",
                            "--dest-tls-verify=false", f"oci:{layout.folder}",
                            f"docker://{server.address}/quay.io/bio/{name}:{tag}"], check=True,
                           capture_output=True)
        digest = str(servers.inspect(server, OCI)["Digest"])
        access = Access(registries={"quay.io": f"{server.url}/quay.io"}, ca=None, authfile=None)
        at = steps(root / "p", [OCI, V2S2, f"quay.io/bio/oci@{digest}"], access,
                   Destination(address="none.example.org"))
        at.lock_and_save()
    yield Saved(steps=at, digest=digest, folder=at.save.folder)  # the source has gone


def test_docker_loads_and_runs_them(saved: Saved, tmp_path: Path) -> None:
    with docker(tmp_path / "docker") as engine:
        assert engine.run("version", "--format", "{{.Server.Version}}").stdout.strip()
        for path in saved.archives():
            engine.run("load", "--input", str(path))
        for name, text in saved.names().items():
            assert engine.run("run", "--rm", "--network=none", "--pull=never",
                              name).stdout.strip() == text
        # An engine of this kind keeps no digest; the image's id is its config's.
        image = next(image for image in read_lock(saved.steps.lock.merged)
                     if str(image.source) == OCI)
        assert image.config is not None
        assert engine.inspect(OCI)["Id"] == image.config.digest


def test_docker_refuses_a_flipped_byte(saved: Saved, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.tar"
    data = bytearray(saved.archive("oci-1.0").read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(bytes(data))
    with docker(tmp_path / "docker") as engine:
        assert engine.run("load", "--input", str(damaged), check=False).returncode
        assert engine.run("image", "inspect", OCI, check=False).returncode
        engine.run("load", "--input", str(saved.archive("oci-1.0")))
        engine.inspect(OCI)


def test_podman_loads_and_runs_them_and_keeps_their_digests(saved: Saved, tmp_path: Path) -> None:
    locked = {str(image.source): image.manifest for image in read_lock(saved.steps.lock.merged)}
    with podman(tmp_path / "podman") as engine:
        for path in saved.archives():
            engine.run("load", "--input", str(path))
        for name, text in saved.names().items():
            assert engine.run("run", "--rm", "--network=none", "--pull=never",
                              "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024",
                              name).stdout.strip() == text
        for source in (OCI, V2S2):
            assert engine.inspect(source)["Digest"] == locked[source]
        repository = OCI.rpartition(":")[0]
        engine.inspect(f"{repository}@{saved.digest}")


def test_skopeo_reads_them_in_both_forms(saved: Saved, tmp_path: Path) -> None:
    locked = {str(image.source): image for image in read_lock(saved.steps.lock.merged)}
    for name, source in (("oci-1.0", OCI), ("docker", V2S2)):
        path = saved.archive(name)
        seen = json.loads(subprocess.run(["skopeo", "inspect", f"oci-archive:{path}"], check=True,
                                         capture_output=True).stdout)
        assert seen["Digest"] == locked[source].manifest
        assert seen["Layers"] == [layer.digest for layer in locked[source].layers]
        target = tmp_path / name
        subprocess.run(["skopeo", "--insecure-policy", "copy", "--quiet",
                        f"docker-archive:{path}:{source}", f"dir:{target}"], check=True,
                       capture_output=True)
        config = locked[source].config
        assert config is not None
        assert files.sha256(target / config.digest.removeprefix("sha256:")) in config.digest


def test_skopeo_reads_the_layout_that_a_release_lays_out(saved: Saved, tmp_path: Path) -> None:
    at = saved.steps.layout
    for blob in at.blobs.iterdir():
        files.link_or_copy(blob / blob.name, tmp_path / "oci/blobs/sha256" / blob.name)
    for path in (at.index, at.marker):
        files.copy(path, tmp_path / "oci" / path.name)
    seen = json.loads(subprocess.run(["skopeo", "inspect", f"oci:{tmp_path}/oci:{OCI}"],
                                     check=True, capture_output=True).stdout)
    assert seen["Digest"] == saved.digest


def test_containerd_imports_them_by_name_and_digest(saved: Saved, tmp_path: Path) -> None:
    machine.need("containerd", "ctr")
    machine.need_root()
    socket = Path(f"/run/airlock-containerd-{os.getpid()}.sock")
    config = tmp_path / "config.toml"
    config.write_text(f'version = 2\nroot = "{tmp_path}/root"\nstate = "{tmp_path}/state"\n'
                      'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
                      f'[grpc]\naddress = "{socket}"\n')
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(["containerd", "--config", str(config)], stdout=log, stderr=log)
    try:
        ctr = ["ctr", "--address", str(socket), "images"]
        for _ in range(100):
            if subprocess.run([*ctr, "list"], capture_output=True, check=False).returncode == 0:
                break
            assert process.poll() is None, (tmp_path / "log").read_text()[-2000:]
            time.sleep(0.1)
        for path in saved.archives():
            subprocess.run([*ctr, "import", "--no-unpack", str(path)], check=True,
                           capture_output=True)
        listed = subprocess.run([*ctr, "list"], check=True, capture_output=True, text=True).stdout
        known = {line.split()[0]: line.split()[2] for line in listed.splitlines()[1:]}
        assert set(known) == set(saved.names())
        assert known[OCI] == saved.digest
    finally:
        process.terminate()
        process.wait(timeout=20)
        for left in (socket, Path(f"{socket}.ttrpc")):
            left.unlink(missing_ok=True)
