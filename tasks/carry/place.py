"""The folder that is carried: which one it may be, and what it can hold."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import re
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path
from typing import IO

from tasks.carry.contents import File
from tasks.core import disk, files, nofollow, processes
from tasks.core.errors import AirlockError, ConfigError, HostError, IntegrityError
from tasks.core.process_shared import Shared
from tasks.core.trust.carried import OURS, README, RECORD, SEAL, SUMS, VOLUME

FAT = {"vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk"}
"""File systems, as Linux names them, that take no more names than Windows does."""
FAT32 = {"vfat", "msdos"}
MAX_FAT32 = (4 << 30) - 1
"""Bytes of a file there."""
UNFIT = re.compile(r'[\x00-\x1f"*:<>?|\\\x7f]|[. ]$|^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)', re.I)
"""In a name, what Windows doesn't take (Microsoft: "Naming Files, Paths, and Namespaces")."""

logger = logging.getLogger(__name__)
AGAIN = "put it in again if it was pulled out, then run the same command again: what is there stays"


def chosen(to: str | None, store: Path | None, project: Path) -> Path:
    """The folder that was asked for, which is made where the one above it is there.

    ConfigError where it is the store itself, or one that belongs to something else.
    """
    if not to:
        raise ConfigError("where to isn't said", where="doit carry:NAME to=DIR",
                          todo="name a folder, of a stick or of a disk: to=/media/stick/airlock")
    root = Path(to).expanduser().absolute()
    if not root.parent.is_dir():
        raise ConfigError("there is no such folder", where=root.parent,
                          todo="mount the disk, or make it")
    real = root.resolve()
    own = store and store.resolve()
    if own and (real == own or own in real.parents):
        raise ConfigError("this is the store itself", where=root,
                          todo="name another folder; a store that is a folder can be carried as it "
                               "is, too")
    build = (project / "build").resolve()
    if real == project.resolve() or real == build or build in real.parents:
        raise ConfigError("this folder is nf-airlock's own", where=root, todo="name another one")
    with faults(root):
        root.mkdir(exist_ok=True)
    return root


@contextlib.contextmanager
def held(root: Path, shared: Shared) -> Iterator[None]:
    """Be the only one who lays files into the folder: in this process, and on this machine."""
    with shared.once(("carried folder", root), threading.Lock), faults(root):
        handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _lock(handle, root)
            yield
        finally:
            os.close(handle)


@contextlib.contextmanager
def faults(root: Path) -> Iterator[None]:
    """Say in our words what a disk answers."""
    try:
        yield
    except OSError as error:
        if "/" in str(error.filename or "") and not str(error.filename).startswith(str(root)):
            raise  # of another folder: below root, names are opened one by one
        what, todo = _meant(error)
        raise HostError(f"the folder that is carried: {what}", where=root, todo=todo) from error


def _lock(handle: int, root: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise HostError("somebody else lays files into this folder", where=root,
                        todo="wait until they are done") from None
    except OSError as error:  # as on NFS, which locks no folder
        logger.info("%s can't be locked (%s)", root, error.strerror)


def _meant(error: OSError) -> tuple[str, str]:
    text = error.strerror or type(error).__name__
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"it is full ({text})", ("free space there (remove=1 removes what nothing carried "
                                        "now names), or take a larger one")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"it can't be written ({text})", "mend the rights there, or mount it to be written"
    if error.errno in (errno.EINVAL, errno.ENAMETOOLONG, errno.EFBIG):
        return (f"its file system can't hold this file ({text})",
                "split it into volumes: part=4GB")
    if error.errno in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST):
        return f"something else stands there ({text})", "name an empty folder"
    return f"it can't be reached any more ({text})", AGAIN


def unfit(root: Path, files: Iterable[tuple[str, int]]) -> str | None:
    """A remark on names that Windows and its file systems don't take.

    ConfigError where the folder is on such a file system.
    """
    kind = disk.file_system(disk.existing(root), Path("/proc/self/mounts").read_text())
    names, large = [], []
    for path, size in files:
        if any(UNFIT.search(part) or len(part.encode("utf-16-le")) > 510
               for part in path.split("/")):
            names.append(path)
        if size > MAX_FAT32 and kind in FAT32:
            large.append(path)
    listed = ", ".join([*large, *names][:3])
    if large or (names and kind in FAT):
        raise ConfigError(f"{kind} can't hold {len(large) + len(names)} files, as they are too "
                          f"large or for their names: {listed}", where=root,
                          todo="split it into volumes: part=4GB")
    return (f"names that no stick with FAT takes, if this is copied to one (part=4GB hides them): "
            f"{listed}") if names else None


