"""Who is at work on a store: any number of pushes side by side, or one prune alone.

One small file in the store names them, and is only replaced by who has seen it. Whether a holder
lives is told by no clock: its entry has a number that it makes grow, and who has to know watches
that. On the holder's own machine its process is looked for, so a killed one is known at once.
"""

from __future__ import annotations

import contextlib
import getpass
import logging
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from tasks.core import files, process_ids
from tasks.core.errors import AirlockError, ConfigError, StoreError
from tasks.core.process_shared import Shared
from tasks.core.schema import from_bytes
from tasks.core.store.interface import Overtaken, Store, content

logger = logging.getLogger(__name__)

KEY = ".airlock/lease.json"
MAX_SIZE = 1 << 20
BEAT = 20.0
"""Seconds between two signs of life."""
SAFE = 60.0
"""Seconds after its last sign of life for which a holder goes on."""
DEAD = 600.0
"""Seconds without one after which others take it for dead. Between SAFE and this the last request
that was under way comes to its end: four attempts of two minutes (tasks/core/net/bounds.py)."""
LOOK = 2.0
"""Seconds between two looks at another's entry."""
MOST = 200
"""Entries that are kept beside a new one: killed pushes of other machines leave theirs."""
PUSH, PRUNE = "push", "prune"

_pause = time.sleep
_pushes = Shared()


@dataclass(frozen=True, kw_only=True)
class Holder:
    """An entry of the file, as schemas/lease.schema.json has it."""

    id: str
    work: str
    who: str
    since: str
    beat: int
    machine: str
    process: str


class Busy(StoreError):
    """Somebody else is at work on the store."""


class Lease:
    """An entry of one's own, which a thread keeps alive; `users` are those who share it."""

    def __init__(self, store: Store, own: Holder) -> None:
        self._store, self._own = store, own
        self.users = 0
        self._ended = threading.Event()
        self._lost = False
        self._renewed = _awake()
        threading.Thread(target=self._renew_until_ended, daemon=True).start()

    @property
    def is_lost(self) -> bool:
        """Whether others may take this holder for dead: it slept, or had no connection."""
        return self._lost or _awake() - self._renewed > SAFE

    def see_held(self) -> None:
        """StoreError where the lease is lost; ask before each step that it is for."""
        if self.is_lost:
            raise StoreError("this was stopped, or without a connection, for so long that others "
                             "may work on the store", where=f"{self._store.url}: {KEY}",
                             todo="run the same command again")

    def end(self) -> None:
        """Take the entry back. Where that fails, others see that nothing makes it grow."""
        self._ended.set()
        with contextlib.suppress(AirlockError):
            _change(self._store, lambda holders: [holder for holder in holders
                                                  if holder.id != self._own.id])

    def _renew_until_ended(self) -> None:
        while not self._ended.wait(BEAT):
            begun = _awake()
            with contextlib.suppress(AirlockError):
                _change(self._store, self._grow)
                self._renewed = begun

    def _grow(self, holders: Sequence[Holder]) -> list[Holder]:
        self._lost |= all(holder.id != self._own.id for holder in holders)
        return [replace(holder, beat=holder.beat + 1) if holder.id == self._own.id else holder
                for holder in holders]


@dataclass
class _Push:
    """The lease that all pushes of this process share."""

    lock: threading.Lock
    lease: Lease | None = None


@contextlib.contextmanager
def pushing(store: Store) -> Iterator[Lease]:
    """Hold the store for a push; waits while somebody prunes it."""
    push = _pushes.once(store.url, lambda: _Push(lock=threading.Lock()))
    with push.lock:
        if push.lease is None or push.lease.is_lost:
            push.lease = _enter(store, PUSH)
        lease = push.lease
        lease.users += 1
    try:
        yield lease
    finally:
        with push.lock:
            lease.users -= 1
            if not lease.users:
                push.lease = None if push.lease is lease else push.lease
                lease.end()


@contextlib.contextmanager
def pruning(store: Store) -> Iterator[Lease]:
    """Hold the store alone. Busy where somebody pushes or prunes."""
    lease = _enter(store, PRUNE)
    try:
        yield lease
    finally:
        lease.end()


