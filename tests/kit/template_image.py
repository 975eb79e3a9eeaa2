"""An image with the real FastQC and the real MultiQC, made where the tests run.

FastQC, its Java and all below them are Debian's packages, from the machine's own Debian source;
MultiQC is PyPI's, pinned with what it needs in multiqc-requirements.txt. That leaves out kaleido,
a whole browser that draws plots as pictures: MultiQC says so and goes on.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from tasks.core import files, processes
from tasks.core.machine_names import architecture
from tasks.local_site.images import OCI
from tasks.local_site.plan import Plan
from tests.kit.kept import kept

PACKAGES = ("?essential", "default-jre-headless", "libcommons-math3-java",
            "libfindbin-libs-perl", "libhtsjdk-java", "libjbzip2-java", "libsis-jhdf5-java",
            "perl", "procps", "python3")
"""What FastQC's package depends on, with a Java without windows in place of half of Debian."""
ALONE = "fastqc"
REQUIREMENTS = Path(__file__).with_name("multiqc-requirements.txt")
DROPPED = ("usr/share/doc/", "usr/share/man/", "usr/share/locale/", "usr/share/info/")
PYTHON = "usr/bin/python3"
SITE = "usr/lib/python3/dist-packages"
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
WITHOUT_MEMORY = b"""\
#!/bin/bash
words=()
while (($#)); do
    if [[ $1 == --memory ]]; then shift; else words+=("$1"); fi
    shift
done
exec /usr/bin/fastqc "${words[@]}"
"""
"""Debian's FastQC, 0.11.9, has no --memory yet: it takes memory by the number of threads alone."""
WRITTEN = {
    "usr/local/bin/fastqc": (WITHOUT_MEMORY, 0o755),
    "etc/passwd": (b"root:x:0:0:root:/root:/bin/bash\n", 0o644),
    "etc/group": (b"root:x:0:\n", 0o644),
    "usr/local/bin/multiqc": (b"#!/usr/bin/python3\nfrom multiqc.__main__ import run_multiqc\n"
                              b"run_multiqc()\n", 0o755),
}


def image() -> Path:
    """The image as an OCI layout with one entry, tagged `image`."""
    made_from = f"{REQUIREMENTS.read_text()} {Path(__file__).read_text()} {architecture()}"
    return kept("templates/image", made_from, _layout)


def push(sandbox: Plan, reference: str) -> None:
    """Push the image to the internet's registry under a name there."""
    processes.run(["skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false",
                   f"oci:{image()}:image", f"docker://127.0.0.1:{sandbox.registry_port}/{reference}"])


def _layout(place: Path) -> None:
    debs = _debs(place / "debs")
    layer = place / "layer.tar.gz"
    plain = hashlib.sha256()
    with gzip.GzipFile(layer, "wb", compresslevel=1, mtime=0) as packed, \
            tarfile.open(fileobj=_Hashed(packed, plain), mode="w|") as tar:
        python = _add_debs(tar, debs)
        _add_multiqc(tar, place / "wheels", python)
    for scratch in ("debs", "wheels"):
        shutil.rmtree(place / scratch)
    blobs = place / "blobs/sha256"
    blobs.mkdir(parents=True)
    size, digest = layer.stat().st_size, files.sha256(layer)
    layer.rename(blobs / digest)
    config = _blob(blobs, f"{OCI}.config.v1+json", {
        "architecture": architecture(), "os": "linux", "config": {
            "Env": ["PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin", "LANG=C.UTF-8"],
            "Cmd": ["/bin/bash"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{plain.hexdigest()}"]}})
    manifest = _blob(blobs, f"{OCI}.manifest.v1+json", {
        "schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json", "config": config,
        "layers": [{"mediaType": f"{OCI}.layer.v1.tar+gzip", "digest": f"sha256:{digest}",
                    "size": size}]})
    files.write_json(place / "oci-layout", {"imageLayoutVersion": "1.0.0"})
    files.write_json(place / "index.json", {"schemaVersion": 2, "manifests": [
        {**manifest, "annotations": {"org.opencontainers.image.ref.name": "image"}}]})


class _Hashed(io.RawIOBase):
    """Hashes what is written on its way."""

    def __init__(self, below: gzip.GzipFile, hasher: Any) -> None:
        self._below = below
        self._hasher = hasher

    def write(self, data: Any) -> int:
        self._hasher.update(data)
        return self._below.write(data)


def _debs(folder: Path) -> list[Path]:
    """The packages with all that they depend on, as for a machine that has none.

    apt's lists are fetched beside them: a machine may have none, or outdated ones.
    """
    for name in ("partial", "lists/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    apt = ["apt-get", "--yes", "--no-install-recommends", "--download-only",
           "-o", f"Dir::State::lists={folder}/lists", "-o", f"Dir::State::status={folder}/status",
           "-o", f"Dir::Cache={folder}", "-o", f"Dir::Cache::archives={folder}",
           "-o", "Debug::NoLocking=1"]
    processes.run([*apt, "update"])
    processes.run([*apt, "install", *PACKAGES])
    processes.run([*apt, "download", ALONE], cwd=folder)
    return sorted(folder.glob("*.deb"))


def _add_debs(tar: tarfile.TarFile, debs: list[Path]) -> str:
    """Unpack packages into the layer, without their install scripts; the Python's version.

    Two links stand for scripts that matter here: Java's, and the user's.
    """
    seen: set[str] = set()
    python = java = ""
    for deb in debs:
        command = ["dpkg-deb", "--fsys-tarfile", str(deb)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as unpacking, \
                tarfile.open(fileobj=unpacking.stdout, mode="r|") as package:
            for member in package:
                member.name = member.name.removeprefix("./").rstrip("/")
                if not member.name or f"{member.name}/".startswith(DROPPED):
                    continue
                if member.isdir() and member.name in seen:
                    continue
                if member.islnk():
                    member.linkname = member.linkname.removeprefix("./")
                seen.add(member.name)
                if member.name == PYTHON:
                    python = member.linkname.removeprefix("python")
                if member.name.startswith("usr/lib/jvm/") and member.name.endswith("/bin/java"):
                    java = f"/{member.name}"
                tar.addfile(member, package.extractfile(member) if member.isreg() else None)
    _add_link(tar, "usr/bin/java", java)
    return python


def _add_multiqc(tar: tarfile.TarFile, folder: Path, python: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps",
                    "--require-hashes", "--disable-pip-version-check", "--only-binary=:all:",
                    "--python-version", python, "--target", folder, "-r", REQUIREMENTS,
                    "--platform", f"manylinux2014_{MACHINES[architecture()]}"], check=True)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        info = tar.gettarinfo(path, f"{SITE}/{path.relative_to(folder)}")
        info.uid = info.gid = 0
        with path.open("rb") as content:
            tar.addfile(info, content)
    for name, (data, mode) in WRITTEN.items():
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), mode
        tar.addfile(info, io.BytesIO(data))


def _add_link(tar: tarfile.TarFile, name: str, target: str) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = tarfile.SYMTYPE, target, 0o777
    tar.addfile(info)


def _blob(folder: Path, media_type: str, content: dict[str, Any]) -> dict[str, Any]:
    data = files.json_bytes(content)
    digest = files.sha256_bytes(data)
    files.write_bytes(folder / digest, data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}
