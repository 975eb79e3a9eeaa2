"""The images that the internet's registry offers: made here, since nothing can be pulled.

An image is an OCI layout (https://github.com/opencontainers/image-spec) whose bytes depend on
content alone: bash and busybox, linked under the names of all its applets.
"""

from __future__ import annotations

import gzip
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import files, processes
from tasks.core.errors import HostError
from tasks.core.machine_names import architecture
from tasks.local_site import packages
from tasks.local_site.plan import Plan

OCI = "application/vnd.oci.image"
LAYER = f"{OCI}.layer.v1.tar+gzip"
CREATED = "2025-01-01T00:00:00Z"
ACCEPT = ", ".join((f"{OCI}.index.v1+json", f"{OCI}.manifest.v1+json",
                    "application/vnd.docker.distribution.manifest.list.v2+json",
                    "application/vnd.docker.distribution.manifest.v2+json"))

Files = Mapping[str, "bytes | str"]
"""Content by path in the image; text is a symbolic link's target."""
Layer = Files | Path
"""What a layer is made of; a path is that of an uncompressed tar."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image of the internet: its name there, and the form of its manifest.

    `form` is `v2s2` (Docker's), `oci`, or `index` (of two platforms, the second one a dummy).
    `layers` lie above the common base, bottom first.
    """

    repository: str
    tag: str
    form: str
    layers: tuple[Layer, ...]

    @property
    def reference(self) -> str:
        return f"{self.repository}:{self.tag}"


def about(text: str) -> Files:
    """A layer of one file that says what the image is for."""
    return {"etc/image": f"{text}\n".encode()}


IMAGES = (
    Image(repository="quay.io/airlock/seqstats", tag="1.0", form="index",
          layers=(about("bash and busybox, for statistics of reads"),)),
    Image(repository="docker.io/airlock/report", tag="1.0", form="v2s2",
          layers=(about("bash and busybox, for the summary page"),)),
)


def fill(plan: Plan) -> list[str]:
    """Push the images that the internet's registry lacks; their references."""
    return push_missing(plan, "images", _inputs(plan), lambda: IMAGES)


def push_missing(plan: Plan, name: str, made_of: str,
                 images: Callable[[], Sequence[Image]]) -> list[str]:
    """Push what the registry lacks of `images`, which are made only where one is missing.

    What was pushed is noted under `name`, with the digest `made_of` of all that they come from.
    """
    stamp = plan.folder("internet") / f"{name}.json"
    known = json.loads(stamp.read_bytes()) if stamp.is_file() else {}
    noted: dict[str, str] = known.get("images", {}) if known.get("made_of") == made_of else {}
    pushed = {reference: digest for reference, digest in noted.items()
              if _digest(plan, *reference.rsplit(":", 1)) == digest}
    if pushed and pushed == noted:
        return []
    missing = [image for image in images() if image.reference not in pushed]
    base = base_files(plan)
    for image in missing:
        pushed[image.reference] = push(plan, image, base)
    files.write_json(stamp, {"made_of": made_of, "images": pushed})
    return [image.reference for image in missing]


def push(plan: Plan, image: Image, base: Files) -> str:
    """Make an image and push it to the internet's registry with skopeo; its digest there."""
    layout = plan.folder("internet") / "layout"
    files.atomic_folder(layout, lambda place: write_layout(place, image, base))
    form = ["--format", "v2s2"] if image.form == "v2s2" else []
    # The policy file and logins are the host's; what is pushed here was made a moment ago, and the
    # registry asks for none.
    processes.run(["skopeo", "--insecure-policy", "copy", "--quiet", "--all", *form,
                   "--dest-tls-verify=false", "--dest-no-creds", f"oci:{layout}:image",
                   f"docker://127.0.0.1:{plan.registry_port}/{image.reference}"])
    digest = _digest(plan, image.repository, image.tag)
    if digest is None:
        raise HostError(f"the internet's registry lost {image.reference} after its push",
                        where=plan.folder("internet/registry") / "log")
    return digest


def base_files(plan: Plan) -> Files:
    """bash, busybox and a link for each of its applets, users and folders for scratch."""
    busybox = _static(plan, "busybox-static")
    content: dict[str, bytes | str] = {
        "bin/busybox": busybox.read_bytes(),
        "bin/bash": _static(plan, "bash-static").read_bytes(),
        "etc/passwd": b"root:x:0:0:root:/root:/bin/bash\n",
        "etc/group": b"root:x:0:\n",
        "etc/os-release": b'ID=airlock\nPRETTY_NAME="bash and busybox"\n',
    }
    listed = subprocess.run([busybox, "--list-full"], capture_output=True, text=True, check=True)
    for name in listed.stdout.split():
        content.setdefault(name.lstrip("/"), "/bin/busybox")
    return content