def written(store: Store) -> datetime:
    """When the file of the leases was last written: for its holder, the store's own time now."""
    return next(iter(store.entries(KEY))).modified


def _enter(store: Store, work: str) -> Lease:
    own, watch = _new_holder(work), _Watch()

    def add(holders: Sequence[Holder]) -> list[Holder]:
        living = [holder for holder in holders if not watch.is_dead(holder)]
        in_the_way = [holder for holder in living if PRUNE in (work, holder.work)]
        if in_the_way:
            raise _InTheWay(in_the_way[0])
        return [*living[-MOST:], own]

    while True:
        try:
            _change(store, add)
            return Lease(store, own)
        except _InTheWay as way:
            holder = way.holder
            if work == PRUNE and watch.is_alive(holder):
                raise Busy(f"{holder.who} is at work on this store ({holder.work}, since "
                           f"{holder.since})", where=f"{store.url}: {KEY}",
                           todo="run this again when that has ended") from None
            watch.tell(holder)
            _pause(LOOK)


class _InTheWay(Exception):
    def __init__(self, holder: Holder) -> None:
        super().__init__()
        self.holder = holder


class _Watch:
    """What was seen of others' entries: which of them grow."""

    def __init__(self) -> None:
        self._beats: dict[str, tuple[int, float]] = {}
        self._grown: set[str] = set()
        self._told: set[str] = set()

    def is_dead(self, holder: Holder) -> bool:
        """Whether its process has ended, or it gave no sign of life for long."""
        lives = _lives(holder)
        if lives is not None:
            return not lives
        beat, since = self._beats.setdefault(holder.id, (holder.beat, _awake()))
        if beat != holder.beat:
            self._beats[holder.id] = (holder.beat, _awake())
            self._grown.add(holder.id)
            return False
        return _awake() - since > DEAD

    def is_alive(self, holder: Holder) -> bool:
        """Whether its process runs here, or its entry has grown since it was seen first."""
        return bool(_lives(holder)) or holder.id in self._grown

    def tell(self, holder: Holder) -> None:
        """Say once for whom this waits."""
        if holder.id not in self._told:
            self._told.add(holder.id)
            logger.warning("waiting for %s, who is at work on this store (%s, since %s); for %d "
                           "minutes at most if that was killed", holder.who, holder.work,
                           holder.since, DEAD / 60)


def _change(store: Store, edit: Callable[[Sequence[Holder]], list[Holder]]) -> None:
    """Replace the entries, again and again while others do the same."""
    while True:
        before = content(store, KEY, most=MAX_SIZE)
        holders = _parse(before, f"{store.url}: {KEY}")
        after = edit(holders)
        if after == holders:
            return
        try:
            store.replace(KEY, files.json_bytes(
                {"holders": [asdict(holder) for holder in after]}), before)
            return
        except Overtaken:
            _pause(random.uniform(0.01, 0.2))  # noqa: S311 - no secret


def _parse(data: bytes | None, where: str) -> list[Holder]:
    if data is None:
        return []
    try:
        value = from_bytes(data, "lease", where=where)
    except ConfigError as error:
        raise StoreError(f"what says who is at work on the store can't be read: {error.what}",
                         where=where, todo="see that nobody is, then remove it") from error
    return [Holder(**entry) for entry in value["holders"]]


def _new_holder(work: str) -> Holder:
    return Holder(id=secrets.token_hex(8), work=work, beat=0, machine=_machine(),
                  who=f"{_user()}@{socket.gethostname()}"[:200], process=_process(os.getpid()),
                  since=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in containers
        return str(os.getuid())


def _machine() -> str:
    """This boot and this namespace of processes: a number means another process elsewhere."""
    try:
        return f"{process_ids.boot()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _process(number: int) -> str:
    """A living process's number and when it began."""
    start = process_ids.started(number)
    return "" if start is None else f"{number} {start}"


def _lives(holder: Holder) -> bool | None:
    """Whether a holder's process runs; None where it is of another machine."""
    if not holder.machine or holder.machine != _machine():
        return None
    return _process(int(holder.process.partition(" ")[0] or 0)) == holder.process


def _awake() -> float:
    """Seconds since the boot, those of sleep among them; no clock that anybody sets."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
