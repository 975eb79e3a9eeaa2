"""What is in place on an offline host, and who is at work on it: the locks between processes.

Runs go side by side, of one release or of several. Two things are guarded. Who brings something in
or takes it away is alone on the host (`placing`), and holds that no longer than it changes files.
Who uses a release, from its fetch to the end of its run, shares a lock on it (`InPlace.use`), so
that nobody removes it meanwhile (`unused`). Whoever holds the lock on a release may want that on
placing; nobody waits the other way round.

All are locks of flock(2), which end with the last process that holds them, however it ends.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tasks.core import files
from tasks.core.offline_paths import OfflinePaths
from tasks.core.paths import SitePaths
from tasks.core.process_shared import Shared
from tasks.core.schema import read_json

logger = logging.getLogger(__name__)


@contextmanager
def placing(at: SitePaths, step: str) -> Iterator[None]:
    """Be the only one who changes what is in place; wait for who does, and say for whom."""
    path = at.placing_lock
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as stream:
        _wait(stream, fcntl.LOCK_EX, step)
        stream.truncate(0)
        stream.write(f"{os.getpid()} {step} since {time.strftime('%H:%M:%S')}\n")
        stream.flush()
        try:
            yield
        finally:
            stream.truncate(0)


@contextmanager
def unused(at: OfflinePaths, name: str) -> Iterator[bool]:
    """Whether nobody uses a release; then nobody begins to within the block.

    For who removes it, which is placing too: without that lock, another could bring it meanwhile.
    """
    with _opened(at.lock(name)) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def in_use(at: OfflinePaths, name: str) -> bool:
    """Whether a run, or a fetch that it begins with, uses a release at this moment."""
    with unused(at, name) as is_free:
        return not is_free


class InPlace:
    """The release of a pipeline that this process has chosen, and holds; its steps share one.

    `receipt` is bootstrap.json as this process's bootstrap wrote it: the file may be another
    process's by the time that the run begins.
    """

    def __init__(self, at: OfflinePaths) -> None:
        self.at = at
        self.receipt: dict[str, Any] | None = None
        self._name: str | None = None
        self._held: IO[str] | None = None

    @property
    def name(self) -> str:
        """The release: the one that this process uses, else the last that came into place."""
        return self._name or str(read_json(self.at.current, "current")["id"])

    @property
    def holds(self) -> tuple[int, ...]:
        """What a program is handed (`pass_fds`) that uses the release: it may outlive us."""
        return () if self._held is None else (self._held.fileno(),)

    def bootstrapped(self) -> dict[str, Any]:
        """bootstrap.json: as this process wrote it, else as it stands there."""
        receipt: dict[str, Any] = self.receipt or read_json(self.at.bootstrap, "bootstrap")
        return receipt

    def digest(self) -> str:
        """The SHA-256 of that, without a look into it; empty where there is none yet."""
        if self.receipt is not None:
            return files.sha256_bytes(files.json_bytes(self.receipt))
        return files.sha256(self.at.bootstrap) if self.at.bootstrap.is_file() else ""

    def use(self, name: str, step: str) -> None:
        """Hold a release until this process ends, or uses another; wait for who removes it."""
        if self._name == name:
            return
        stream = _opened(self.at.lock(name))
        _wait(stream, fcntl.LOCK_SH, step)
        if self._held is not None:
            self._held.close()
        self._name, self._held = name, stream

    def __reduce__(self) -> tuple[type[InPlace], tuple[OfflinePaths]]:
        """Let a spec be handed to another process, which holds nothing yet."""
        return InPlace, (self.at,)


def shared(process: Shared, at: OfflinePaths) -> InPlace:
    """The one that a pipeline's steps of this process share."""
    return process.once(at, lambda: InPlace(at))


def _opened(path: Path) -> IO[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("a+")


def _wait(stream: IO[str], kind: int, step: str) -> None:
    try:
        fcntl.flock(stream, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.seek(0)
        holder, _, busy = stream.read().strip().partition(" ")
        if holder != str(os.getpid()):
            logger.info("%s  waits for %s", step, f"process {holder}, {busy}" if holder else
                        "another process, which has just begun")
        fcntl.flock(stream, kind)
