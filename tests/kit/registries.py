"""Real docker-registry processes on loopback, their logins, and images pushed into them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

from tasks.core.registry.client import Access, Manifest, Registries
from tests.kit import machine
from tests.kit.images import OCI, OCI_LAYER, OciLayout

USER, PASSWORD = "carrier", "s3cret-Pass"


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running registry; its blobs lie below `data`."""

    port: int
    data: Path
    pid: int
    tls: bool = False
    host: str = "127.0.0.1"

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.address}"

    def blob(self, digest: str) -> Path:
        """The file that holds a blob."""
        plain = digest.removeprefix("sha256:")
        return self.data / f"docker/registry/v2/blobs/sha256/{plain[:2]}/{plain}/data"


def need_programs() -> None:
    """Skip where the local site's Debian packages are not installed."""
    machine.need("docker-registry", "skopeo", "openssl", "htpasswd")


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def registry(root: Path, *, tls: tuple[Path, Path] | None = None, htpasswd: Path | None = None,
             token: dict[str, str] | None = None, schema1: bool = False,
             at: tuple[str, int] | None = None, deletes: bool = True,
             read_only: bool = False) -> Iterator[Server]:
    """docker-registry on a free port, or `at` a host and port; ended by its process id.

    `tls` are certificate and key; `token` are the settings of token authentication. With
    `schema1` it takes Docker's oldest format, as quay.io did.
    """
    host, port = at or ("127.0.0.1", free_port())
    auth: dict[str, Any] = {}
    if htpasswd is not None:
        auth = {"htpasswd": {"realm": "test", "path": str(htpasswd)}}
    if token is not None:
        auth = {"token": token}
    config = {"version": "0.1", "log": {"level": "warn"},
              "storage": {"filesystem": {"rootdirectory": str(root / "data")},
                          "delete": {"enabled": deletes},
                          **({"maintenance": {"readonly": {"enabled": True}}}
                             if read_only else {})},
              "http": {"addr": f"{host}:{port}", "secret": "test",
                       **({"tls": {"certificate": str(tls[0]), "key": str(tls[1])}}
                          if tls else {})},
              **({"auth": auth} if auth else {}),
              **({"compatibility": {"schema1": {"enabled": True}}} if schema1 else {})}
    root.mkdir(parents=True, exist_ok=True)
    (root / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(root / "config.yml")],
                                   stdout=log, stderr=log)
    try:
        _await(process, host, port, root / "log")
        yield Server(host=host, port=port, data=root / "data", pid=process.pid,
                     tls=tls is not None)
    finally:
        process.kill()
        process.wait()


def _await(process: subprocess.Popen[bytes], host: str, port: int, log: Path) -> None:
    for _ in range(200):
        with suppress(OSError), socket.create_connection((host.strip("[]"), port)):
            return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise RuntimeError(f"docker-registry does not answer:\n{log.read_text()}")


def passwords(folder: Path) -> Path:
    """An htpasswd file (bcrypt) with USER and PASSWORD."""
    path = folder / "htpasswd"
    done = subprocess.run(["htpasswd", "-niB", USER], input=PASSWORD.encode(), check=True,
                          capture_output=True)
    path.write_bytes(done.stdout)
    return path


def login_files(folder: Path, addresses: Sequence[str], password: str = PASSWORD) -> Path:
    """A Docker config file with one login for all `addresses`."""
    folder.mkdir(parents=True, exist_ok=True)
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    path = folder / "config.json"
    path.write_text(json.dumps({"auths": {address: {"auth": auth} for address in addresses}}))
    path.chmod(0o600)
    return path


def push(server: Server, repository: str, tag: str, folder: Path, *, form: str = "oci",
         authfile: Path | None = None) -> None:
    """Push an OCI layout with skopeo, as OCI or as Docker's own v2s2 or v2s1."""
    words = ["skopeo", "--insecure-policy", "copy", "--quiet", "--format", form,
             "--dest-tls-verify=false"]
    if form == "oci":
        words.append("--all")
    words += ["--dest-authfile", str(authfile)] if authfile else []
    subprocess.run([*words, f"oci:{folder}:it", f"docker://{server.address}/{repository}:{tag}"],
                   check=True, capture_output=True,
                   env={**os.environ, "NO_PROXY": "127.0.0.1"})


def add_image(server: Server, name: str, layers: Sequence[bytes], *, form: str = "oci",
              platforms: Sequence[str] = ("amd64",), authfile: Path | None = None,
              labels: Mapping[str, str] | None = None) -> None:
    """Push an image `repository:tag` of these layers.

    Several platforms make an index, in which each has its name for one more layer.
    """
    with tempfile.TemporaryDirectory() as folder:
        layout = OciLayout(Path(folder))
        if form == "v2s1":
            layout.finish([layout.with_history(layers)])
        elif len(platforms) == 1:
            layout.finish([layout.image(layers, architecture=platforms[0], labels=labels)])
        else:
            layout.finish([layout.image([*layers, platform.encode()], architecture=platform)
                           for platform in platforms])
        repository, _, tag = name.rpartition(":")
        push(server, repository, tag, layout.folder, form=form, authfile=authfile)


def push_large(server: Server, repository: str, megabytes: int) -> None:
    """An image whose one layer is not compressed, by our own client: skopeo would compress it."""
    registry = Registries(Access(registries={"it": server.url}, ca=None, authfile=None)).at("it")
    config = b'{"os": "linux", "architecture": "amd64"}'

    def put(block: bytes, count: int) -> dict[str, str | int]:
        digest = hashlib.sha256()
        for _ in range(count):
            digest.update(block)
        name, size = f"sha256:{digest.hexdigest()}", len(block) * count
        registry.upload(repository, name, size, lambda: nullcontext(repeat(block, count)))
        return {"digest": name, "size": size}

    manifest = {"schemaVersion": 2, "mediaType": OCI,
                "layers": [{**put(bytes(1_000_000), megabytes), "mediaType": OCI_LAYER}],
                "config": put(config, 1)}
    assert registry.put_manifest(repository, "1", Manifest(
        data=json.dumps(manifest).encode(), media_type=OCI))


def inspect(server: Server, reference: str, authfile: Path | None = None) -> dict[str, Any]:
    """What `skopeo inspect` says of an image of this server."""
    words = ["skopeo", "inspect", "--tls-verify=false"]
    words += ["--authfile", str(authfile)] if authfile else []
    done = subprocess.run([*words, f"docker://{server.address}/{reference}"], check=True,
                          capture_output=True, text=True)
    description: dict[str, Any] = json.loads(done.stdout)
    return description


def writes(server: Server) -> set[tuple[str, float]]:
    """Every blob file with its time, to see whether anything was written."""
    return {(str(path), path.stat().st_mtime) for path in server.data.rglob("data")
            if path.is_file()}


def answers(url: str) -> int:
    """The status of a GET."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310
            return int(response.status)
    except urllib.error.HTTPError as error:
        return int(error.code)
