"""Runs whose tasks work on other machines: by which executors, and where these can read and write.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from pathlib import Path

from tasks.core.disk import REMOTE, existing, file_system
from tasks.core.errors import HostError
from tasks.core.offline_paths import OfflinePaths
from tasks.core.source.configs import Reader, Setting
from tasks.core.source.files import opened
from tasks.core.source.groovy.expression import evaluate
from tasks.offline_host.bootstrap import shared_work_folder

logger = logging.getLogger(__name__)

HERE = "local"
"""Nextflow's executor on this machine itself, which is the usual one."""
MEMORY = {"tmpfs", "ramfs"}
"""File systems that are this machine's alone, whatever it exports."""


def executors(roots: Iterable[tuple[Path, str]], profiles: Collection[str]) -> list[str]:
    """The executors besides this machine that configs set with these profiles, as far as they say
    it plainly: each of folder and path, those that are read later holding over those before."""
    named: dict[tuple[str, ...], str] = {}
    for folder, path in roots:
        with opened(folder) as sources:
            # A pipeline may have no config of its own.
            read = Reader(sources, {}, profiles).read(path) if sources.has(path) else ()
            for setting in read:
                if isinstance(setting, Setting) and _is_executor(setting.path):
                    plain, _ = evaluate(setting.tokens, 0, {})
                    values = [value for value in plain if isinstance(value, str)]
                    if len(plain) == len(values) == 1:
                        named[setting.path] = values[0].lower()
    return sorted({*named.values()} - {HERE})


def _is_executor(path: tuple[str, ...]) -> bool:
    return path == ("executor", "name") or (path[0] == "process" and path[-1] == "executor")


def work_folder(layout: OfflinePaths, given: str | None, asked: Collection[str],
                library: Path | None = None) -> str:
    """Return where tasks work that the executors `asked` start on other machines: in `given`
    (NXF_WORK), else below build/.

    HostError where that, or the release or `library`, which they read, lies on this machine's own
    disk. Where a user names the folder, a disk may be one that this machine exports itself; that
    is warned of.
    """
    place = Path(given).absolute() if given else shared_work_folder(layout)
    who = f"{', '.join(asked)} runs tasks on other machines"
    for what, folder in (("the release, which they read,", layout.root.absolute()),
                         *([("the library of image files", library)] if library else []),
                         ("the work folder", place)):
        at = existing(folder).resolve()
        kind = file_system(at, Path("/proc/self/mounts").read_text())
        if kind in REMOTE:
            continue
        if not given or kind in MEMORY:
            raise HostError(f"{who}, and {what} lies on this machine's own disk ({kind})",
                            where=folder, todo=(
                                "unpack the tool on a file system that all nodes mount, and fetch "
                                "there; or, where this is such a one, which this machine exports, "
                                "name the work folder: NXF_WORK=/shared/work"))
        logger.warning("NOT SEEN TO BE SHARED: %s, and %s lies on %s (%s): the nodes must have it "
                       "under the same path", who, what, kind, folder)
    return str(place)
