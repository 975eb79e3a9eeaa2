"""images:lock: each image's tag resolved once, to the digests of the wanted platforms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tasks.core import config_places, files, lock_files, parsing
from tasks.core.errors import AirlockError, ImageError, folded
from tasks.core.lock_files import Entries, Entry, Locked, LockFiles
from tasks.core.parallel import try_all
from tasks.core.registry.client import (
    INDEXES,
    MANIFESTS,
    SCHEMA1,
    Access,
    Manifest,
    Registries,
    Registry,
    endpoint,
)
from tasks.core.registry.endpoint import Missing
from tasks.images import image_files, licences, schema1
from tasks.images.image_files import FileSources
from tasks.images.lock_format import (
    Blob,
    Image,
    Variant,
    as_entries,
    as_json,
    distinct,
    from_entries,
    read_entries,
    read_platforms,
)
from tasks.images.moved_tags import moved_by_relock
from tasks.images.platforms import ALL, choose, fits, other_platform
from tasks.images.reference import DIGEST, Reference, parse

LARGEST_CONFIG = 8 << 20


@dataclass(frozen=True, kw_only=True)
class LockSpec:
    """What images:lock reads and writes; `merged` is the lock as it holds for the site.

    `platform` is the offline hosts'; `platforms` are carried beside it, or `all` that an index has.
    `licences` maps patterns of repositories to the licence that they need. `files` is where image
    files come from, on a site whose releases carry those.
    """

    pipeline: str
    images: Path
    lock: LockFiles
    merged: Path
    pinned: Path
    platform: str
    access: Access
    relock: bool
    platforms: tuple[str, ...] = ()
    licences: Mapping[str, str] = field(default_factory=dict)
    files: FileSources | None = None


def lock_images(spec: LockSpec) -> str:
    """Bring the lock up to `images.txt`: new images are resolved, those no longer listed go."""
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    listed = spec.images.read_text().split()
    locked = _locked(spec)
    sifs = image_files.lock(
        spec.files, listed, {} if spec.relock else locked.entries, now,
        config=str(config_places.pipeline(spec.pipeline)))
    wanted = [parse(line) for line in listed if line not in sifs.entries]
    before = from_entries(locked.entries)
    kept = {} if spec.relock else {image.source: image for image in before}
    waiting = [reference for reference in wanted if reference not in kept]
    resolved = resolve_all(Registries(spec.access), waiting, spec.platform, now, spec.platforms,
                           before)
    images = [kept.get(reference) or resolved[reference] for reference in wanted]
    _write(spec, locked, {**as_entries(images), **sifs.entries}, {**sifs.fresh, **{
        str(reference): _own_place(reference, spec.access) for reference in waiting}})
    images = [replace(image, licence=licences.needed(image.source, spec.licences))
              for image in images]
    files.write_json(spec.merged, as_json(spec.platform, spec.platforms,
                                          {**as_entries(images), **sifs.entries}))
    files.write_text(spec.pinned, "".join(f"{line}\n" for line in sorted(
        {image.source.at(image.manifest) for image in images})))
    blobs = distinct(images)
    return "\n".join([
        f"{len(images)} images, {len(waiting)} resolved now, "
        f"{files.human_size(sum(blob.size for blob in blobs))} in {len(blobs)} blobs",
        *sifs.lines(locked.entries), *moved_by_relock(before, images),
        *remarks(images, spec.platforms)])


def _own_place(reference: Reference, access: Access) -> str | None:
    """The place of the site's own where a reference is resolved; None for its public one."""
    place = endpoint(reference.repository, access.registries)
    return None if place == endpoint(reference.repository, {}) else place


