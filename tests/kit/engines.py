"""Images that engines can run, and the engines themselves, for tests of archives."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.local_site import images, packages
from tests.kit import machine
from tests.kit.images import (
    DOCKER,
    DOCKER_CONFIG,
    DOCKER_LAYER,
    OCI,
    OCI_CONFIG,
    OCI_LAYER,
    OciLayout,
)


def programs(contents: dict[str, bytes]) -> bytes:
    """A layer's tar, all its files executable."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in sorted(contents.items()):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def shell() -> bytes:
    """A static busybox as /bin/sh, in a layer."""
    return programs({"bin/sh": machine.busybox().read_bytes()})


def runnable(folder: Path, layers: Sequence[bytes], *, docker: bool = False,
             zipped: bool = True) -> OciLayout:
    """A layout of one image that prints what /etc/says holds; its layers are compressed."""
    layout = OciLayout(folder)
    config = {"os": "linux", "architecture": "amd64",
              "config": {"Cmd": ["/bin/sh", "/etc/says"], "Env": ["PATH=/bin"]},
              "rootfs": {"type": "layers", "diff_ids": [
                  f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]},
              "history": [{"created_by": "test"} for _ in layers]}
    kind = DOCKER_LAYER if docker else OCI_LAYER + ("+gzip" if zipped else "")
    manifest = {"schemaVersion": 2, "mediaType": DOCKER if docker else OCI,
                "config": layout.add(json.dumps(config).encode(),
                                   DOCKER_CONFIG if docker else OCI_CONFIG),
                "layers": [layout.add(gzip.compress(layer, mtime=0) if zipped else layer, kind)
                           for layer in layers]}
    layout.finish([layout.add(json.dumps(manifest).encode(), DOCKER if docker else OCI)])
    return layout


def for_tasks(folder: Path, applets: Iterable[str],
              more: Mapping[str, bytes] | None = None) -> Path:
    """A layout of an image with bash and some of busybox's programs, and `more` files."""
    machine.provide()
    content: dict[str, bytes | str] = {
        f"bin/{name}": packages.carried(machine.UNPACKED, f"{name}-static").read_bytes()
        for name in ("bash", "busybox")}
    content |= {f"bin/{name}": "/bin/busybox" for name in applets}
    content |= {"etc/passwd": b"root:x:0:0:root:/root:/bin/bash\n", **(more or {})}
    return runnable(folder, [images.layer_tar(content)]).folder


def says(text: str) -> bytes:
    """A layer with the script that the image runs."""
    return programs({"etc/says": f"echo {text}\n".encode()})


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A running dockerd, or podman with a storage of its own."""

    command: tuple[str, ...]

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the engine's client."""
        done = subprocess.run([*self.command, *words], text=True, capture_output=True, check=False,
                              stdin=subprocess.DEVNULL)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(words)}: {done.stdout}{done.stderr}")
        return done

    def inspect(self, name: str) -> dict[str, Any]:
        """What the engine says of an image."""
        description: dict[str, Any] = json.loads(self.run("image", "inspect", name).stdout)[0]
        return description


@contextmanager
def docker(root: Path) -> Iterator[Engine]:
    """The host's dockerd with its own data, without a network; ended by its process id."""
    machine.need("dockerd", "docker", "unshare")
    machine.need_root()
    socket = Path(f"/run/airlock-test-{os.getpid()}/docker.sock")
    socket.parent.mkdir(mode=0o700)
    root.mkdir(parents=True)
    hide = "mkdir -p /run/containerd; mount -t tmpfs tmpfs /run/containerd; exec \"$@\""
    daemon = ["dockerd", "--host", f"unix://{socket}", "--data-root", str(root / "data"),
              "--exec-root", str(socket.parent / "exec"), "--pidfile",
              str(socket.parent / "pid"), "--iptables=false", "--ip6tables=false",
              "--bridge=none", "--exec-opt", "native.cgroupdriver=cgroupfs",
              "--cgroup-parent", f"/{socket.parent.name}"]
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "slave", "sh", "-c", hide, "sh", *daemon],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    engine = Engine(command=("docker", "--host", f"unix://{socket}"))
    try:
        for _ in range(300):
            if engine.run("version", check=False).returncode == 0:
                break
            assert process.poll() is None, (root / "log").read_text()[-3000:]
            time.sleep(0.1)
        yield engine
    finally:
        process.terminate()
        process.wait(timeout=30)
        shutil.rmtree(socket.parent, ignore_errors=True)
        remove_cgroups(socket.parent.name)


def remove_cgroups(name: str) -> None:
    """The empty control groups that ended containers leave behind."""
    root = Path("/sys/fs/cgroup")
    for top in (root / name, *root.glob(f"*/{name}")):
        for folder, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()


LIMITED = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
"""
"""containers.conf where processes may not raise their own limits, as Podman's defaults would."""


@contextmanager
def podman_service(engine: Engine, folder: Path, *, plain: str | None = None,
                   events: str = "file") -> Iterator[str]:
    """Podman's API at a socket, ended by its process id; it asks the registry `plain` by HTTP.

    A client of Docker's waits for a container's end, which Podman knows by its `events`.
    """
    folder.mkdir(parents=True)
    settings = folder / "containers.conf"
    settings.write_text(LIMITED)
    registries = folder / "registries.conf"
    registries.write_text(f'[[registry]]\nlocation = "{plain}"\ninsecure = true\n' if plain else "")
    place = Path(f"/run/airlock-podman-{os.getpid()}/podman.sock")
    place.parent.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*engine.command, "--events-backend", events, "system", "service", "--time", "0",
             f"unix://{place}"],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            env={**os.environ, "CONTAINERS_CONF": str(settings),
                 "CONTAINERS_REGISTRIES_CONF": str(registries)})
    try:
        for _ in range(100):
            if place.exists():
                break
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        yield f"unix://{place}"
    finally:
        process.terminate()
        process.wait(timeout=20)


@contextmanager
def podman(root: Path) -> Iterator[Engine]:
    """Podman with its own storage."""
    machine.need("podman")
    machine.need_root()
    run = Path(f"/run/airlock-podman-{os.getpid()}")  # its sockets' paths must be short
    engine = Engine(command=(
        "podman", "--root", str(root / "root"), "--runroot", str(run), "--tmpdir",
        str(run / "tmp"), "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs",
        "--events-backend", "none"))
    try:
        yield engine
    finally:
        engine.run("system", "reset", "--force", check=False)
        remove_cgroups("libpod_parent")
        shutil.rmtree(run, ignore_errors=True)
