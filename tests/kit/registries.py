"""Registries for the tests of images: real docker-registry processes on loopback, and images."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
USER, PASSWORD = "carrier", "s3cret-Pass"


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running registry; its blobs lie below `data`."""

    port: int
    data: Path
    pid: int
    tls: bool = False

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.address}"

    def blob(self, digest: str) -> Path:
        """The file that holds a blob."""
        plain = digest.removeprefix("sha256:")
        return self.data / f"docker/registry/v2/blobs/sha256/{plain[:2]}/{plain}/data"


def need_programs() -> None:
    """Skip where the local site's Debian packages are not installed."""
    for program in ("docker-registry", "skopeo", "openssl", "htpasswd"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not here; `./doit test` installs it where it may")


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def registry(root: Path, *, tls: tuple[Path, Path] | None = None, htpasswd: Path | None = None,
             token: dict[str, str] | None = None, schema1: bool = False) -> Iterator[Server]:
    """docker-registry on a free port, ended by its process id.

    `tls` are certificate and key; `token` are the settings of token authentication. With
    `schema1` it takes Docker's oldest format, as quay.io did.
    """
    port = free_port()
    auth: dict[str, Any] = {}
    if htpasswd is not None:
        auth = {"htpasswd": {"realm": "test", "path": str(htpasswd)}}
    if token is not None:
        auth = {"token": token}
    config = {"version": "0.1", "log": {"level": "warn"},
              "storage": {"filesystem": {"rootdirectory": str(root / "data")},
                          "delete": {"enabled": True}},
              "http": {"addr": f"127.0.0.1:{port}", "secret": "test",
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
        _await(process, port, root / "log")
        yield Server(port=port, data=root / "data", pid=process.pid, tls=tls is not None)
    finally:
        process.kill()
        process.wait()


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise RuntimeError(f"docker-registry does not answer:\n{log.read_text()}")


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """A CA's certificate, and certificate and key of a server at 127.0.0.1."""
    folder.mkdir(parents=True, exist_ok=True)
    ca, ca_key, crt, key, csr, ext = (folder / name for name in (
        "ca.crt", "ca.key", "server.crt", "server.key", "server.csr", "ext"))
    ext.write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n"
                   "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
                   "keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    commands: list[list[str | Path]] = [
        ["req", "-x509", *curve, "-days", "30", "-subj", "/CN=test CA", "-keyout", ca_key,
         "-out", ca, "-addext", "keyUsage=critical,keyCertSign"],
        ["req", *curve, "-subj", "/CN=127.0.0.1", "-keyout", key, "-out", csr],
        ["x509", "-req", "-in", csr, "-CA", ca, "-CAkey", ca_key, "-days", "30",
         "-extfile", ext, "-out", crt]]
    for command in commands:
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    return ca, crt, key


def passwords(folder: Path) -> Path:
    """An htpasswd file (bcrypt) with USER and PASSWORD."""
    path = folder / "htpasswd"
    told = subprocess.run(["htpasswd", "-niB", USER], input=PASSWORD.encode(), check=True,
                          capture_output=True)
    path.write_bytes(told.stdout)
    return path


def login_files(folder: Path, addresses: Sequence[str], password: str = PASSWORD) -> Path:
    """A Docker config file with one login for all `addresses`."""
    folder.mkdir(parents=True, exist_ok=True)
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    path = folder / "config.json"
    path.write_text(json.dumps({"auths": {each: {"auth": auth} for each in addresses}}))
    path.chmod(0o600)
    return path


def layer(content: dict[str, bytes]) -> bytes:
    """A layer's tar whose bytes depend on its content alone."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in sorted(content.items()):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


class Layout:
    """An OCI image layout on disk, as skopeo reads it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs/sha256").mkdir(parents=True, exist_ok=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def add(self, data: bytes, media_type: str) -> dict[str, Any]:
        """Keep a blob, and describe it."""
        digest = hashlib.sha256(data).hexdigest()
        (self.folder / "blobs/sha256" / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def image(self, layers: Sequence[bytes], *, architecture: str = "amd64") -> dict[str, Any]:
        """An image's manifest, described."""
        config = {"os": "linux", "architecture": architecture, "config": {},
                  "rootfs": {"type": "layers", "diff_ids": [
                      f"sha256:{hashlib.sha256(each).hexdigest()}" for each in layers]}}
        manifest = {"schemaVersion": 2, "mediaType": OCI,
                    "config": self.add(json.dumps(config).encode(), OCI_CONFIG),
                    "layers": [self.add(each, OCI_LAYER) for each in layers]}
        return {**self.add(json.dumps(manifest).encode(), OCI),
                "platform": {"os": "linux", "architecture": architecture}}

    def with_history(self, layers: Sequence[bytes]) -> dict[str, Any]:
        """An image that can be pushed as schema 1: gzipped layers, one empty, and a history."""
        when = "2016-01-01T00:00:00Z"
        config = {"os": "linux", "architecture": "amd64", "config": {"Cmd": ["sh"]},
                  "created": when,
                  "rootfs": {"type": "layers", "diff_ids": [
                      f"sha256:{hashlib.sha256(each).hexdigest()}" for each in layers]},
                  "history": [*({"created": when, "created_by": "add"} for _ in layers),
                              {"created": when, "created_by": "env", "empty_layer": True}]}
        manifest = {"schemaVersion": 2, "mediaType": OCI,
                    "config": self.add(json.dumps(config).encode(), OCI_CONFIG),
                    "layers": [self.add(gzip.compress(each, mtime=0), f"{OCI_LAYER}+gzip")
                               for each in layers]}
        return self.add(json.dumps(manifest).encode(), OCI)

    def finish(self, manifests: Sequence[dict[str, Any]]) -> None:
        """Write index.json: of one image, or of an index of several."""
        if len(manifests) > 1:
            index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(manifests)}
            manifests = [self.add(json.dumps(index).encode(), OCI_INDEX)]
        (self.folder / "index.json").write_text(json.dumps(
            {"schemaVersion": 2, "manifests": [{**each, "annotations": {
                "org.opencontainers.image.ref.name": "it"}} for each in manifests]}))


def push(server: Server, repository: str, tag: str, folder: Path, *, form: str = "oci",
         login: bool = False) -> None:
    """Push an image layout with skopeo, as OCI or as Docker's own v2s2 or v2s1."""
    words = ["skopeo", "--insecure-policy", "copy", "--quiet", "--format", form,
             "--dest-tls-verify=false"]
    if form == "oci":
        words.append("--all")
    authfile = login_files(folder / "login", [server.address]) if login else None
    words += ["--dest-authfile", str(authfile)] if authfile else []
    subprocess.run([*words, f"oci:{folder}:it", f"docker://{server.address}/{repository}:{tag}"],
                   check=True, capture_output=True,
                   env={**os.environ, "NO_PROXY": "127.0.0.1"})


def inspect(server: Server, reference: str, authfile: Path | None = None) -> dict[str, Any]:
    """What `skopeo inspect` says of an image of this server."""
    words = ["skopeo", "inspect", "--tls-verify=false"]
    words += ["--authfile", str(authfile)] if authfile else []
    told = subprocess.run([*words, f"docker://{server.address}/{reference}"], check=True,
                          capture_output=True, text=True)
    answer: dict[str, Any] = json.loads(told.stdout)
    return answer


def tamper(path: Path) -> None:
    """Change one byte in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


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