def write_layout(folder: Path, image: Image, base: Files) -> None:
    """Write an OCI layout with one entry, tagged `image`."""
    layout = _Layout(folder)
    here = architecture()
    main = layout.manifest([base, *image.layers], here)
    if image.form == "index":
        other = "arm64" if here == "amd64" else "amd64"
        dummy = layout.manifest([about(f"no programs for {other} are at hand")], other)
        main = layout.blob(f"{OCI}.index.v1+json", files.json_bytes({
            "schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": [main, dummy]}))
    entry = {**main, "annotations": {"org.opencontainers.image.ref.name": "image"}}
    files.write_json(folder / "oci-layout", {"imageLayoutVersion": "1.0.0"})
    files.write_json(folder / "index.json", {"schemaVersion": 2, "manifests": [entry]})


def layer_tar(content: Files) -> bytes:
    """A layer, uncompressed: sorted, owner 0, time 0, executable below bin folders."""
    folders = {"tmp", "root", "work"}
    for name in content:
        folders |= {str(folder) for folder in Path(name).parents if str(folder) != "."}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted({*folders, *content}):
            info = tarfile.TarInfo(name)
            data = content.get(name)
            if data is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
                archive.addfile(info)
            elif isinstance(data, str):
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, data, 0o777
                archive.addfile(info)
            else:
                info.size, info.mode = len(data), 0o755 if "bin" in Path(name).parts else 0o644
                archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


class _Layout:
    """Blobs below a folder, each with its descriptor."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def blob(self, media_type: str, data: bytes) -> dict[str, Any]:
        digest = files.sha256_bytes(data)
        files.write_bytes(self._folder / "blobs/sha256" / digest, data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def layer(self, layer: Layer) -> tuple[str, dict[str, Any]]:
        """A layer's digest before compression, and the descriptor of its blob."""
        if not isinstance(layer, Path):
            tar = layer_tar(layer)
            return (files.sha256_bytes(tar),
                    self.blob(LAYER, gzip.compress(tar, 6, mtime=0)))
        packed = self._folder / "layer.part"
        self._folder.mkdir(parents=True, exist_ok=True)
        with layer.open("rb") as reader, packed.open("wb") as sink, \
                gzip.GzipFile(filename="", fileobj=sink, mode="wb", compresslevel=1,
                              mtime=0) as writer:
            shutil.copyfileobj(reader, writer, files.CHUNK)
        digest, size = files.sha256(packed), packed.stat().st_size
        target = self._folder / "blobs/sha256" / digest
        target.parent.mkdir(parents=True, exist_ok=True)
        packed.replace(target)
        return files.sha256(layer), {"mediaType": LAYER, "digest": f"sha256:{digest}",
                                     "size": size}

    def manifest(self, layers: Sequence[Layer], machine: str) -> dict[str, Any]:
        """An image of `layers`, bottom first, and its descriptor with the platform."""
        digests, blobs = zip(*(self.layer(layer) for layer in layers), strict=True)
        config = self.blob(f"{OCI}.config.v1+json", files.json_bytes({
            "architecture": machine, "os": "linux", "created": CREATED,
            "config": {"Env": ["PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin"],
                       "Cmd": ["/bin/bash"]},
            "rootfs": {"type": "layers",
                       "diff_ids": [f"sha256:{digest}" for digest in digests]}}))
        descriptor = self.blob(f"{OCI}.manifest.v1+json", files.json_bytes({
            "schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json", "config": config,
            "layers": list(blobs)}))
        return {**descriptor, "platform": {"architecture": machine, "os": "linux"}}


def _inputs(plan: Plan) -> str:
    """A digest of all that the images are made of, this module's own text included."""
    parts = [files.sha256(_static(plan, name)) for name in ("bash-static", "busybox-static")]
    return files.sha256_bytes("\n".join([*parts, files.sha256(Path(__file__))]).encode())


def _static(plan: Plan, package: str) -> Path:
    return packages.carried(plan.folder("packages"), package)


def _digest(plan: Plan, repository: str, tag: str) -> str | None:
    """What the internet's registry says of an image's tag, or None."""
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", plan.registry_port, timeout=10)
    try:
        connection.request("HEAD", f"/v2/{repository}/manifests/{tag}",
                           headers={"Accept": ACCEPT})
        answer = connection.getresponse()
        return answer.getheader("Docker-Content-Digest") if answer.status == 200 else None
    finally:
        connection.close()
