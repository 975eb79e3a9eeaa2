"""Programs: started without a shell, logged, and ended when the build ends."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

from tasks.core import activity
from tasks.core.errors import CommandError, HostError, plain

BLOCK = 1 << 16
"""Bytes that are read of a stream at a time: what a pipe holds."""

_running: set[subprocess.Popen[bytes]] = set()
_at_interrupt: list[Callable[[], None]] = []
_closed = threading.Event()
"""Set once the build was interrupted: no program starts any more."""
_lock = threading.Lock()


class TooMuch(Exception):
    """A program wrote more than it may."""


def find(program: str, *, todo: str, path: str | None = None) -> str:
    """Return the place of `program` on `path`, or on ours; HostError with what to do."""
    place = shutil.which(program, path=path)
    if place is None:
        raise HostError(f"the program {program!r} is not on the PATH", todo=todo)
    return place


def run(command: Sequence[str | Path], *, log: Path | None = None, cwd: Path | None = None,
        env: Mapping[str, str] | None = None, stdin: bytes | None = None,
        todo: str | None = None, timeout: float | None = None, most: int | None = None,
        show: bool = False, check: Callable[[], None] | None = None,
        quote: Callable[[bytes], list[str]] | None = None, holds: Sequence[int] = ()) -> str:
    """Run `command` to its end and return its standard output as text; the rest is as read()."""
    return read(command, log=log, cwd=cwd, env=env, stdin=stdin, todo=todo, timeout=timeout,
                most=most, show=show, check=check, quote=quote,
                holds=holds).decode(errors="replace")


def read(command: Sequence[str | Path], *, log: Path | None = None, cwd: Path | None = None,
         env: Mapping[str, str] | None = None, stdin: bytes | None = None,
         todo: str | None = None, timeout: float | None = None, most: int | None = None,
         show: bool = False, check: Callable[[], None] | None = None,
         quote: Callable[[bytes], list[str]] | None = None, holds: Sequence[int] = ()) -> bytes:
    """Run `command` to its end and return its standard output.

    With `log`, both streams go to that file instead, and with `show` to our own standard output
    and error; then the result is empty. `env` replaces the environment. CommandError names the
    program, its status and the last lines that it wrote, or those that `quote` picks out of both
    streams; arguments are not shown. An interrupt ends the program's whole process group. So does
    time: TimeoutExpired after `timeout` seconds; and, of a program that is given no input, output:
    TooMuch beyond `most` bytes. What `check` raises, which is asked every second while the program
    runs, ends it as well. `holds` are open files that it has too, by their numbers.
    """
    words = [os.fspath(word) for word in command]
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
    sink = log.open("wb") if log is not None else None
    try:
        process = _start(
            words, cwd=cwd, env=None if env is None else dict(env), pass_fds=tuple(holds),
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=None if show else sink or subprocess.PIPE,
            stderr=None if show else subprocess.STDOUT if sink else subprocess.PIPE)
    except FileNotFoundError as error:
        raise HostError(f"cannot start {words[0]}: {error.strerror}", todo=todo) from error
    finally:
        if sink:
            sink.close()
    try:
        with activity.logging_to(log):
            out, err = (_checked(process, stdin, timeout, check) if most is None
                        else _within(process, most, timeout))
    except BaseException:
        end(process)
        raise
    finally:
        with _lock:
            _running.discard(process)
    if process.returncode:
        written = log.read_bytes() if log is not None else (out or b"") + (err or b"")
        quoted = quote(written) if quote else tail(written if log else err or written)
        raise CommandError(f"{Path(words[0]).name} ended with status {process.returncode}",
                           status=process.returncode, tail=quoted, where=log, todo=todo)
    return out or b""


def _start(words: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a program in a process group of its own, which an interrupt ends.

    After one its thread stays here: the whole process ends within seconds, and what started now
    would go on without it.
    """
    with _lock:
        if not _closed.is_set():
            process = subprocess.Popen(words, start_new_session=True, **options)
            _running.add(process)
            return process
    while True:
        time.sleep(3600)


def _checked(process: subprocess.Popen[bytes], stdin: bytes | None, timeout: float | None,
             check: Callable[[], None] | None) -> tuple[bytes, bytes]:
    """What it writes on its two streams until it ends."""
    ends = time.monotonic() + timeout if timeout is not None else None
    while True:
        try:
            return process.communicate(stdin, timeout=timeout if check is None else 1)
        except subprocess.TimeoutExpired:
            if check is None or (ends is not None and time.monotonic() > ends):
                raise
            check()


