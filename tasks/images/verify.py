"""images:verify: lock, source and destination side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import AirlockError, ImageError, IntegrityError, RegistryError
from tasks.core.net.pace import MOST_CONNECTIONS
from tasks.core.parallel import run_all
from tasks.core.registry.client import Access, Registries
from tasks.core.schema import read_json
from tasks.core.store.interface import Store
from tasks.core.store.store import open_store
from tasks.core.trust import published
from tasks.images import convert, moved_tags, reference
from tasks.images.destination import Destination
from tasks.images.lock_format import Image, read_lock
from tasks.images.read_back import differences
from tasks.images.receipt import receipt
from tasks.images.reference import Reference
from tasks.images.survey import open_registries


@dataclass(frozen=True, kw_only=True)
class VerifySpec:
    """What images:verify reads; it removes the receipt where it isn't true any more.

    `locks` are those of all pipelines of the site, and `store` has the releases before: what
    none of them names is extra.
    """

    pipeline: str
    lock: Path
    locks: tuple[Path, ...]
    receipt: Path
    destination: Destination
    access: Access
    store: StoreAt


def verify_images(spec: VerifySpec) -> str:
    """Print what is ok, differs, is extra or has moved; ImageError where the destination differs.

    The receipt is gone then. What is extra there, and a source that has moved on, is gone or
    can't be reached, is shown and is no fault: what is carried is what the lock says.
    """
    locked = read_lock(spec.lock)
    registries = Registries(spec.access)
    addresses = open_registries(registries, locked, spec.destination)
    images = convert.as_held(registries, locked, spec.destination, spec.receipt)
    drift = compare(read_json(spec.receipt, "images-receipt"), receipt(images, spec.destination))

    def look(image: Image) -> list[str]:
        if image.convert and not image.converted_from:
            return [f"{image.manifest} is not converted there"]
        try:
            return differences(registries, image, spec.destination)
        except IntegrityError as error:
            return [error.what]

    differing = run_all(look, images, threads=MOST_CONNECTIONS)
    lines = [f"{'differs' if faults else 'ok':<9}{image.source}"
             + "".join(f"\n         {fault}" for fault in faults)
             for image, faults in zip(images, differing, strict=True)]
    lines += [f"differs  {line}" for line in drift]
    everything = [*locked, *(image for path in spec.locks if path.is_file() and path != spec.lock
                             for image in read_lock(path))]
    lines += [f"extra    {line}" for line in _extra(registries, everything, spec)]
    lines += [f"source   {tag.source}: {tag.message}"
              for tag in moved_tags.ask_sources(registries, locked)
              if tag.state not in (moved_tags.CURRENT, moved_tags.PINNED)]
    print("\n".join(lines), flush=True)
    count = sum(bool(faults) for faults in differing) + len(drift)
    if count:
        spec.receipt.unlink(missing_ok=True)
        raise ImageError(f"{count} of what the receipt says is not true any more; it was removed",
                         where=spec.destination.address,
                         todo=f"run `doit images:mirror:{spec.pipeline}` again, which repairs it")
    return f"{len(images)} images whole at {' and '.join(addresses)}"


def compare(written: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Where a receipt and the lock disagree."""
    lines = ([] if written["registry"] == wanted["registry"] else
             [f"the receipt is for {written['registry']}, not {wanted['registry']}"])
    one = {entry["source"]: entry for entry in written["images"]}
    other = {entry["source"]: entry for entry in wanted["images"]}
    for source in sorted({*one, *other}):
        if source not in one:
            lines.append(f"{source} is in the lock, not in the receipt")
        elif source not in other:
            lines.append(f"{source} is in the receipt, not in the lock")
        elif one[source] != other[source]:
            keys = sorted(key for key in {*one[source], *other[source]}
                          if one[source].get(key) != other[source].get(key))
            lines.append(f"{source}: receipt and lock differ in {', '.join(keys)}")
    return lines


def _extra(registries: Registries, images: Sequence[Image], spec: VerifySpec) -> list[str]:
    """What is extra; nothing is called so where it isn't known what older releases need."""
    try:
        released = released_images(open_store(spec.store))
    except AirlockError as error:
        return [f"can't be known: what releases in the store need isn't known: {error.what}"]
    return extra(registries, images, spec.destination, released)


def released_images(store: Store) -> dict[str, set[str]]:
    """The tags that releases in the store name, of any pipeline, by repository in the registry."""
    tags: dict[str, set[str]] = {}
    for listed in run_all(partial(published.images, store), published.releases(store)):
        for image in listed["images"]:
            tag = reference.parse(image["source"]).tag
            tags.setdefault(image["destination"], set()).update([tag] if tag else [])
    return tags


def extra(registries: Registries, images: Sequence[Image], destination: Destination,
          released: Mapping[str, set[str]]) -> list[str]:
    """What the destination holds below our paths that neither an image nor a release names: tags,
    then repositories."""
    ours = owned([image.source for image in images], destination)
    named = {name: {*tags} for name, tags in released.items()
             if name.partition("/")[0] in ours}  # a registry of before isn't looked at
    for image in images:
        tags = named.setdefault(destination.repository(image.source), set())
        tags |= {image.source.tag} if image.source.tag else set()

    def tags_of(name: str) -> list[str]:
        address, _, path = name.partition("/")
        return [f"{name}:{tag}" for tag in sorted({*registries.at(address).tags(path)}
                                                  - named[name])]

    def others(address: str) -> list[str]:
        paths = sorted(registries.at(address).repositories())
        return [f"{address}/{path}" for path in paths if f"{address}/{path}" not in named
                and any(path.startswith(below) for below in ours[address])]

    questions = [*(partial(_answer, partial(tags_of, name), f"the tags of {name}")
                   for name in sorted(named)),
                 *(partial(_answer, partial(others, address), f"all of {address}")
                   for address in sorted(ours))]
    answers = run_all(lambda ask: ask(), questions, threads=MOST_CONNECTIONS)
    return [line for lines in answers for line in lines]


def owned(sources: Iterable[Reference], destination: Destination) -> dict[str, set[str]]:
    """By registry, the beginnings of the repositories that the mirror alone fills."""
    beginnings: dict[str, set[str]] = {}
    for source in sources:
        below = destination.below(source.host)
        beginnings.setdefault(destination.registry(source), set()).add(f"{below}/" if below else "")
    if destination.prefix and destination.address in beginnings:
        beginnings[destination.address].add(f"{destination.prefix}/")
    return beginnings


def _answer(ask: Callable[[], list[str]], what: str) -> list[str]:
    """The answer, or why there is none: many registries let nobody list them."""
    try:
        return ask()
    except RegistryError as error:
        return [f"can't be known for {what}: {error.what}"]
