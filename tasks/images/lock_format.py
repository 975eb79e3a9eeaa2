"""A locked image, and the form of the lock: locks/<pipeline>/images.json, and merged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core.lock_files import Entries, Entry
from tasks.core.schema import read_json
from tasks.images.reference import Reference, parse


@dataclass(frozen=True, kw_only=True)
class Blob:
    """A layer or a config: bytes by their digest."""

    digest: str
    size: int
    media_type: str | None = None


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What one platform gets of an image; Docker's schema 1 has no config."""

    manifest: str
    media_type: str
    platform: str
    config: Blob | None
    layers: tuple[Blob, ...]

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """Config and layers, each once."""
        config = () if self.config is None else (self.config,)
        return tuple({blob.digest: blob for blob in (*config, *self.layers)}.values())

    @property
    def size(self) -> int:
        """Bytes of all its blobs."""
        return sum(blob.size for blob in self.blobs)


@dataclass(frozen=True, kw_only=True)
class Image(Variant):
    """One locked image: itself what the offline hosts' platform gets, `others` those of
    the platforms beside it.

    `index` is the digest of the list that the tag meant; `whole` says that all of its platforms
    are carried, and so is the index. `convert` is the reason why the destination can't hold the
    source's own bytes, and `converted_from` the source's digest once that was done: `manifest` is
    the destination's then. `resolved` is when the tag was asked, which a lock that is carried
    doesn't say. `licence` names what the organisation needs to use it.
    """

    source: Reference
    index: str | None
    resolved: str | None
    others: tuple[Variant, ...] = ()
    whole: bool = False
    convert: str | None = None
    converted_from: str | None = None
    licence: str | None = None

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Every platform that is carried, the offline hosts' first."""
        return (self, *self.others)

    @property
    def all_blobs(self) -> tuple[Blob, ...]:
        """The blobs of all its platforms, each once."""
        return tuple({blob.digest: blob for variant in self.variants
                      for blob in variant.blobs}.values())

    @property
    def tagged(self) -> str:
        """The digest that the destination's tag means: the whole index, else the manifest."""
        return self.index if self.whole and self.index else self.manifest

    @property
    def resolved_to(self) -> str:
        """The digest that the source's tag meant."""
        return self.index or self.converted_from or self.manifest

    @property
    def manifests(self) -> tuple[str, ...]:
        """What the destination holds of it, the index after what it lists."""
        digests = dict.fromkeys(variant.manifest for variant in self.variants)
        return tuple(digests | {self.tagged: None})


def distinct(images: Iterable[Image]) -> list[Blob]:
    """Every blob of these images, once."""
    return list({blob.digest: blob for image in images for blob in image.all_blobs}.values())


def read_lock(path: Path) -> list[Image]:
    """The images of a lock."""
    return from_entries(read_entries(path))


def read_entries(path: Path) -> dict[str, Entry]:
    """The entries of a lock by their source, as they stand there."""
    return {entry["source"]: entry for entry in read_json(path, "images-lock")["images"]}


def from_entries(entries: Entries) -> list[Image]:
    """The images of a lock's entries, among which image files may be."""
    return [Image(source=parse(entry["source"]), index=entry["index"],
                  resolved=entry.get("resolved"),
                  others=tuple(Variant(**_variant(other)) for other in entry.get("others", [])),
                  whole=entry.get("whole", False), convert=entry.get("convert"),
                  licence=entry.get("licence"), **_variant(entry))
            for entry in entries.values() if not is_image_file(entry)]


def is_image_file(entry: Entry) -> bool:
    """Whether a lock's entry is an image file's, which has no layers that are known here."""
    return "layers" not in entry


def read_platforms(path: Path) -> tuple[str, ...]:
    """The platforms that a lock was made for, the offline hosts' first."""
    lock = read_json(path, "images-lock")
    return (lock["platform"], *lock.get("further", []))


def _variant(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"manifest": entry["manifest"], "media_type": entry["media_type"],
            "platform": entry["platform"],
            "layers": tuple(Blob(**layer) for layer in entry["layers"]),
            "config": Blob(**entry["config"]) if entry["config"] else None}


def as_json(platform: str, platforms: Sequence[str], entries: Entries) -> dict[str, Any]:
    """The lock's form, by schemas/images-lock.schema.json: of images, and of image files."""
    listed = [entries[source] for source in sorted(entries)]
    image_files = [entry for entry in listed if is_image_file(entry)]
    return {"platform": platform, **({"further": list(platforms)} if platforms else {}),
            "images": [entry for entry in listed if not is_image_file(entry)],
            **({"files": image_files} if image_files else {})}


def as_entries(images: Iterable[Image]) -> dict[str, Entry]:
    """The images' entries in a lock, by their source; what doesn't apply is left out."""
    return {str(image.source): _as_json(image) for image in images}


def _as_json(image: Image) -> dict[str, Any]:
    entry = {"source": str(image.source), "index": image.index, **_variant_json(image)}
    optional = {"resolved": image.resolved, "whole": image.whole, "convert": image.convert,
                "licence": image.licence,
                "others": [_variant_json(other) for other in image.others]}
    return entry | {key: value for key, value in optional.items() if value}


def _variant_json(variant: Variant) -> dict[str, Any]:
    config = variant.config and {"digest": variant.config.digest, "size": variant.config.size}
    return {"manifest": variant.manifest, "media_type": variant.media_type,
            "platform": variant.platform, "size": variant.size, "config": config,
            "layers": [{"digest": blob.digest, "size": blob.size, "media_type": blob.media_type}
                       for blob in variant.layers]}
