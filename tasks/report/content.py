"""What a release holds, for people: read from its own files, which were verified before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tasks.core.errors import ConfigError
from tasks.core.paths import MANIFEST, SBOM_CYCLONEDX, SIF_INDEX
from tasks.core.schema import read_json
from tasks.report import bill
from tasks.report.bill import Bill

READERS: Mapping[str, Callable[[Path], Any]] = {
    "manifest.json": lambda path: read_json(path, "code-manifest"),
    "configs.manifest.json": lambda path: read_json(path, "code-manifest"),
    "images.lock.json": lambda path: read_json(path, "images-lock"),
    "images.receipt.json": lambda path: read_json(path, "images-receipt"),
    SIF_INDEX: lambda path: read_json(path, "sif"),
    "images.json": lambda path: read_json(path, "images-scan"),
    MANIFEST: lambda path: read_json(path, "data-manifest")}
"""How the files are read of which the report tells, each by its schema."""
PLUGINS = "plugins.txt"


@dataclass(frozen=True, kw_only=True)
class Content:
    """A release: its id, release.json (`about`), and those of its files that are read here."""

    id: str
    about: Mapping[str, Any]
    files: Mapping[str, Path]

    @staticmethod
    def wanted(paths: Iterable[str]) -> list[str]:
        """Those of a release's files that are read."""
        return [path for path in paths if path in (*READERS, PLUGINS, SBOM_CYCLONEDX)
                or (path.startswith("own/") and path.endswith(f"/{MANIFEST}"))]

    def json(self, path: str) -> Mapping[str, Any]:
        """One of its files; empty where it has none, or one that this version doesn't read."""
        if path not in self.files:
            return {}
        try:
            value: Mapping[str, Any] = READERS[path.rpartition("/")[2]](self.files[path])
        except ConfigError:
            return {}
        return value

    @cached_property
    def bill(self) -> Bill:
        """What the release's bill of materials says, where it has one."""
        return bill.read(self.files.get(SBOM_CYCLONEDX))


def code(release: Content) -> list[dict[str, Any]]:
    """Where the pipeline's code and its institutional configs come from, to the commit."""
    rows = [("pipeline", release.json("manifest.json")),
            ("institutional configs", release.json("configs.manifest.json"))]
    return [{"what": what, **{key: manifest[key] for key in (
        "source", "revision", "commit", "date", "sha256", "files")}}
        for what, manifest in rows if manifest]


def images(release: Content) -> list[dict[str, Any]]:
    """Every image, sorted by source; of layers, how many bytes other images have as well."""
    lock = release.json("images.lock.json")
    carried, files = _carried(release), {
        image["source"]: image for image in release.json(SIF_INDEX).get("images", ())}
    used = Counter(layer for image in lock.get("images", ()) for layer in {
        layer["digest"] for layer in image["layers"]})
    users = _users(release)
    rows = []
    for image in lock.get("images", ()):
        sizes = {layer["digest"]: layer["size"] for layer in image["layers"]}
        shared = [layer for layer in sizes if used[layer] > 1]
        rows.append({
            "source": image["source"], "digest": image["manifest"], "platform": image["platform"],
            "size": image["size"], "layers": len(sizes), "shared_layers": len(shared),
            "shared": sum(sizes[layer] for layer in shared)})
    for file in lock.get("files", ()):
        rows.append({"source": file["source"], "platform": None, "layers": None, "shared": None,
                     "digest": file.get("manifest") or f"sha256:{file['sha256']}",
                     "size": file["size"], "shared_layers": None})
    needed = {image["source"]: image.get("licence") for image in lock.get("images", ())}
    return [{**row, "carried": carried.get(row["source"]), "needs": needed.get(row["source"]),
             "file": _file(files.get(row["source"])), "processes": users.get(row["source"], []),
             **release.bill.image(row["source"])}
            for row in sorted(rows, key=lambda row: row["source"])]


def _carried(release: Content) -> dict[str, str]:
    """Where offline hosts pull each image from, with the digest where that is another one."""
    return {image["source"]: image["destination"] + (
        f"@{image['digest']}" if "converted" in image else "")
            for image in release.json("images.receipt.json").get("images", ())}


def _file(image: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return {key: image[key] for key in ("file", "sha256", "size")} if image else None


def _users(release: Content) -> dict[str, list[str]]:
    """The processes that can use each image."""
    users: dict[str, list[str]] = {}
    for process in release.json("images.json").get("processes", ()):
        users.setdefault(process["container"], []).append(process["name"])
    return {image: sorted(set(names)) for image, names in users.items()}


def blobs(release: Content) -> int:
    """Bytes of all images' configs and layers, each blob once: what a registry holds."""
    sizes: dict[str, int] = {}
    for image in release.json("images.lock.json").get("images", ()):
        for blob in (*image["layers"], *([image["config"]] if image["config"] else [])):
            sizes[blob["digest"]] = blob["size"]
    files: Sequence[Mapping[str, int]] = release.json("images.lock.json").get("files", ())
    return sum(sizes.values()) + sum(file["size"] for file in files)


def plugins(release: Content) -> list[dict[str, Any]]:
    """Nextflow's plugins, with what the bill of materials says of each."""
    path = release.files.get(PLUGINS)
    names = sorted(path.read_text(errors="replace").split()) if path else []
    split = [name.partition("@")[::2] for name in names]
    return [{"id": name, "version": version, **release.bill.plugin(name, version)}
            for name, version in split]


def data(release: Content) -> list[dict[str, Any]]:
    """Every data file by its address, those of users' own sheets too; each path once."""
    manifests = [path for path in release.files if path.rpartition("/")[2] == MANIFEST]
    rows = {file["path"]: {key: file[key] for key in ("url", "path", "sha256", "size")}
            for path in sorted(manifests) for file in release.json(path).get("files", ())}
    return [rows[path] for path in sorted(rows, key=lambda path: (rows[path]["url"], path))]


def params(release: Content) -> list[dict[str, Any]]:
    """The params that a run offline gets another value for."""
    listed = release.json(MANIFEST).get("params", {})
    return [{"name": name, "kind": value["kind"], "value": value.get("path", value.get("value")),
             "was": value.get("was"), "every": bool(value.get("every"))}
            for name, value in sorted(listed.items())]


def kinds(files: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Files and bytes by kind, the largest first; each content once."""
    named: dict[str, dict[str, int]] = {}
    for file in files:
        named.setdefault(file["kind"], {})[file["sha256"]] = file["size"]
    count = Counter(file["kind"] for file in files)
    return sorted(({"kind": kind, "files": count[kind], "bytes": sum(sizes.values())}
                   for kind, sizes in named.items()), key=lambda row: (-row["bytes"], row["kind"]))
