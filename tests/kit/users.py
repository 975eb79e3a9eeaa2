"""Other users of this machine, for tests that root starts: what they may, the kernel says."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

NOBODY, SOMEBODY = 65534, 2
"""Ids of ordinary users with a name, without which ssh-keygen won't start: nobody and bin."""
NEW_MOUNTS = 0x20000
"""CLONE_NEWNS of unshare(2)."""
SECONDS = 120.0


class Killed(Exception):
    """The process was killed before it came to an end."""


def act(work: Callable[[], Any], user: int = 0, *, here: Path, read_only: Path | None = None,
        dies_at: str | None = None) -> Any:
    """What `work` returns for a user, in the folder `here`, in a process of its own.

    `read_only` is a folder that is mounted so for it alone. It is killed before it gives a file of
    a shared folder the name `dies_at`.
    """
    return begin(work, user, here=here, read_only=read_only, dies_at=dies_at)()


def begin(work: Callable[[], Any], user: int = 0, *, here: Path, read_only: Path | None = None,
          dies_at: str | None = None) -> Callable[[], Any]:
    """The same, without waiting: what is returned waits for it."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(work, user, here, read_only, dies_at, theirs))
    process.start()
    theirs.close()

    def end() -> Any:
        try:
            said = ours.recv() if ours.poll(SECONDS) else None
        except EOFError as error:
            raise Killed from error
        finally:
            process.join(SECONDS)
        assert said is not None, "it came to no end"
        result, fault = said
        if fault is not None:
            raise fault
        return result

    return end


def _child(work: Callable[[], Any], user: int, here: Path, read_only: Path | None,
           dies_at: str | None, said: Connection) -> None:
    try:
        if read_only:
            _mount_read_only(read_only)
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
        os.chdir(here)
        os.environ["HOME"] = str(here)
        if dies_at:
            _die_at(dies_at)
        said.send((work(), None))
    except BaseException as error:
        said.send((None, error if isinstance(error, Exception) else RuntimeError(repr(error))))


def _mount_read_only(folder: Path) -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "unshare")
    for words in (["--make-rprivate", "/"], ["--bind", folder, folder],
                  ["-o", "remount,bind,ro", folder]):
        subprocess.run(["mount", *words], check=True)


def _die_at(name: str) -> None:
    replace = os.replace

    def dies(source: Any, target: Any, **more: Any) -> None:
        if "dst_dir_fd" in more and target == name:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target, **more)

    os.replace = dies  # type: ignore[assignment]  # in this process alone, which ends


@contextmanager
def open_folder(below: str | None = None) -> Iterator[Path]:
    """A folder that all users may enter, which pytest's are not."""
    with tempfile.TemporaryDirectory(prefix="airlock-users-", dir=below) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
