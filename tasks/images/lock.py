"""images:lock: each image's tag resolved once, to the digests of one platform."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.errors import AirlockError, ImageError
from tasks.core.registry.client import INDEXES, MANIFESTS, SCHEMA1, Access, Manifest, Registries
from tasks.core.schema import read_json
from tasks.images.reference import DIGEST, Reference, parse

THREADS = 8
LARGEST_CONFIG = 8 << 20


@dataclass(frozen=True, kw_only=True)
class LockSpec:
    """What images:lock reads and writes."""

    pipeline: str
    images: Path
    lock: Path
    pinned: Path
    platform: str
    access: Access
    relock: bool


@dataclass(frozen=True, kw_only=True)
class Blob:
    """A layer or a config: bytes by their digest."""

    digest: str
    size: int
    media_type: str | None = None


@dataclass(frozen=True, kw_only=True)
class Image:
    """One locked image: `manifest` is the platform's digest, `index` that of the list around it."""

    source: Reference
    index: str | None
    manifest: str
    media_type: str
    platform: str
    config: Blob
    layers: tuple[Blob, ...]
    resolved: str

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """Config and layers, each once."""
        return tuple({blob.digest: blob for blob in (self.config, *self.layers)}.values())

    @property
    def size(self) -> int:
        """Bytes of all its blobs."""
        return sum(blob.size for blob in self.blobs)


def lock_images(spec: LockSpec) -> str:
    """Bring the lock up to `images.txt`: new images are resolved, those no longer listed go."""
    wanted = [parse(line) for line in spec.images.read_text().split()]
    before = read_lock(spec.lock) if spec.lock.is_file() else []
    kept = {} if spec.relock else {image.source: image for image in _kept(before, spec)}
    waiting = [each for each in wanted if each not in kept]
    registries = Registries(spec.access)
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = resolve_all(registries, waiting, spec.platform, now)
    images = [kept.get(each) or found[each] for each in wanted]
    files.write_json(spec.lock, as_json(spec.platform, images))
    files.write_text(spec.pinned, "".join(f"{line}\n" for line in sorted(
        {image.source.at(image.manifest) for image in images})))
    return "\n".join([
        f"{len(images)} images, {len(waiting)} resolved now, "
        f"{files.human_size(sum(each.size for each in distinct(images)))} in "
        f"{len(distinct(images))} blobs", *moved(before, images)])


def moved(before: Sequence[Image], now: Sequence[Image]) -> list[str]:
    """A line for each image that means another digest than before."""
    known = {image.source: image.manifest for image in before}
    return [f"moved: {image.source} from {known[image.source]} to {image.manifest}"
            for image in now if known.get(image.source, image.manifest) != image.manifest]


def _kept(images: list[Image], spec: LockSpec) -> list[Image]:
    """The lock's entries, where they are for the site's platform."""
    if any(image.platform != spec.platform for image in images):
        raise ImageError(f"the lock is for {images[0].platform}, the site's platform is "
                         f"{spec.platform}", where=spec.lock,
                         todo=f"to lock the images for {spec.platform} instead, add relock=1")
    return images


def resolve_all(registries: Registries, references: Sequence[Reference], platform: str,
                now: str) -> dict[Reference, Image]:
    """Resolve images several at a time; all faults are raised together."""
    with ThreadPoolExecutor(THREADS, thread_name_prefix="lock") as pool:
        futures = {each: pool.submit(resolve, registries, each, platform, now)
                   for each in references}
    faults = [error for future in futures.values() if (error := future.exception())]
    for error in faults:
        if len(faults) == 1 or not isinstance(error, AirlockError):
            raise error
    if faults:
        raise ImageError("these images can't be locked:\n"
                         + "\n".join(dict.fromkeys(str(error) for error in faults)))
    return {each: future.result() for each, future in futures.items()}


def resolve(registries: Registries, reference: Reference, platform: str, now: str) -> Image:
    """Ask the image's registry what it stands for now, on one platform."""
    registry = registries.at(reference.host)
    top = registry.manifest(reference.path, reference.wanted)
    index, chosen = None, top
    if _kind(top, reference) == "index":
        index = top.digest
        chosen = registry.manifest(reference.path, child(top, reference, platform))
    if _kind(chosen, reference) != "manifest":
        raise ImageError(f"the index of {reference} leads to another index for {platform}")
    image = read_manifest(chosen, reference, index=index, platform=platform, resolved=now)
    if index is None:
        _check_platform(registries, image)
    return image


