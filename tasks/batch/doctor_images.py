"""Whether the registry holds the images by digest, and what is in them that each job calls.

What a job's wrapper calls stands in Nextflow 24.10's command-run.txt and command-trace.txt, and in
nf-amazon's functions for staging.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.batch.infra_resource import ask
from tasks.batch.layers import blob_path
from tasks.core import parsing
from tasks.core.archives import compressed, tars
from tasks.core.aws.session import Session
from tasks.core.errors import AirlockError
from tasks.core.findings import FAIL, OK, UNKNOWN, WARN, Finding, unknown
from tasks.core.frozen import frozen
from tasks.core.registry.client import Access, Registries, Registry
from tasks.core.schema import read_json

STAGING = ("basename", "bash", "cat", "date", "dirname", "grep", "ls", "mkdir", "mktemp", "rm",
           "sleep", "sort", "tee", "touch", "uname", "uniq")
"""Programs without which no job ends well: the wrapper's own, and those that stage files."""
TRACE = ("awk", "head", "ps", "sed", "tr")
"""Those that measure a job, for reports, traces and timelines: `ps` is asked for there."""
PROGRAM = re.compile(r"(?:^|/)s?bin/(?P<name>[^/]+)$")
REMOVED = ".wh."
"""Begins the name of what a layer removes (OCI image specification, "Whiteouts")."""
ECR = re.compile(r"(?P<account>[0-9]{12})\.dkr\.ecr(-fips)?\.(?P<region>[a-z0-9-]+)"
                 r"\.amazonaws\.com(\.cn)?")
MAX_LAYER, MAX_IMAGE = 64 << 30, 8 << 30
"""Bytes of a layer unpacked, and of an image's layers that are read from a registry."""


@frozen
class ImageSpec:
    """Where the images are, and how registries are asked.

    Jobs pull what `receipt` says was mirrored; with Fusion what the `lock` says, from its source.
    `blobs` are those of the images' layout on disk, where layers are read if they are there.
    """

    receipt: Path
    lock: Path | None
    blobs: Path
    access: Access


@frozen
class Image:
    """An image as jobs pull it."""

    host: str
    path: str
    digest: str
    size: int

    def __str__(self) -> str:
        return f"{self.host}/{self.path}@{self.digest}"


def images(session: Session, spec: ImageSpec) -> Iterator[Finding]:
    """Say of every image whether it can be pulled, and what it lacks."""
    place, cure = (spec.lock, "doit images:lock") if spec.lock else (
        spec.receipt, "doit images:mirror")
    if not place.is_file():
        yield Finding(check="images", status=UNKNOWN, cure=cure,
                      text=f"there is no {place.name}, which says where the images are")
        return
    registries = Registries(spec.access)
    for image in (_locked(place) if spec.lock else _mirrored(place)):
        registry = registries.at(f"{image.host}/{image.path}")
        try:
            yield _held(session, registry, image, cure)
            yield from _programs(registry, image, spec.blobs)
        except AirlockError as error:
            yield unknown("images", error)


def _mirrored(receipt: Path) -> Iterator[Image]:
    for entry in read_json(receipt, "images-receipt")["images"]:
        host, _, path = entry["destination"].partition("/")
        yield Image(host=host, path=path, digest=entry["digest"], size=entry["size"])


def _locked(lock: Path) -> Iterator[Image]:
    """The lock's sources are complete: host/path[:tag][@digest]."""
    for entry in read_json(lock, "images-lock")["images"]:
        host, _, rest = entry["source"].partition("/")
        path = rest.partition("@")[0].partition(":")[0]
        yield Image(host=host, path=path, digest=entry["manifest"], size=entry["size"])


def _held(session: Session, registry: Registry, image: Image, cure: str) -> Finding:
    ecr = ECR.fullmatch(image.host)
    if ecr:
        answer = ask(session, "ecr", "describe_images", registryId=ecr["account"],
                       absent=["ImageNotFoundException", "RepositoryNotFoundException"],
                       repositoryName=image.path, imageIds=[{"imageDigest": image.digest}])
        held = bool(answer.get("imageDetails"))
    else:
        held = registry.manifest_digest(image.path, image.digest) is not None
    return Finding(check="images", status=OK if held else FAIL,
                   text=f"{image} is {'there' if held else 'not in its registry'}",
                   cure=None if held else cure)


def _programs(registry: Registry, image: Image, blobs: Path) -> Iterator[Finding]:
    programs = _held_programs(registry, image, blobs)
    if programs is None:
        yield Finding(check="images", status=UNKNOWN, cure="doit images:layout has its layers here",
                      text=f"what {image} holds: {image.size >> 20} MiB are too much to read")
        return
    lacking = [name for name in STAGING if name not in programs]
    unmeasured = [name for name in TRACE if name not in programs]
    if lacking:
        yield Finding(check="images", status=FAIL, cure="install them in the image",
                      text=f"{image} lacks {', '.join(lacking)}, which every job calls")
    if unmeasured:
        yield Finding(check="images", status=WARN,
                      cure="install them (Debian: procps, gawk), or run without trace and report",
                      text=f"{image} lacks {', '.join(unmeasured)}, which measure a job")
    if not lacking and not unmeasured:
        yield Finding(check="images", status=OK,
                      text=f"{image} has all {len(STAGING) + len(TRACE)} programs that jobs call")


def _held_programs(registry: Registry, image: Image, blobs: Path) -> set[str] | None:
    """Return the names of its programs; None where its layers are too large to be read."""
    manifest = _manifest(registry, image, blobs)
    layers = [(layer["digest"], int(layer["size"])) for layer in manifest["layers"]]
    here = {digest: blob_path(digest, blobs) for digest, _ in layers}
    if sum(size for digest, size in layers if not here[digest].is_file()) > MAX_IMAGE:
        return None
    programs: set[str] = set()
    for digest, size in layers:
        if here[digest].is_file():
            _add(programs, here[digest])
            continue
        with tempfile.TemporaryDirectory() as folder:
            layer = Path(folder) / "layer"
            with registry.blob(image.path, digest, size) as chunks, layer.open("wb") as stream:
                stream.writelines(chunks)
            _add(programs, layer)
    return programs


def _manifest(registry: Registry, image: Image, blobs: Path) -> Mapping[str, Any]:
    here = blob_path(image.digest, blobs)
    data = here.read_bytes() if here.is_file() else registry.manifest(
        image.path, image.digest).data
    manifest: Mapping[str, Any] = parsing.from_json(data)
    return manifest


def _add(programs: set[str], layer: Path) -> None:
    """Add the programs of a layer, and take away those that it removes."""
    with compressed.opened(layer, most=MAX_LAYER) as stream:
        for member in tars.Reader(stream=stream):
            program = PROGRAM.search(member.name)
            if program and program["name"].startswith(REMOVED):
                programs.discard(program["name"].removeprefix(REMOVED))
            elif program and (member.is_file or member.is_link):
                programs.add(program["name"])