def remarks(images: Sequence[Image], platforms: Sequence[str]) -> list[str]:
    """A line for each thing that the user should know of these images before they are moved."""
    lines = [f"licence: {image.source} needs one of {image.licence}"
             for image in images if image.licence]
    lines += [f"convert: {image.source} is in {image.convert}, which current engines refuse; the "
              "mirror converts it" for image in images if image.convert]
    for image in images:
        lacking = [platform for platform in platforms if platform != ALL and not any(
            fits(variant.platform, platform) for variant in image.variants)]
        if lacking:
            lines.append(f"platform: {image.source} has none for {', '.join(lacking)}")
    return lines


def _locked(spec: LockSpec) -> Locked:
    """The lock's entries. Those for other platforms than the site's are left, and shared no more.

    ImageError where a lock for other platforms would hold, unless the user asked to lock anew.
    """
    shared, own = (_fitting(path, spec) for path in spec.lock.paths)
    other = next((path for path, entries in zip(spec.lock.paths, (shared, own), strict=True)
                  if entries is None), None)
    if other is not None and not own and not spec.relock:
        locked, asked = (" and ".join(names) for names in (
            read_platforms(other), (spec.platform, *spec.platforms)))
        raise ImageError(f"the lock is for {locked}, the site's platform is {asked}", where=other,
                         todo=f"to lock the images for {asked} for this site: {spec.lock.renewing}")
    return Locked(shared=shared or {}, own=own or {})


def _fitting(path: Path, spec: LockSpec) -> dict[str, Entry] | None:
    """The entries of one of the lock's files; None where they are for other platforms."""
    entries = {**read_entries(path), **image_files.read_entries(path)} if path.is_file() else {}
    fits = not entries or read_platforms(path) == (spec.platform, *spec.platforms)
    return entries if fits else None


def _write(spec: LockSpec, before: Locked, now: Entries, fresh: Mapping[str, str | None]) -> None:
    """Write the lock as it is `now`; where what all share is for other platforms, all is the
    site's own.

    `fresh` are those resolved just now, with the place of the site's own where that was. A site
    with image files lists other images than one whose engine pulls, and the shared lock is that
    one's: what it lacks is the site's own.
    """
    def form(entries: Entries) -> dict[str, Any]:
        return as_json(spec.platform, spec.platforms, entries)

    reached_at = {name: place for name, place in fresh.items() if place or spec.files}
    locked = before.renewed(now, [*fresh], reached_at)
    if spec.files is not None:
        locked = Locked(shared=before.shared, own=locked.own)
    if spec.lock.shared.is_file() and _fitting(spec.lock.shared, spec) is None:
        files.write_json(spec.lock.own, form(locked.entries))
    else:
        lock_files.write(spec.lock, locked, form)


def resolve_all(registries: Registries, references: Sequence[Reference], platform: str,
                now: str, platforms: Sequence[str] = (),
                before: Sequence[Image] = ()) -> dict[Reference, Image]:
    """Resolve images several at a time; all faults are raised together.

    Of those that were locked `before` and are gone, the error says that the lock still has them.
    """
    locked = {image.source: image for image in before}

    def ask(reference: Reference) -> Image:
        try:
            return resolve(registries, reference, platform, now, platforms)
        except Missing as error:
            if reference not in locked:
                raise
            raise _gone(error, locked[reference]) from error

    results = try_all(ask, references)
    faults = {str(reference): result for reference, result in zip(references, results, strict=True)
              if isinstance(result, AirlockError)}
    if len(faults) == 1:
        raise next(iter(faults.values()))
    if faults:
        raise ImageError(f"{len(faults)} images can't be locked:\n{folded(faults)}")
    return {reference: image for reference, image in zip(references, results, strict=True)
            if not isinstance(image, AirlockError)}


def _gone(error: Missing, image: Image) -> ImageError:
    return ImageError(f"{error.what} any more; it is locked to {image.manifest}, since "
                      f"{image.resolved}", where=error.where,
                      todo="without relock=1 the lock keeps it, and the copy is used that the "
                           "registry or the store has of it; where none has, take another image, "
                           "given by hand under `images` in the pipeline's file")