@contextmanager
def piped(command: Sequence[str | Path], *, env: Mapping[str, str],
          timeout: float) -> Iterator[subprocess.Popen[bytes]]:
    """A program whose streams the block writes and reads while it runs.

    It is ended with the block, or after `timeout` seconds. CommandError where it fails, and
    where it was ended by time.
    """
    with tempfile.TemporaryFile() as errors:
        process = _start([os.fspath(word) for word in command], env=dict(env),
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        late = threading.Timer(timeout, end, [process])
        late.start()
        try:
            yield process
            for stream in (process.stdin, process.stdout):
                cast(IO[bytes], stream).close()
            process.wait(timeout)
        finally:
            late.cancel()
            if process.poll() is None:
                end(process)
            for stream in (process.stdin, process.stdout):
                with suppress(BrokenPipeError):
                    cast(IO[bytes], stream).close()
            with _lock:
                _running.discard(process)
        if process.returncode:
            errors.seek(0)
            raise CommandError(f"{Path(command[0]).name} ended with status {process.returncode}",
                               status=process.returncode, tail=tail(errors.read(BLOCK)))


def _within(process: subprocess.Popen[bytes], most: int,
            timeout: float | None) -> tuple[bytes, bytes]:
    """What it writes on its two streams until it ends."""
    ends = time.monotonic() + timeout if timeout is not None else None
    output: dict[Any, bytearray] = {process.stdout: bytearray(), process.stderr: bytearray()}
    with selectors.DefaultSelector() as ready:
        for stream in output:
            ready.register(stream, selectors.EVENT_READ)
        while ready.get_map():
            left = None if ends is None else ends - time.monotonic()
            if left is not None and left <= 0:
                raise subprocess.TimeoutExpired(process.args, timeout or 0)
            for key, _ in ready.select(left):
                block = os.read(key.fd, BLOCK)
                output[key.fileobj] += block
                if not block:
                    ready.unregister(key.fileobj)
                    cast(IO[bytes], key.fileobj).close()
            if sum(map(len, output.values())) > most:
                raise TooMuch(most)
    process.wait(None if ends is None else max(ends - time.monotonic(), 0))
    out, err = output.values()
    return bytes(out), bytes(err)


@contextmanager
def following(log: Path, say: Callable[[str], None],
              look: Callable[[], None] = lambda: None) -> Iterator[None]:
    """While the block runs, give each line that a program adds to `log` to `say`, and call `look`
    several times a second.

    The log is emptied first, so that it holds this run alone.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    done = threading.Event()
    step = activity.current()

    def follow() -> None:
        with activity.as_step(step), log.open(errors="replace") as stream:
            while True:
                ended = done.is_set()
                while line := stream.readline():
                    say(plain(line.rstrip("\n")).rstrip())
                look()
                if ended:
                    return
                done.wait(0.2)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def tail(text: bytes, count: int = 12) -> list[str]:
    """The last `count` lines that say something."""
    lines = [plain(line).rstrip() for line in text.decode(errors="replace").split("\n")]
    return [line for line in lines if line][-count:]


def end(process: subprocess.Popen[bytes], grace: float = 5.0) -> None:
    """Terminate a program's process group; after `grace` seconds, kill it."""
    for number, wait in ((signal.SIGTERM, grace), (signal.SIGKILL, grace)):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            break
        try:
            process.wait(wait)
            break
        except subprocess.TimeoutExpired:
            continue


@contextmanager
def at_interrupt(act: Callable[[], None]) -> Iterator[None]:
    """Have `act` called where the build is interrupted during the block, before programs end.

    A step's own thread gets no word of an interrupt, and no time after it.
    """
    with _lock:
        _at_interrupt.append(act)
    try:
        yield
    finally:
        with _lock:
            _at_interrupt.remove(act)


def end_all() -> None:
    """End every program that is still running, and let no other start: called when the build is
    interrupted, directly before this process ends."""
    with _lock:
        acts = list(_at_interrupt)
    for act in acts:  # they may start programs
        with suppress(Exception):  # whatever it meets, programs must end
            act()
    with _lock:
        _closed.set()
        left = list(_running)
    for process in left:
        end(process)
