"""A plan carried out: blobs, then manifests, then all of it read back, for many images at once.

Each image goes on by itself as soon as its blobs are there, so no manifest is ever put that isn't
complete, and images are read back while others are still on their way.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from tasks.core.net import pace
from tasks.core.parallel import Work, run_chains
from tasks.core.progress import Progress
from tasks.core.registry.client import Manifest, Registries, Registry
from tasks.core.registry.uploads import SMALL, Started
from tasks.images.content_sources import Contents
from tasks.images.destination import Destination
from tasks.images.lock_format import Image
from tasks.images.plan import BlobMove, ImageMove, Plan
from tasks.images.read_back import Check, checks, read_back

UPLOADS = 2 * pace.CONNECTIONS
"""Blobs that come from their source at a time: twice what it lets come, so that it never waits."""
THREADS = UPLOADS + pace.MOST_CONNECTIONS


class Transfer:
    """Carries out a plan; what is there at the end was read back from the destination."""

    def __init__(self, contents: Contents, targets: Registries, destination: Destination) -> None:
        self._contents, self._targets, self._destination = contents, targets, destination

    def carry_out(self, plan: Plan, *, title: str) -> None:
        """Bring all but what is to be converted; ImageError where an image isn't whole then."""
        moves = [move for move in plan.images if not move.is_to_convert]
        self._arrivals = _Arrivals(plan, moves, self._destination)
        sizes: Counter[str] = Counter()
        for blob in plan.blobs:
            sizes[str(blob.source)] += blob.moved
        large, small = (
            [partial(self._bring, blob) for blob in plan.blobs if (blob.moved > SMALL) is is_large]
            for is_large in (True, False))
        complete = [partial(self._finish, move) for move in self._arrivals.whole()]
        with Progress(title, sizes) as progress:
            self._progress = progress
            run_chains([*small, *complete], large, threads=THREADS, heavy_at_once=UPLOADS)

    def _bring(self, blob: BlobMove) -> list[Work]:
        """Bring a blob to one repository; what follows brings it to the others.

        Another pipeline's mirror, under way at the same time, may have brought the blob since the
        survey, into this repository or into another one.
        """
        target = self._targets.at(blob.address)
        with target.uploading(blob.digest) as holders:
            holder = blob.held_by or holders.first
            if holder is None:
                holder = blob.repositories[0]
                self._upload(target, holder, blob, self._progress)
            holders.repositories.add(holder)
        following: list[Work] = []
        for repository in blob.repositories:
            following += (self._arrived(blob, repository) if repository == holder else
                          [partial(self._mount, blob, repository, holder)])
        return following

    def _mount(self, blob: BlobMove, repository: str, holder: str) -> list[Work]:
        """Mount a blob; where that is refused, upload it."""
        target = self._targets.at(blob.address)
        mounted = target.mount(repository, blob.digest, holder)
        if mounted is not True:
            with target.uploading(blob.digest) as holders:
                if repository not in holders.repositories:
                    self._upload(target, repository, blob, None, mounted or None)
                    holders.repositories.add(repository)
        return self._arrived(blob, repository)

    def _arrived(self, blob: BlobMove, repository: str) -> list[Work]:
        return [partial(self._finish, move)
                for move in self._arrivals.complete(blob.address, repository, blob.digest)]

    def _upload(self, target: Registry, repository: str, blob: BlobMove,
                progress: Progress | None, started: Started | None = None) -> None:
        @contextmanager
        def source() -> Iterator[Iterator[bytes]]:
            with self._contents.at(blob.source.repository).blob(
                    blob.source.path, blob.digest, blob.size) as chunks:
                yield _counted(chunks, progress.of(str(blob.source)) if progress else None)

        target.upload(repository, blob.digest, blob.size, source, started)

    def _finish(self, move: ImageMove) -> list[Work]:
        """Put an image's manifests; what follows reads it back."""
        self._put(move)
        reading = _Reading(self._targets, move.image, self._destination)
        return [partial(self._check, reading, check) for check in reading.checks]

    def _put(self, move: ImageMove) -> None:
        """Put the manifests, with the source's own bytes; a tag's put is by digest as well."""
        image, target = move.image, self._targets.at(self._destination.registry(move.image.source))
        for digest, references in move.put:
            manifest = (target.manifest(move.repository, digest) if image.converted_from else
                        self._manifest(image, digest))
            if target.put_manifest(move.repository, references[-1], manifest):
                continue
            self._restore(image, target)
            if not target.put_manifest(move.repository, references[-1], manifest):
                raise target.lost_blob(move.repository, str(image.source))

    def _check(self, reading: _Reading, check: Check) -> list[Work]:
        """Ask one thing of an image that was put; after the last, mend what was wrong."""
        if reading.ask(check):
            self._mend(reading.image)
        return []

    def _mend(self, image: Image) -> None:
        """Upload an image once more, by force, and put its manifests; then read it back."""
        if not image.converted_from:
            target = self._targets.at(self._destination.registry(image.source))
            self._restore(image, target)
            for digest in image.manifests:
                tag = image.source.tag if digest == image.tagged else None
                target.put_manifest(self._destination.path(image.source), tag or digest,
                                    self._manifest(image, digest))
        read_back(self._targets, image, self._destination)

    def _manifest(self, image: Image, digest: str) -> Manifest:
        target = self._targets.at(self._destination.registry(image.source))
        return (target.known_manifest(digest)
                or self._contents.at(image.source.repository).manifest(image.source.path, digest))

    def _restore(self, image: Image, target: Registry) -> None:
        """Upload everything: a HEAD said that a blob is there, and the registry lacks it."""
        path = self._destination.path(image.source)
        for blob in image.all_blobs:
            with target.uploading(blob.digest):
                self._upload(target, path, BlobMove(
                    digest=blob.digest, size=blob.size, source=image.source,
                    address=target.host, repositories=(path,), held_by=None), None)