def _check_platform(registries: Registries, image: Image) -> None:
    """An image without an index tells its platform in its config."""
    if image.config.size > LARGEST_CONFIG:
        raise ImageError(f"the config of {image.source} is implausibly large")
    registry = registries.at(image.source.host)
    with registry.blob(image.source.path, image.config.digest, image.config.size) as chunks:
        config = _json(b"".join(chunks), image.source)
    own = f"{config.get('os', 'linux')}/{config.get('architecture', '?')}"
    if own != image.platform:
        raise ImageError(f"{image.source} is made for {own}, the site's platform is "
                         f"{image.platform}", todo="use an image that has this platform, given "
                         "by hand under `images` in the pipeline's file")


def _kind(manifest: Manifest, reference: Reference) -> str:
    """`index` or `manifest`; ImageError for anything else."""
    value = _json(manifest.data, reference)
    media_type = value.get("mediaType") or manifest.media_type
    if value.get("schemaVersion") == 1 or media_type in SCHEMA1:
        raise ImageError(f"{reference} is in Docker's old image format (schema 1), which current "
                         "engines refuse", todo="use a newer tag of it, given by hand under "
                         "`images` in the pipeline's file")
    if media_type in INDEXES or "manifests" in value:
        return "index"
    if media_type in MANIFESTS or "config" in value:
        return "manifest"
    raise ImageError(f"{reference} is no image: its media type is {media_type!r}")


def child(index: Manifest, reference: Reference, platform: str) -> str:
    """The digest of an index's manifest for a platform such as linux/amd64."""
    offered = []
    for entry in _json(index.data, reference).get("manifests", []):
        at = entry.get("platform", {}) if isinstance(entry, dict) else {}
        name = f"{at.get('os')}/{at.get('architecture')}"
        if name == platform and DIGEST.fullmatch(str(entry.get("digest"))):
            return str(entry["digest"])
        offered.append(name)
    raise ImageError(f"{reference} has no image for {platform}; it has "
                     f"{', '.join(sorted({*offered} - {'unknown/unknown'})) or 'none'}",
                     todo="use an image that has this platform, given by hand under `images` in "
                          "the pipeline's file")


def read_manifest(manifest: Manifest, reference: Reference, *, index: str | None, platform: str,
                  resolved: str) -> Image:
    """The image that a manifest's bytes describe."""
    value = _json(manifest.data, reference)
    layers = value.get("layers")
    if not isinstance(layers, list):
        raise ImageError(f"the manifest of {reference} has no list of layers")
    return Image(source=reference, index=index, manifest=manifest.digest,
                 media_type=str(value.get("mediaType") or manifest.media_type), platform=platform,
                 config=_blob(value.get("config"), reference), resolved=resolved,
                 layers=tuple(_blob(each, reference) for each in layers))


def _blob(value: Any, reference: Reference) -> Blob:
    digest = value.get("digest") if isinstance(value, dict) else None
    if not (isinstance(digest, str) and DIGEST.fullmatch(digest)
            and isinstance(value.get("size"), int) and value["size"] >= 0):
        raise ImageError(f"the manifest of {reference} names a blob without digest and size")
    return Blob(digest=digest, size=value["size"], media_type=value.get("mediaType"))


def _json(data: bytes, reference: Reference) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ImageError(f"what the registry holds as {reference} is no manifest")
    return value


def distinct(images: Sequence[Image]) -> list[Blob]:
    """Every blob of these images, once."""
    return list({blob.digest: blob for image in images for blob in image.blobs}.values())


def read_lock(path: Path) -> list[Image]:
    """The images of a lock."""
    return [Image(source=parse(each["source"]), index=each["index"], manifest=each["manifest"],
                  media_type=each["media_type"], platform=each["platform"],
                  config=Blob(**each["config"]), resolved=each["resolved"],
                  layers=tuple(Blob(**layer) for layer in each["layers"]))
            for each in read_json(path, "images-lock")["images"]]


def as_json(platform: str, images: Sequence[Image]) -> dict[str, Any]:
    """The lock's form, by schemas/images-lock.schema.json."""
    return {"platform": platform, "images": [{
        "source": str(image.source), "index": image.index, "manifest": image.manifest,
        "media_type": image.media_type, "platform": image.platform, "size": image.size,
        "config": {"digest": image.config.digest, "size": image.config.size},
        "layers": [{"digest": blob.digest, "size": blob.size, "media_type": blob.media_type}
                   for blob in image.layers],
        "resolved": image.resolved} for image in sorted(images, key=lambda each: str(each.source))]}
