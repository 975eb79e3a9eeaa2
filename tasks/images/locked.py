"""A locked image, and the form of the lock: config/locks/<pipeline>/images.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    the destination's then. `licence` names what the organisation needs to use it.
    """

    source: Reference
    index: str | None
    resolved: str
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
        return tuple({blob.digest: blob for each in self.variants for blob in each.blobs}.values())

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
        found = dict.fromkeys(each.manifest for each in self.variants)
        return (*found, self.tagged) if self.tagged not in found else tuple(found)


def distinct(images: Iterable[Image]) -> list[Blob]:
    """Every blob of these images, once."""
    return list({blob.digest: blob for image in images for blob in image.all_blobs}.values())


def read_lock(path: Path) -> list[Image]:
    """The images of a lock."""
    return [Image(source=parse(each["source"]), index=each["index"], resolved=each["resolved"],
                  others=tuple(Variant(**_variant(other)) for other in each.get("others", [])),
                  whole=each.get("whole", False), convert=each.get("convert"),
                  licence=each.get("licence"), **_variant(each))
            for each in read_json(path, "images-lock")["images"]]


def read_platforms(path: Path) -> tuple[str, ...]:
    """The platforms that a lock was made for, the offline hosts' first."""
    value = read_json(path, "images-lock")
    return (value["platform"], *value.get("further", []))


def _variant(each: Mapping[str, Any]) -> dict[str, Any]:
    return {"manifest": each["manifest"], "media_type": each["media_type"],
            "platform": each["platform"], "layers": tuple(Blob(**one) for one in each["layers"]),
            "config": Blob(**each["config"]) if each["config"] else None}


def as_json(platform: str, platforms: Sequence[str], images: Sequence[Image]) -> dict[str, Any]:
    """The lock's form, by schemas/images-lock.schema.json; what doesn't apply is left out."""
    return {"platform": platform, **({"further": list(platforms)} if platforms else {}),
            "images": [_as_json(image)
                       for image in sorted(images, key=lambda each: str(each.source))]}


def _as_json(image: Image) -> dict[str, Any]:
    told = {"source": str(image.source), "index": image.index, **_variant_json(image),
            "resolved": image.resolved}
    optional = {"whole": image.whole, "convert": image.convert, "licence": image.licence,
                "others": [_variant_json(each) for each in image.others]}
    return told | {key: value for key, value in optional.items() if value}


def _variant_json(each: Variant) -> dict[str, Any]:
    config = each.config and {"digest": each.config.digest, "size": each.config.size}
    return {"manifest": each.manifest, "media_type": each.media_type, "platform": each.platform,
            "size": each.size, "config": config,
            "layers": [{"digest": blob.digest, "size": blob.size, "media_type": blob.media_type}
                       for blob in each.layers]}
