"""What a release carries: every file by its path there, hashed and held against what claims it."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.core import files
from tasks.core.config.engines import FILES, REGISTRY, STORE
from tasks.core.errors import ConfigError, IntegrityError
from tasks.core.inputs import staged_data
from tasks.core.paths import MANIFEST, SIFS, PipelinePaths
from tasks.core.schema import check, read_json
from tasks.release import oci
from tasks.release.places import fixed

DATA = ("data/", "trees/", "sheets/", "own/")
"""Where a release has the files and sheets of data.manifest.json."""

OCI_BLOBS = "oci/blobs/sha256/"
"""Where a release has the images' blobs, in a site whose releases carry them."""


@dataclass(frozen=True, kw_only=True)
class Carried:
    """One file of a release. `path` is its place there, `source` its place here."""

    path: str
    source: Path
    kind: str
    sha256: str
    size: int


def source_of(layout: PipelinePaths, runtime: str, path: str, sha256: str) -> Path:
    """Where a carried file lies on this side."""
    if path == "release.json":
        return layout.release / path
    if path.startswith("own/") and path.rpartition("/")[2] in (MANIFEST, staged_data.INPUTS):
        return files.inside(layout.root, path)
    if path.startswith((*DATA, f"{SIFS}/")):
        return staged_data.blob(layout.of_site.blobs, sha256, path.rpartition("/")[2])
    if path.startswith(OCI_BLOBS):
        digest = path.removeprefix(OCI_BLOBS)
        return files.inside(layout.of_site.blobs, f"{digest}/{digest}")
    known = {**fixed(layout, runtime, carry=STORE, configs=True),
             **fixed(layout, runtime, carry=FILES)}
    return known[path][1]


def collect(layout: PipelinePaths, runtime: str, *, carry: str = REGISTRY, configs: bool = False,
            own: Sequence[str] = ()) -> list[Carried]:
    """Hash every carried file, and hold it against manifests, locks and receipts.

    IntegrityError names every file that is not what is claimed.
    """
    places = fixed(layout, runtime, carry=carry, configs=configs)
    manifests = [_Manifest(path=layout.data_manifest)] + [
        _Manifest(path=layout.own / name / MANIFEST, place=f"own/{name}/") for name in own]
    places |= _data_places(layout, runtime, manifests)
    blobs = oci.blobs(layout.oci_index, layout.of_site.blobs) if carry == STORE else []
    sifs = read_json(layout.sif_index, "sif")["images"] if carry == FILES else []
    places |= {path: ("images", source_of(layout, runtime, path, image["sha256"]))
               for image in sifs for path in [f"{SIFS}/{image['file']}"]}
    places |= {f"{OCI_BLOBS}{digest}": ("images", source_of(layout, runtime, OCI_BLOBS + digest,
                                                            digest)) for digest in blobs}
    _refuse(f"{source} is missing" for _, source in places.values() if not source.is_file())
    sources = {source for _, source in places.values()}
    hashes = files.sha256_of_all(sources)
    carried = [Carried(path=path, source=source, kind=kind, size=source.stat().st_size,
                       sha256=hashes[source]) for path, (kind, source) in sorted(places.items())]
    by_path = {file.path: file for file in carried}
    lock = _Lock(layout.lock("images"))
    _refuse([*_code(layout, by_path), *_runtime(layout, runtime, by_path),
             *(fault for manifest in manifests for fault in _data(manifest, by_path)),
             *(_sifs(layout, sifs, by_path, lock) if carry == FILES else _mirrored(layout, lock)),
             *_images(layout, lock), *_plugins(layout),
             *(_differs(blob.source, blob.sha256, digest, layout.oci_index) for digest in blobs
               if (blob := by_path[OCI_BLOBS + digest]).sha256 != digest)])
    return carried


