"""Files below a folder that others can write to, opened without following a link there.

A link would lead a read to what is no part of the folder, and a write to any file of this machine.
Each folder on the way is opened by the one before it (openat, O_NOFOLLOW), so that none can be
exchanged meanwhile. Only regular files are read: a pipe would never end, and a device never stop.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from tasks.core import files
from tasks.core.errors import IntegrityError

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

LOCK = ".airlock.lock"
LOCK_WAIT = 30.0
"""Seconds that another may hold a lock; a small file is written in far less."""


@contextlib.contextmanager
def reading(root: Path, relative: str) -> Iterator[IO[bytes]]:
    """The regular file `root/relative`. IntegrityError where a link, or no regular file, stands
    there; OSError as open() has it."""
    place = files.inside(root, relative)
    with _folder(root, PurePosixPath(relative).parent, make=False) as folder:
        stream = _regular(place.name, place, dir_fd=folder)
    with stream:
        yield stream


def read(path: Path, *, most: int) -> bytes:
    """The bytes of a regular file. IntegrityError where it is none, or has more than `most`."""
    with _regular(os.fspath(path), path, follow=True) as stream:
        data = stream.read(most + 1)
    if len(data) > most:
        raise too_large(most, path)
    return data


def too_large(most: int, where: object) -> IntegrityError:
    """The error of a file with more than `most` bytes."""
    return IntegrityError(f"this is refused: it has more than the {files.human_size(most)} that "
                          "are allowed here", where=where,
                          todo="find out who wrote it; no such file has so much")


@contextlib.contextmanager
def writing(root: Path, relative: str, *, flush: bool = True) -> Iterator[IO[bytes]]:
    """Yield a temporary file beside `root/relative` that replaces it when the block ends well.

    Without `flush` its bytes may not be on the disk yet: who writes many flushes all at once.

    Folders are made as needed. Who may enter `root` may enter them, and read the file. What stands
    at the place is replaced and never followed. IntegrityError where a folder on the way is a link.
    """
    place = files.inside(root, relative)
    with _folder(root, PurePosixPath(relative).parent, make=True) as folder:
        name = f".{place.name[:200]}.{os.urandom(4).hex()}.part"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(name, flags, 0o600, dir_fd=folder)
        try:
            with os.fdopen(handle, "wb") as stream:
                yield stream
                stream.flush()
                os.fchmod(handle, 0o600 | stat.S_IMODE(root.stat().st_mode) & 0o044)
                if flush:
                    os.fsync(handle)
            os.replace(name, place.name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
            raise


def link(root: Path, other: str, relative: str) -> None:
    """Make `root/relative` the same file as `root/other`, in the place of what stands there.

    Folders are made as needed; OSError where the file system can't, or this user may not.
    """
    source, place = files.inside(root, other), files.inside(root, relative)
    with _folder(root, PurePosixPath(other).parent, make=False) as there, \
            _folder(root, PurePosixPath(relative).parent, make=True) as folder:
        name = f".{place.name[:200]}.{os.urandom(4).hex()}.part"
        os.link(source.name, name, src_dir_fd=there, dst_dir_fd=folder, follow_symlinks=False)
        try:
            os.replace(name, place.name, src_dir_fd=folder, dst_dir_fd=folder)
        finally:
            with contextlib.suppress(FileNotFoundError):  # rename() of two links leaves both
                os.unlink(name, dir_fd=folder)


@contextlib.contextmanager
def locked(root: Path, relative: str, *, wait: float | None = None) -> Iterator[None]:
    """Hold the lock of the folder of `root/relative`, which all that write there by this way await.

    It ends with the process. OSError (EAGAIN) where another held it for `wait` seconds, else for
    LOCK_WAIT. Who may write into `root` may hold it.
    """
    files.inside(root, relative)
    with _folder(root, PurePosixPath(relative).parent, make=True) as folder:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(LOCK, flags, 0o600, dir_fd=folder)
        try:
            with contextlib.suppress(PermissionError):  # it is another's; he has set it
                os.fchmod(handle, 0o600 | stat.S_IMODE(root.stat().st_mode) & 0o066)
            _wait_for(handle, LOCK_WAIT if wait is None else wait)
            yield
        finally:
            os.close(handle)


def _wait_for(handle: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return


def is_passing(relative: str) -> bool:
    """Whether a path is that of a lock, or of what a killed `writing` left."""
    name = relative.rpartition("/")[2]
    return is_lock(relative) or (name.startswith(".") and name.endswith(".part"))


def is_lock(relative: str) -> bool:
    """Whether a path is that of a lock."""
    return relative.rpartition("/")[2] == LOCK


def listed(root: Path, relative: str) -> Iterator[str]:
    """The paths from `root` of all regular files below `root/relative`; links are passed over."""
    return (path for path, _ in described(root, relative))


def described(root: Path, relative: str) -> Iterator[tuple[str, os.stat_result]]:
    """The same, each with its size and times."""
    waiting = [PurePosixPath(relative)]
    while waiting:
        at = waiting.pop()
        try:
            with _folder(root, at, make=False) as folder, os.scandir(folder) as names:
                entries = [(entry.name, status) for entry in names
                           if (status := _status(entry.name, folder))]
        except FileNotFoundError:
            continue
        for name, status in entries:
            if stat.S_ISDIR(status.st_mode):
                waiting.append(at / name)
            elif stat.S_ISREG(status.st_mode):
                yield (at / name).as_posix(), status


def _status(name: str, folder: int) -> os.stat_result | None:
    with contextlib.suppress(FileNotFoundError):  # it went meanwhile
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    return None


def size(root: Path, relative: str) -> int | None:
    """Bytes of the regular file `root/relative`; None where there is none."""
    path = PurePosixPath(files.inside(root, relative).relative_to(root))
    try:
        with _folder(root, path.parent, make=False) as folder:
            status = _status(path.name, folder)
    except FileNotFoundError:
        return None
    return status.st_size if status and stat.S_ISREG(status.st_mode) else None


def remove(root: Path, relative: str) -> None:
    """Remove `root/relative`, and the folders on its way that are empty then.

    A file that isn't there is no fault: who was killed between file and folder goes on.
    """
    path = PurePosixPath(files.inside(root, relative).relative_to(root))
    with (contextlib.suppress(FileNotFoundError),
          _folder(root, path.parent, make=False) as folder):
        os.unlink(path.name, dir_fd=folder)
    for below in list(path.parents)[:-1]:
        try:
            with _folder(root, below.parent, make=False) as folder:
                os.rmdir(below.name, dir_fd=folder)
        except FileNotFoundError:
            continue
        except OSError:  # not empty
            return


@contextlib.contextmanager
def _folder(root: Path, relative: PurePosixPath, *, make: bool) -> Iterator[int]:
    """A descriptor of the folder `root/relative`. The root itself may be a link."""
    if make:
        root.mkdir(parents=True, exist_ok=True)
    at = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    mode = stat.S_IMODE(os.fstat(at).st_mode) if make else None
    try:
        for number, part in enumerate(relative.parts, 1):
            below = _step(at, part, root.joinpath(*relative.parts[:number]), mode)
            os.close(at)
            at = below
        yield at
    finally:
        os.close(at)


def _step(at: int, part: str, place: Path, mode: int | None) -> int:
    """A descriptor of the folder `part` of `at`, which is made where it is missing, if a mode is
    given."""
    is_made = False
    if mode is not None:
        with contextlib.suppress(FileExistsError):
            os.mkdir(part, 0o700, dir_fd=at)
            is_made = True
    try:
        handle = os.open(part, _FOLDER, dir_fd=at)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR) and _is_link(part, at):
            raise _link(place) from error
        raise
    if mode is not None and is_made:
        os.fchmod(handle, mode)
    return handle


def _regular(name: str, place: Path, *, dir_fd: int | None = None,
             follow: bool = False) -> IO[bytes]:
    try:
        handle = os.open(name, _READ & ~os.O_NOFOLLOW if follow else _READ, dir_fd=dir_fd)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _link(place) from error
        if error.errno == errno.ENXIO:  # a socket
            raise _odd(place) from error
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _odd(place)
    return os.fdopen(handle, "rb")


def _is_link(name: str, at: int) -> bool:
    return stat.S_ISLNK(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode)


def _link(place: Path) -> IntegrityError:
    return IntegrityError("a link stands where a file or folder should be, and is not followed",
                          where=place, todo="find out who made it, and remove it")


def _odd(place: Path) -> IntegrityError:
    return IntegrityError("this is no regular file", where=place,
                          todo="find out who made it, and remove it")