class _Arrivals:
    """Which images wait for which blobs, from any thread."""

    def __init__(self, plan: Plan, moves: list[ImageMove], destination: Destination) -> None:
        moving = {(blob.address, path, blob.digest)
                  for blob in plan.blobs for path in blob.repositories}
        self._moves, self._lock = moves, threading.Lock()
        self._awaited = [moving & {(destination.registry(move.image.source), move.repository,
                                    blob.digest) for blob in move.image.all_blobs}
                         for move in moves]
        self._waiting: dict[tuple[str, str, str], list[int]] = {}
        for number, awaited in enumerate(self._awaited):
            for place in awaited:
                self._waiting.setdefault(place, []).append(number)

    def whole(self) -> list[ImageMove]:
        """The images that wait for nothing, before anything has arrived."""
        return [move for move, awaited in zip(self._moves, self._awaited, strict=True)
                if not awaited]

    def complete(self, address: str, path: str, digest: str) -> list[ImageMove]:
        """Take a blob's arrival into account: the images that wait for nothing else."""
        with self._lock:
            numbers = self._waiting.pop((address, path, digest), [])
            for number in numbers:
                self._awaited[number].discard((address, path, digest))
            return [self._moves[number] for number in numbers if not self._awaited[number]]


class _Reading:
    """One image's reading back, by several threads."""

    def __init__(self, targets: Registries, image: Image, destination: Destination) -> None:
        self.image = image
        self.checks = [*checks(targets, image, destination)]
        self._left, self._is_wrong, self._lock = len(self.checks), False, threading.Lock()

    def ask(self, check: Check) -> bool:
        """Do one check; True after the last one, where any has found a fault."""
        fault = check()
        with self._lock:
            self._left -= 1
            self._is_wrong = self._is_wrong or fault is not None
            return self._is_wrong and not self._left


def _counted(chunks: Iterator[bytes], count: Callable[[int], None] | None) -> Iterator[bytes]:
    for chunk in chunks:
        if count is not None:
            count(len(chunk))
        yield chunk