def resolve(registries: Registries, reference: Reference, platform: str, now: str,
            platforms: Sequence[str] = ()) -> Image:
    """Ask the image's registry what it stands for now, on the wanted platforms."""
    registry = registries.at(reference.repository)
    top = registry.manifest(reference.path, reference.wanted)
    kind = _kind(top, reference)
    if kind == "schema 1":
        image = schema1.read(registry, top, reference, now)
        _check_platform(image.platform, platform, reference)
        return image
    if kind == "manifest":
        variant = read_manifest(top, reference, platform)
        _check_platform(_platform(registry, variant, reference), platform, reference)
        return _image(variant, reference, now)
    chosen = choose(_json(top.data, reference), reference, platform, platforms)

    def child(digest: str, name: str) -> Variant:
        manifest = registry.manifest(reference.path, digest)
        if _kind(manifest, reference) != "manifest":
            raise ImageError(f"the index of {reference} leads to no plain image for {name}")
        return read_manifest(manifest, reference, name)

    return replace(_image(child(chosen.first, platform), reference, now), index=top.digest,
                   whole=chosen.whole,
                   others=tuple(child(digest, name) for name, digest in chosen.others))


def _image(variant: Variant, reference: Reference, now: str) -> Image:
    return Image(source=reference, index=None, resolved=now, manifest=variant.manifest,
                 media_type=variant.media_type, platform=variant.platform, config=variant.config,
                 layers=variant.layers)


def _platform(registry: Registry, variant: Variant, reference: Reference) -> str:
    """An image without an index tells its platform in its config."""
    if variant.config is None or variant.config.size > LARGEST_CONFIG:
        raise ImageError(f"the config of {reference} is implausibly large")
    with registry.blob(reference.path, variant.config.digest, variant.config.size) as chunks:
        config = _json(b"".join(chunks), reference)
    return f"{config.get('os', 'linux')}/{config.get('architecture', '?')}"


def _check_platform(own: str, platform: str, reference: Reference) -> None:
    if own != platform:
        raise other_platform(own, platform, reference)


def _kind(manifest: Manifest, reference: Reference) -> str:
    """`index`, `manifest` or `schema 1`; ImageError for anything else."""
    value = _json(manifest.data, reference)
    media_type = value.get("mediaType") or manifest.media_type
    if value.get("schemaVersion") == 1 or media_type in SCHEMA1:
        return "schema 1"
    if media_type in INDEXES or "manifests" in value:
        return "index"
    if media_type in MANIFESTS or "config" in value:
        return "manifest"
    raise ImageError(f"{reference} is no image: its media type is {media_type!r}")


def read_manifest(manifest: Manifest, reference: Reference, platform: str) -> Variant:
    """What a manifest's bytes describe."""
    value = _json(manifest.data, reference)
    layers = value.get("layers")
    if not isinstance(layers, list):
        raise ImageError(f"the manifest of {reference} has no list of layers")
    return Variant(manifest=manifest.digest, platform=platform,
                   media_type=str(value.get("mediaType") or manifest.media_type),
                   config=_blob(value.get("config"), reference),
                   layers=tuple(_blob(layer, reference) for layer in layers))


def _blob(value: Any, reference: Reference) -> Blob:
    digest = value.get("digest") if isinstance(value, dict) else None
    if not (isinstance(digest, str) and DIGEST.fullmatch(digest)
            and type(value.get("size")) is int and value["size"] >= 0
            and isinstance(value.get("mediaType"), str | None)):
        raise ImageError(f"the manifest of {reference} names a blob without digest, size and "
                         "media type")
    return Blob(digest=digest, size=value["size"], media_type=value.get("mediaType"))


def _json(data: bytes, reference: Reference) -> dict[str, Any]:
    try:
        value = parsing.from_json(data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ImageError(f"what the registry holds as {reference} is no manifest")
    return value
