"""Servers in the background: started once, known by pid and start time, ended by group."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tasks.core import files, processes
from tasks.core.errors import HostError, quoted

MARK = "AIRLOCK_SANDBOX_PART"
"""In each server's environment: the folder of its part, so that one whose start was cut off
before the pid file was written is found again."""
PATIENCE = 30.0
GRACE = 10.0
STEP = 0.05


@dataclass(frozen=True, kw_only=True)
class Daemon:
    """One server: its command, the folder of its log and pid file, and when it is ready.

    `settings` are files by name in that folder, written before each start.
    """

    name: str
    folder: Path
    command: Sequence[str]
    ready: Callable[[], bool]
    listens: tuple[str, int] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        return self.folder / "log"


def pid_file(folder: Path) -> Path:
    """Where a part's pid and start time stand."""
    return folder / "pid"


def start_time(pid: int) -> int | None:
    """A living process's start, in clock ticks since boot (proc(5), stat's field 22)."""
    stat = _stat(pid)
    return None if stat is None or stat[0] in ("Z", "X") else int(stat[19])


def running(folder: Path) -> int | None:
    """The pid of the part's server, or None; a pid that another process got since is noticed."""
    pid = recorded(folder)
    if pid is None:
        pid = _marked(folder)
        if pid is not None:
            record(folder, pid)
    return pid


def record(folder: Path, pid: int) -> None:
    """Write a process's pid and start time into the part's pid file."""
    files.write_text(pid_file(folder), f"{pid} {start_time(pid)}\n")


def recorded(folder: Path) -> int | None:
    """The process in the part's pid file, or None where it has ended since."""
    try:
        pid, begun = map(int, pid_file(folder).read_text().split())
    except (OSError, ValueError):
        return None
    return pid if start_time(pid) == begun else None


def start(daemon: Daemon) -> bool:
    """Start the server unless it runs as it should; True where it was started.

    One that was started with other settings is ended first. `await_ready` comes after.
    """
    made_from = daemon.folder / "made-from"
    digest = files.sha256_bytes(files.json_bytes(
        [list(daemon.command), dict(daemon.environment), dict(daemon.settings)]))
    if running(daemon.folder) is not None:
        if made_from.is_file() and made_from.read_text() == digest:
            return False
        stop(daemon.folder)
    if daemon.listens:
        refuse_taken(daemon.name, *daemon.listens)
    daemon.folder.mkdir(parents=True, exist_ok=True)
    for name, text in daemon.settings.items():
        files.write_text(daemon.folder / name, text)
    files.write_text(made_from, digest)
    base = {"PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin", "HOME": "/nonexistent"}
    with daemon.log.open("ab") as log:
        process = subprocess.Popen(
            daemon.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
            start_new_session=True,
            env={**base, **daemon.environment, MARK: str(daemon.folder)})
    record(daemon.folder, process.pid)
    return True


def await_ready(daemon: Daemon) -> None:
    """Wait until the server answers; HostError with its log's last lines where it died."""
    end = time.monotonic() + PATIENCE
    while not daemon.ready():
        if running(daemon.folder) is None:
            pid_file(daemon.folder).unlink(missing_ok=True)
            raise HostError(f"{daemon.name} ended while it started:\n{last_lines(daemon.log)}",
                            where=daemon.log)
        if time.monotonic() > end:
            raise HostError(f"{daemon.name} does not answer after {PATIENCE:.0f} s:\n"
                            f"{last_lines(daemon.log)}", where=daemon.log,
                            todo="`doit sandbox:down`, then the same command again")
        time.sleep(STEP)


def stop(folder: Path) -> bool:
    """End the part's server with its process group; True where one was running."""
    pid = running(folder)
    if pid is not None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(pid, number)
            except ProcessLookupError:
                break
            if _gone(pid, GRACE):
                break
    pid_file(folder).unlink(missing_ok=True)
    return pid is not None


def child_of(pid: int) -> int | None:
    """The first child of a process: PID 1 of the namespace that `unshare --fork` made."""
    for other in pids():
        stat = _stat(other)
        if stat and int(stat[1]) == pid:
            return other
    return None


def last_lines(log: Path, count: int = 12) -> str:
    """The end of a log, indented, or a word that it is empty."""
    text = log.read_bytes()[-8192:] if log.is_file() else b""
    return quoted(processes.tail(text, count) or ["(no log)"])


def refuse_taken(name: str, host: str, port: int) -> None:
    """HostError where somebody else listens, with the process if it can be known."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise HostError(
                f"{name} cannot listen on {host}:{port}: {error.strerror}"
                + (f"; it is held by {owner}" if (owner := port_owner(port)) else ""),
                todo="end that process, or give the sandbox other ports in the site's file",
            ) from error


def port_owner(port: int) -> str | None:
    """Who listens on a TCP port, as far as this user may know: `name (process 123)`."""
    if shutil.which("ss") is None:
        return None
    listening = processes.run(["ss", "-ltnpH", f"sport = :{port}"])
    match = re.search(r'\(\("([^"]+)",pid=(\d+)', listening)
    return f"{match[1]} (process {match[2]})" if match else None


def _gone(pid: int, patience: float) -> bool:
    end = time.monotonic() + patience
    while start_time(pid) is not None:
        if time.monotonic() > end:
            return False
        time.sleep(STEP)
    return True


def _marked(folder: Path) -> int | None:
    """The leader of a session that carries the part's mark.

    Not one of a namespace below: those are the server's children, which may outlive it shortly.
    """
    mark = f"{MARK}={folder}".encode()
    own = Path("/proc/self/ns/pid").stat().st_ino
    for pid in pids():
        stat = _stat(pid)
        if not stat or int(stat[3]) != pid or stat[0] in ("Z", "X"):
            continue
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            namespace = Path(f"/proc/{pid}/ns/pid").stat().st_ino
        except OSError:
            continue
        if namespace == own and mark in environment.split(b"\0"):
            return pid
    return None


def pids() -> list[int]:
    """All processes that this one may see."""
    return sorted(int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat from the third on: the name before them may hold blanks."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