class Place:
    """The folder's files: nothing below it is read or written through a link."""

    def __init__(self, root: Path, shared: Shared) -> None:
        self.root = root
        self._hashed: dict[Hashable, str] = shared.once("hashed in carried folders", dict)

    def refuse_others(self, *, known: bool) -> None:
        """ConfigError where ours would replace somebody's files at the folder's top.

        `known` says that the folder's carry.json is one.
        """
        if known:
            return
        for name in (RECORD, README, SUMS, SEAL, *sorted(self.volumes())):
            if os.path.lexists(self.root / name):
                raise ConfigError(f"a file of somebody else stands there: {name}", where=self.root,
                                  todo="name an empty folder, or one that was carried before")

    def sweep(self) -> None:
        """Remove what a killed run left half written."""
        top = [path.name for path in self.root.iterdir()]
        below = [path for folder in OURS for path in nofollow.listed(self.root, folder.rstrip("/"))]
        self.remove(path for path in [*top, *below]
                    if re.fullmatch(r"\..*\.[0-9a-f]{8}\.part", path.rpartition("/")[2]))

    def volumes(self) -> set[str]:
        """The names of volumes, and of their lists, that are there."""
        return {path.name for path in self.root.iterdir() if VOLUME.fullmatch(path.name)}

    def sizes(self, paths: Iterable[str]) -> int:
        """Bytes of files that are there."""
        return sum((self.root / path).lstat().st_size for path in paths
                   if os.path.lexists(self.root / path))

    def holds(self, file: File) -> bool:
        """Whether a file is there with the right bytes; each is read once by a process."""
        try:
            with nofollow.reading(self.root, file.path) as stream:
                about = os.fstat(stream.fileno())
                if about.st_size != file.size:
                    return False
                stamp = self._stamp(file.path, about)
                if stamp not in self._hashed:
                    self._hashed[stamp] = _digest(iter(lambda: stream.read(files.CHUNK), b""))
                return self._hashed[stamp] == file.sha256
        except (FileNotFoundError, NotADirectoryError, IntegrityError):
            return False  # who writes it says what is wrong there

    def write(self, file: File, stream: IO[bytes], count: Callable[[int], None]) -> None:
        """Write a file whole or not at all. IntegrityError where it has other bytes than it should.
        """
        size = 0
        with nofollow.writing(self.root, file.path, flush=False) as writer:
            def blocks() -> Iterator[bytes]:
                nonlocal size
                while block := stream.read(files.CHUNK):
                    size += len(block)
                    writer.write(block)
                    count(len(block))
                    yield block

            digest = _digest(blocks())
            if (digest, size) != (file.sha256, file.size):
                raise IntegrityError(
                    f"what is to be carried has changed: sha256 {digest}, expected {file.sha256}",
                    where=file.path, todo="push the release again; if it stays so, look at the "
                                          "store's disks, and at who else writes there")
        about = (self.root / file.path).lstat()
        self._hashed[self._stamp(file.path, about)] = digest

    def _stamp(self, path: str, about: os.stat_result) -> Hashable:
        return (self.root, path, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)

    def have(self, path: str, data: bytes) -> None:
        """Have a small file there."""
        if content(self.root, path, len(data)) != data:
            with nofollow.writing(self.root, path) as stream:
                stream.write(data)

    def remove(self, paths: Iterable[str]) -> None:
        """Remove files, and the folders on their way that are empty then."""
        for path in paths:
            nofollow.remove(self.root, path)

    def unseal(self) -> None:
        """Take the list away, so that nothing looks whole while something changes."""
        self.remove([SUMS, SEAL])
        self.flush()

    def flush(self) -> None:
        """Have all on the disk itself, so that it may be pulled out."""
        processes.run(["sync", "--file-system", self.root])


def _digest(blocks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


def content(root: Path, path: str, most: int) -> bytes | None:
    """A small file's bytes; None where there is none that can be read as one."""
    try:
        with nofollow.reading(root, path) as stream:
            data = stream.read(most + 1)
    except (FileNotFoundError, NotADirectoryError, AirlockError):
        return None
    return data if len(data) <= most else None
