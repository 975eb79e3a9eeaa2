"""What the destination holds of images before anything moves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tasks.core.net import pace
from tasks.core.parallel import run_all
from tasks.core.registry.client import Registries
from tasks.core.registry.uploads import SMALL
from tasks.images import plan
from tasks.images.destination import Destination
from tasks.images.lock_format import Image
from tasks.images.plan import Present

Pair = tuple[str, str]
"""A repository with its registry's address, and a tag or digest in it."""


def open_registries(registries: Registries, images: Sequence[Image],
                    destination: Destination) -> list[str]:
    """The addresses of the registries that these images go to, each of which lets us in.

    They are the organisation's own, so they may be asked as much as they can take.
    """
    addresses = plan.addresses(images, destination)
    for address in addresses:
        registry = registries.at(address)
        registry.limits.connections.allow(destination.connections)
        registry.ping()
    return addresses


def survey(registries: Registries, images: Sequence[Image], destination: Destination, *,
           every: bool = False) -> Present:
    """What the destination holds of these images, by HEAD requests alone.

    Without `every`, no more is asked than what must be known to bring them: of an image whose
    manifest is missing no tag, and of its blobs those that cost more to send than to ask for,
    each in one repository, since mounts bring the others.
    """
    names = [(destination.repository(image.source), image) for image in images]
    once: dict[Pair, Pair] = {}
    for name, image in names:
        for blob in image.all_blobs:
            if every or blob.size > SMALL:
                once.setdefault((destination.registry(image.source), blob.digest),
                                (name, blob.digest))
    expected = {(name, blob.digest): blob.size for name, image in names
                for blob in image.all_blobs}
    digests, sizes = _ask(registries, ((name, digest) for name, image in names
                                       for digest in image.manifests), once.values(), expected)
    whole = [(name, image) for name, image in names
             if every or all(digests[name, digest] == digest for digest in image.manifests)]
    tags, other_sizes = _ask(
        registries, ((name, image.source.tag) for name, image in whole if image.source.tag),
        {(name, blob.digest) for name, image in whole for blob in image.all_blobs} - {*sizes},
        expected)
    return Present(
        manifests=frozenset(pair for pair, digest in digests.items() if pair[1] == digest),
        tags={pair: digest for pair, digest in tags.items() if digest},
        blobs={pair: size for pair, size in {**sizes, **other_sizes}.items() if size is not None})


def _ask(registries: Registries, manifests: Iterable[Pair], blobs: Iterable[Pair],
         expected: Mapping[Pair, int]) -> tuple[dict[Pair, str | None], dict[Pair, int | None]]:
    """The digests of manifests and the sizes of blobs, None for what is not there.

    `expected` are the sizes that these blobs should have.
    """
    digests: dict[Pair, str | None] = dict.fromkeys(manifests)
    sizes: dict[Pair, int | None] = dict.fromkeys(blobs)

    def ask(pair: Pair) -> None:
        address, _, path = pair[0].partition("/")
        if pair in digests:
            digests[pair] = registries.at(address).manifest_digest(path, pair[1])
        else:
            sizes[pair] = registries.at(address).blob_size(path, pair[1], expected[pair])

    run_all(ask, [*digests, *sizes], threads=pace.MOST_CONNECTIONS)
    return digests, sizes
