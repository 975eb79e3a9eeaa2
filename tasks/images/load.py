"""images:load: on the offline side, a registry filled from the layout that a release carries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.engine import pulling
from tasks.core.engine.address import Engine, Podman
from tasks.core.errors import HostError, IntegrityError
from tasks.core.in_place import InPlace, placing
from tasks.core.net.network import Network
from tasks.core.offline_paths import OfflinePaths
from tasks.core.registry.client import Access, Manifest, Registries
from tasks.core.schema import read_json
from tasks.images import plan
from tasks.images.blobs import FlatBlobs
from tasks.images.destination import Destination
from tasks.images.lock_format import Image, read_lock
from tasks.images.oci_layout import laid_out
from tasks.images.receipt import receipt
from tasks.images.reference import Reference, parse
from tasks.images.survey import open_registries, survey
from tasks.images.transfer import Transfer


@dataclass(frozen=True, kw_only=True)
class LoadSpec:
    """The release in place, the folder with the registry's CA and login, and this host's engine."""

    pipeline: str
    layout: OfflinePaths
    trust: Path
    network: Network
    engine: Engine | Podman
    place: InPlace

    @property
    def step(self) -> str:
        return f"images:load:{self.pipeline}"

    @property
    def access(self) -> Access:
        """How the registry is reached: by what an administrator put into the trust folder."""
        ca, authfile = self.trust / "ca.crt", self.trust / "config.json"
        return Access(registries={}, ca=ca if ca.is_file() else None,
                      authfile=authfile if authfile.is_file() else None, network=self.network)


@dataclass(frozen=True, kw_only=True)
class Promised(Destination):
    """Where the signed release says that each image is pulled from: host:port/path."""

    places: Mapping[Reference, str]

    def registry(self, source: Reference) -> str:
        return self.places[source].partition("/")[0]

    def path(self, source: Reference) -> str:
        return self.places[source].partition("/")[2]


def load_images(spec: LoadSpec) -> str:
    """Put what the registry lacks, read everything back, and write the receipt of it.

    Not where the engine holds all of it already: then a run asks no registry for anything.
    """
    name = spec.place.name
    spec.place.use(name, spec.step)
    folder = spec.layout.release(name)
    if not (folder / "oci/index.json").is_file():
        raise HostError(f"the release {name} carries no images", where=folder,
                        todo="set `images: {carry: store}` in the site's file on the online side "
                             "and release again; or `carry: registry` here, where a registry "
                             "spans the gap")
    if spec.layout.images_receipt.is_file() and _is_pulled(spec, folder):
        return f"this host's engine holds the images of {name}"
    with placing(spec.layout.of_site, spec.step):
        return _load(spec, folder)


def _is_pulled(spec: LoadSpec, folder: Path) -> bool:
    held = read_json(folder / "images.receipt.json", "images-receipt")["images"]
    try:
        return not pulling.asked(spec.engine).missing(
            f"{image['destination']}@{image['digest']}" for image in held)
    except HostError:
        return False


def _load(spec: LoadSpec, folder: Path) -> str:
    layout = PipelinePaths(folder / "oci", spec.pipeline)
    images = laid_out(read_lock(folder / "images.lock.json"), folder / "oci/index.json",
                      layout.blobs)
    destination = promised(read_json(folder / "images.receipt.json", "images-receipt"), images)
    # What was converted already is an image as any other here.
    carried = [replace(image, convert=None, converted_from=None) for image in images]
    registries = Registries(spec.access)
    addresses = open_registries(registries, carried, destination)
    moves = plan.make(carried, survey(registries, carried, destination), destination)
    Transfer(layout, registries, destination).carry_out(moves, title=f"load {spec.pipeline}")
    files.write_json(spec.layout.images_receipt, receipt(images, destination))
    moved = sum(not blob.held_by for blob in moves.blobs)
    return (f"{len(images)} images at {' and '.join(addresses)}; {files.human_size(moves.size)} "
            f"put there in {moved} blobs")


def promised(carried: Mapping[str, Any], images: Sequence[Image]) -> Promised:
    """The destination by a release's receipt; IntegrityError where it isn't one for the lock."""
    places = {parse(entry["source"]): entry["destination"] for entry in carried["images"]}
    lost = [str(image.source) for image in images if image.source not in places]
    if lost:
        raise IntegrityError(f"the release's receipt doesn't say where {', '.join(lost)} goes",
                             where="images.receipt.json", todo="ask those who made the release")
    return Promised(address=carried["registry"], places=places)


class PipelinePaths:
    """An OCI layout on disk as a source of images, whatever host their references name."""

    def __init__(self, folder: Path, pipeline: str) -> None:
        self.blobs = FlatBlobs(
            root=folder / "blobs/sha256",
            todo=f"run the same command again: its prod:fetch:{pipeline} fetches it anew")

    def at(self, name: str) -> PipelinePaths:
        """All repositories' images are here."""
        return self

    def blob(self, path: str, digest: str, size: int) -> AbstractContextManager[Iterator[bytes]]:
        """A blob's bytes; before the last of them IntegrityError where they aren't it."""
        return self.blobs.reading(digest, size)

    def manifest(self, path: str, reference: str) -> Manifest:
        """A manifest by its digest."""
        return self.blobs.manifest(reference)
