"""The library: a folder of image files that the users of a host share (`offline.library`).

Its owner fills it by an ordinary prod:fetch, and all others only read. It has a folder for each
release, whose files are held against the signed list before each run, as any file of a release is.
What others than its owner can change isn't taken at all, since that could be after the look.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath

from tasks.core import disk, files, nofollow, ownership
from tasks.core.config.settings import offline_command
from tasks.core.errors import AirlockError, HostError, IntegrityError, listed
from tasks.core.frozen import frozen
from tasks.core.offline_paths import OfflinePaths
from tasks.core.parallel import run_all, try_all
from tasks.core.paths import SIFS
from tasks.core.progress import Progress

logger = logging.getLogger(__name__)

AT_ONCE = 4
"""Image files that pass through the user's own cache at a time: one may be some GB."""
WAIT = 24 * 3600.0
"""Seconds for which who fills the library is waited for: it may be as long as its link is slow."""
READ, WRITE = os.R_OK | os.X_OK, os.W_OK | os.X_OK


@frozen
class SharedLibrary:
    """The place of a release in the library `root`."""

    root: Path
    pipeline: str
    release: str

    @property
    def folder(self) -> Path:
        """Where its image files lie, by Nextflow's names."""
        return self.root / self.pipeline / self.release

    @property
    def is_writable(self) -> bool:
        """Whether this user may fill it: its owner, but where it is mounted read-only.

        What root wrote there, its owner could not mend.
        """
        return is_writable(self.root) and all(os.access(folder, WRITE) for folder in (
            self.root / self.pipeline, self.folder) if os.path.lexists(folder))

    def wrong(self, images: Mapping[str, str], sizes: Mapping[str, int],
              step: str) -> dict[str, AirlockError]:
        """What is not as it was signed, of image files by their paths in the release."""
        owner = usable(self.root)
        with Progress(step, {path: sizes[path] for path in images}, kind="files") as progress:
            def look(path: str) -> AirlockError | None:
                fault = self._fault(self._place(path), images[path], owner)
                progress.add(path, sizes[path])
                return fault

            faults = zip(images, run_all(look, images), strict=True)
        return {path: fault for path, fault in faults if fault}

    def lacking(self, wrong: Mapping[str, AirlockError]) -> AirlockError:
        """The error of what is wrong, for who may not mend it."""
        return HostError(f"the library lacks image files of {self.release}:\n{listed(wrong)}",
                         where=self.folder, todo=(
            f"{ownership.owner(self.root.stat())} fills it, where it may be written: `"
            f"{offline_command(f'pipeline={self.pipeline} release={self.release} prod:fetch')}`"))

    def fill(self, images: Mapping[str, str], sizes: Mapping[str, int], step: str,
             bring: Callable[[str], AbstractContextManager[Path]]
             ) -> dict[str, AirlockError | None]:
        """Have these image files there, one user at a time: what was wrong, with why it still is.

        `bring` has a file ready that is right. HostError where the library can't be written.
        """
        try:
            with nofollow.locked(self.root, nofollow.LOCK, wait=WAIT):
                self._sweep()
                left = self.wrong(images, sizes, step)  # another may have filled it meanwhile
                equal = self._link({path: images[path] for path in left})
                rest = [path for path in left if path not in equal]
                disk.hold(self.root, sum(sizes[path] for path in rest), "the library")
                brought = try_all(lambda path: self._put(path, bring), rest, threads=AT_ONCE)
                return {**dict.fromkeys(equal), **dict(zip(rest, brought, strict=True))}
        except OSError as error:
            raise HostError(f"the library can't be filled: {error.strerror}", where=self.folder,
                            todo="let the user who owns all of it do that, alone") from error

    def _put(self, path: str, bring: Callable[[str], AbstractContextManager[Path]]) -> None:
        with bring(path) as source, source.open("rb") as reader, \
                nofollow.writing(self.root, self._place(path)) as writer:
            while block := reader.read(files.CHUNK):
                writer.write(block)

    def _link(self, images: Mapping[str, str]) -> list[str]:
        """Those that another release has as well, of which they are now one more name."""
        owner, known = usable(self.root), dict[str, list[str]]()
        for place in nofollow.listed(self.root, "") if images else ():
            known.setdefault(PurePosixPath(place).name, []).append(place)

        def link(path: str) -> bool:
            place = self._place(path)
            for other in known.get(PurePosixPath(place).name, []):
                if other != place and self._fault(other, images[path], owner) is None:
                    with contextlib.suppress(OSError):  # a file system without hard links
                        nofollow.link(self.root, other, place)
                        return True
            return False

        return [path for path, is_linked in zip(images, run_all(link, images), strict=True)
                if is_linked]

    def _sweep(self) -> None:
        """Remove what a user left there who was killed: nobody else fills it now."""
        for relative in [*nofollow.listed(self.root, "")]:
            if nofollow.is_passing(relative) and not nofollow.is_lock(relative):
                nofollow.remove(self.root, relative)

    def _place(self, path: str) -> str:
        return f"{self.pipeline}/{self.release}/{PurePosixPath(path).name}"

    def _fault(self, place: str, digest: str, owner: int) -> AirlockError | None:
        """Why a file is not to be used; None where it is as it was signed, and stays so."""
        try:
            with nofollow.reading(self.root, place) as stream:
                ownership.refuse_writable_by_others(self.root / place, also=owner)
                if (actual := files.sha256_of(stream)) != digest:
                    return IntegrityError(f"its bytes have changed (sha256 {actual})")
        except FileNotFoundError:
            return HostError("is missing")
        except AirlockError as error:
            return error
        except OSError as error:
            return HostError(f"can't be read: {error.strerror}")
        return None


def usable(root: Path) -> int:
    """The user who owns the library; HostError where it isn't there, or isn't fit to be shared."""
    try:
        owner = root.stat().st_uid
        ownership.refuse_writable_by_others(root, also=owner)
        if not root.is_dir() or not os.access(root, READ):
            raise HostError("this user may not read the library of image files", where=root,
                            todo=f"its owner lets others read it: chmod go+rx {root}")
    except OSError as error:
        raise HostError(f"the library of image files can't be had: {error.strerror}", where=root,
                        todo="mount it; or an administrator makes it, for the user who is to fill "
                             f"it: install -d -m 755 -o USER {root}") from error
    return owner


def is_writable(root: Path) -> bool:
    """Whether this user owns the library, and may write there."""
    return os.access(root, WRITE) and root.stat().st_uid == os.geteuid()


def images_of(paths: Collection[str]) -> list[str]:
    """Those of a release's paths that are image files."""
    return sorted(path for path in paths if path.startswith(f"{SIFS}/"))


def image_folder(at: OfflinePaths, release: str, root: Path | None) -> Path:
    """Where the image files of a release in place are: its own, if it has any, or the library's.

    Its own stay its own, since runs may use them.
    """
    own = at.release(release) / SIFS
    if root is None or own.is_dir():
        return own
    return SharedLibrary(root=root, pipeline=at.pipeline, release=release).folder
