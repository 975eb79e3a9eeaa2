"""Image files that a release carries: what a host needs to run them, which it has in place."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from tasks.core import files, nofollow
from tasks.core.engine import apptainer
from tasks.core.errors import HostError
from tasks.core.frozen import frozen
from tasks.core.machine_names import architecture
from tasks.core.nextflow.library import Library
from tasks.core.paths import SIF_INDEX
from tasks.core.schema import read_json
from tasks.offline_host.library import usable

logger = logging.getLogger(__name__)

FETCH = "run `doit role=prod prod:fetch`, which checks the release and brings what is missing"


@frozen
class ImageFiles:
    """The image files of a release in the folder `release`, for an engine of this `kind`.

    They lie in `folder`, which may be one of the library that users share, `shared`. `path` is
    where programs are looked for. No registry is asked, and no login or CA is needed.
    """

    release: Path
    kind: str
    path: str
    folder: Path
    shared: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Nothing: tasks find the engine on the PATH, and get no other variable of it."""
        return {}

    @property
    def names(self) -> list[str]:
        """The images as offline.config names them."""
        return [image["container"] for image in self._images]

    def library(self, cache: Path) -> Library:
        """What Nextflow is told of them, and of the engine on this host; nothing lies in `cache`.
        """
        return Library(engine=self.kind, folder=self.folder.absolute(), cache=cache,
                       options=self._options)

    def looks(self) -> Iterator[Callable[[], object]]:
        """What is looked at before anything is unpacked; each image is tried once for a platform.
        """
        yield partial(index, self.release)
        yield lambda: self._program
        if self._library:
            yield partial(usable, self._library)
        if (self.release / SIF_INDEX).is_file():
            yield self._refuse_missing
            yield lambda: self._options

    def bring(self, alone: Callable[[], AbstractContextManager[None]]) -> str:
        """Say how many there are: they came with the release."""
        return f"{len(self._images)} image files"

    @property
    def _library(self) -> Path | None:
        """The library, where these files are of it."""
        return self.shared if self.shared and self.folder.is_relative_to(self.shared) else None

    @cached_property
    def _images(self) -> list[dict[str, Any]]:
        return index(self.release)

    @cached_property
    def _program(self) -> apptainer.Program:
        """The engine on this host; HostError where there is none, or it is too old."""
        return apptainer.find(self.kind, self.path)

    def _refuse_missing(self) -> None:
        """HostError for each that isn't as long as it must be; prod:fetch has hashed them all."""
        faults, root = [], self._library or self.release
        for image in self._images:
            size = nofollow.size(root, str((self.folder / image["file"]).relative_to(root)))
            if size != image["size"]:
                faults.append(f"{image['file']} " + (
                    "is missing" if size is None else
                    f"has {size} bytes, and not the {image['size']} that it was carried with"))
        if faults:
            raise HostError("image files of the release are not in place:\n" + "\n".join(
                f"  {fault}" for fault in faults), where=self.folder, todo=FETCH)

    @cached_property
    def _options(self) -> tuple[str, ...]:
        """The options that the engine needs here, tried on the smallest file of each platform.

        Nothing where an earlier look has failed, since that is said.
        """
        smallest: dict[str, dict[str, Any]] = {}
        for image in sorted(self._images, key=lambda image: -image["size"]):
            smallest[image["platform"]] = image
        options: tuple[str, ...] = ()
        for platform, image in smallest.items():
            path = self.folder / image["file"]
            if path.is_file() and path.stat().st_size == image["size"]:
                options = max(options, self._tried(path.absolute(), platform), key=len)
        return options

    def _tried(self, image: Path, platform: str) -> tuple[str, ...]:
        try:
            program = self._program
        except HostError:
            return ()
        try:
            options = apptainer.way_to_run(program, image)
        except HostError as error:
            if platform == f"linux/{architecture()}":
                raise
            raise HostError(f"the release's images are for {platform}, and this host is linux/"
                            f"{architecture()}: {error.what}", where=image, todo="set `platform` "
                            "in the site's file to the offline hosts' own, and release anew"
                            ) from error
        if "--unsquash" in options:
            logger.warning("SLOW: %s unpacks the image for each task here: %s", program.name,
                           "; ".join(lack for _, lack in apptainer.lacks(program)))
        return options


def index(release: Path) -> list[dict[str, Any]]:
    """The image files of a release; HostError where it carries none."""
    path = release / SIF_INDEX
    if not path.is_file():
        raise HostError("this release carries no image files: it was made for an engine that pulls",
                        where=path, todo="make a release of it with the site's `offline.engine` as "
                                         "it is now, and fetch that")
    listed: list[dict[str, Any]] = read_json(path, "sif")["images"]
    return listed


def by_file(release: Path) -> dict[str, dict[str, Any]]:
    """The images of a release by the names of their files."""
    return {image["file"]: image for image in index(release)}


def size(release: Path) -> str:
    """How much the image files of a release are, for people."""
    return files.human_size(sum(image["size"] for image in index(release)))
