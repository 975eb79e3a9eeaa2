"""A release's images as parts: by digest, with what they say of themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.core.bill.parts import IMAGE, Part
from tasks.core.registry.annotations import BASE_DIGEST, BASE_NAME, LICENCES
from tasks.core.schema import read_json


def parts(lock: Path, labels: Path, sif: Path | None) -> Iterator[Part]:
    """One part for each locked image and image file; `sif` lists the files made of images."""
    locked = read_json(lock, "images-lock")
    known = {entry["source"]: entry for entry in read_json(labels, "images-labels")["images"]}
    made = {} if sif is None else {
        entry["source"]: entry for entry in read_json(sif, "sif")["images"]}
    for entry in locked["images"]:
        yield _image(entry, known.get(entry["source"], {}), made.get(entry["source"]))
    for entry in locked.get("files", []):
        yield _image_file(entry, locked["platform"])


def _image(entry: Mapping[str, Any], known: Mapping[str, Any],
           made: Mapping[str, Any] | None) -> Part:
    from packageurl import PackageURL
    source, labels = entry["source"], known.get("labels", {})
    digest = known.get("digest", entry["manifest"])
    repository, _, _ = source.partition("@")
    place, _, last = repository.rpartition("/")
    name, _, tag = last.partition(":")
    operating, _, architecture = entry["platform"].partition("/")
    purl = PackageURL(type="oci", name=name, version=digest, qualifiers={
        "repository_url": f"{place}/{name}", "arch": architecture, "os": operating,
        **({"tag": tag} if tag else {})})
    notes = {"platform": entry["platform"],
             **({"converted-from": entry["manifest"]} if digest != entry["manifest"] else {}),
             **({"base": labels[BASE_NAME]} if BASE_NAME in labels else {}),
             **({"base-digest": labels[BASE_DIGEST]} if BASE_DIGEST in labels else {}),
             **({"needs-licence": entry["licence"]} if "licence" in entry else {}),
             **({"file": f"sif/{made['file']}", "file-sha256": made["sha256"]} if made else {})}
    return Part(kind=IMAGE, key=f"image:{source}", name=f"{place}/{name}",
                version=tag or digest, purl=str(purl), source=source, bytes=entry["size"],
                hashes={"SHA-256": digest.removeprefix("sha256:")},
                licences=(labels[LICENCES],) if LICENCES in labels else (), notes=notes)


def _image_file(entry: Mapping[str, Any], platform: str) -> Part:
    """An image file from elsewhere, of which nothing but its bytes is known."""
    return Part(kind=IMAGE, key=f"image:{entry['source']}", name=entry["source"],
                source=entry["source"], bytes=entry["size"], hashes={"SHA-256": entry["sha256"]},
                notes={"platform": platform,
                       **({"manifest": entry["manifest"]} if "manifest" in entry else {})})