@dataclass(frozen=True, kw_only=True)
class _Manifest:
    """A data manifest; `place` is where the release has it and its sheets."""

    path: Path
    place: str = ""

    @cached_property
    def content(self) -> Mapping[str, Any]:
        content: dict[str, Any] = read_json(self.path, "data-manifest")
        return content

    def entries(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Files and sheets by their paths in the release: files lie where all data do."""
        for file in self.content["files"]:
            yield file["path"], file
        for sheet in self.content["sheets"]:
            yield self.place + sheet["path"], sheet


@dataclass(frozen=True)
class _Lock:
    """The images' lock, read once."""

    path: Path

    @cached_property
    def content(self) -> Mapping[str, Any]:
        content: dict[str, Any] = read_json(self.path, "images-lock")
        return content

    @cached_property
    def digests(self) -> dict[str, str]:
        """The digest of each image and image file, by its source."""
        return {**{image["source"]: image["manifest"] for image in self.content["images"]},
                **{file["source"]: _digest(file) for file in self.content.get("files", [])}}

    def differences(self, path: Path, held: Mapping[str, str]) -> list[str]:
        """A line for each source of which `path` holds another digest than the lock."""
        return [_differs(f"{path}: {source}", held.get(source, "absent"),
                         self.digests.get(source, "absent"), self.path)
                for source in sorted({*self.digests, *held})
                if self.digests.get(source) != held.get(source)]


def _data_places(layout: PipelinePaths, runtime: str,
                 manifests: Iterable[_Manifest]) -> dict[str, tuple[str, Path]]:
    """Data and sheets, and of users' own sheets the manifest too."""
    places: dict[str, tuple[str, Path]] = {}
    for manifest in manifests:
        for path, entry in manifest.entries():
            source = source_of(layout, runtime, path, entry["sha256"])
            if places.setdefault(path, ("data", source)) != ("data", source):
                raise IntegrityError(f"{path} is another file in the test data",
                                     where=manifest.path,
                                     todo="run `doit mirror:data` with relock=1 for both")
        if manifest.place:
            for name in (MANIFEST, staged_data.INPUTS):
                if manifest.path.with_name(name).is_file():
                    places[manifest.place + name] = ("data", manifest.path.with_name(name))
    return places


def _refuse(faults: Iterable[str]) -> None:
    listed = list(faults)
    if listed:
        raise IntegrityError("a release can't be made of these files:\n"
                             + "\n".join(f"  {fault}" for fault in listed),
                             todo="remove the files named, so that the steps that make them run")


def _differs(where: object, actual: object, claimed: object, by: object) -> str:
    return f"{where}: {actual}, but {by} says {claimed}"


def _code(layout: PipelinePaths, carried: Mapping[str, Carried]) -> list[str]:
    manifest = read_json(layout.code_manifest, "code-manifest")
    faults = []
    if manifest["sha256"] != carried["code.tar"].sha256:
        faults.append(_differs(layout.code, carried["code.tar"].sha256, manifest["sha256"],
                               layout.code_manifest))
    if manifest["pipeline"] != layout.pipeline:
        faults.append(_differs(layout.code_manifest, manifest["pipeline"], layout.pipeline,
                               "the configuration"))
    return faults


def _runtime(layout: PipelinePaths, version: str, carried: Mapping[str, Carried]) -> list[str]:
    path = layout.runtime_sums(version)
    try:
        claimed = path.read_text().split()[0]
    except (OSError, IndexError):
        return [f"{path} is missing or empty"]
    digest = carried[f"nextflow-{version}.tar"].sha256
    return [] if digest == claimed else [_differs(layout.runtime(version), digest, claimed, path)]


def _data(manifest: _Manifest, carried: Mapping[str, Carried]) -> list[str]:
    faults = []
    for path, entry in manifest.entries():
        file = carried[path]
        if (file.sha256, file.size) != (entry["sha256"], entry["size"]):
            faults.append(_differs(file.source, f"{file.sha256}, {file.size} bytes",
                                   f"{entry['sha256']}, {entry['size']} bytes", manifest.path))
    folders = {str(parent) for path in carried for parent in PurePosixPath(path).parents}
    faults += [f"{manifest.path}: the param {name!r} names {value['path']}, which is not carried"
               for name, value in manifest.content["params"].items()
               if value["kind"] in ("sheet", "file", "folder")
               and manifest.place + value["path"] not in {*carried, *folders}]
    return faults


def _mirrored(layout: PipelinePaths, lock: _Lock) -> list[str]:
    """The receipt must be what the lock says, image by image."""
    receipt = read_json(layout.images_receipt, "images-receipt")
    mirrored = {image["source"]: image.get("converted", {}).get("from", image["digest"])
                for image in receipt["images"]}
    return lock.differences(layout.images_receipt, mirrored)


def _sifs(layout: PipelinePaths, sifs: Sequence[Mapping[str, Any]],
          carried: Mapping[str, Carried], lock: _Lock) -> list[str]:
    """The image files must be what sif.json says, and that what the lock says."""
    faults = lock.differences(layout.sif_index,
                              {image["source"]: _digest(image) for image in sifs})
    for image in sifs:
        file = carried[f"{SIFS}/{image['file']}"]
        if (file.sha256, file.size) != (image["sha256"], image["size"]):
            faults.append(_differs(file.source, f"{file.sha256}, {file.size} bytes",
                                   f"{image['sha256']}, {image['size']} bytes", layout.sif_index))
    return faults


def _digest(file: Mapping[str, Any]) -> str:
    """By what an image file is locked: the digest that it was made of or brought by, or its own."""
    return str(file.get("manifest") or f"sha256:{file['sha256']}")


def _images(layout: PipelinePaths, lock: _Lock) -> list[str]:
    """All that is listed must be locked, and the pinned list be what the lock says."""
    listed = set(layout.images.read_text().split())
    faults = [f"{lock.path}: {source} of {layout.images} is not locked"
              for source in sorted(listed - set(lock.digests))]
    pinned = {line.rpartition("@")[2] for line in layout.images_pinned.read_text().split()}
    if pinned != {image["manifest"] for image in lock.content["images"]}:
        faults.append(f"{layout.images_pinned}: its digests are not those of {lock.path}")
    return faults


def _plugins(layout: PipelinePaths) -> list[str]:
    lock = read_json(layout.lock("plugins"), "plugins-lock")
    locked = {f"{plugin['id']}@{plugin['version']}" for plugin in lock["plugins"]}
    listed = set(layout.plugins_list.read_text().split())
    faults = []
    if listed != locked:
        faults.append(_differs(layout.plugins_list, sorted(listed), sorted(locked),
                               layout.lock("plugins")))
    try:
        with tarfile.open(layout.plugins) as tar:
            folders = {name.split("/")[0] for name in tar.getnames()}
    except (tarfile.TarError, OSError) as error:
        return [*faults, f"{layout.plugins}: {error}"]
    wanted = {plugin.replace("@", "-") for plugin in listed}
    if folders != wanted:
        faults.append(_differs(layout.plugins, sorted(folders), sorted(wanted),
                               layout.plugins_list))
    return faults


def write_lock(layout: PipelinePaths) -> None:
    """Write the images' lock as it is carried: when they were resolved is not what they are.

    So two who lock the same images on different days make the same release.
    """
    lock = read_json(layout.lock("images"), "images-lock")
    for image in (*lock["images"], *lock.get("files", [])):
        image.pop("resolved", None)
    files.write_json(layout.images_carried, check(lock, "images-lock", where=layout.images_carried))


def registry_of(layout: PipelinePaths) -> str:
    """host:port of the registry that holds the images, as the mirror's receipt tells."""
    return str(read_json(layout.images_receipt, "images-receipt")["registry"])


def check_platform(layout: PipelinePaths, platform: str) -> None:
    """ConfigError where the images were locked for another platform than the site's."""
    locked = read_json(layout.lock("images"), "images-lock")["platform"]
    if locked != platform:
        raise ConfigError(f"the images are locked for {locked}, the site is {platform}",
                          where=layout.lock("images"),
                          todo="run `doit relock=1 images:lock`, then `doit images`")
