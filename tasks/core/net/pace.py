"""The pace of requests: how many connections to a host, how fast, and its rests when it asks.

One `Hosts` holds for the whole process: whoever asks a host learns from what others were answered.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from types import TracebackType

from tasks.core import parsing
from tasks.core.errors import NetError

CONNECTIONS = 8
"""Requests under way at once to one host."""
MOST_CONNECTIONS = 32
"""Requests under way at once to a site's own registry, unless it says otherwise."""
SLOWER, SLACK = 2.0, 0.004
"""The factor, and seconds more, by which an answer may be slower than the fastest of its host."""
FIRST_RATES = {"quay.io": 8.0}
"""Requests a second to begin with, where a host is known to refuse more; it answers 429 then."""
BUSY = (429, 503)
"""Statuses whose Retry-After is for all that is asked of the host (RFC 6585, RFC 9110)."""
MAX_WAIT = 60.0
"""Seconds that a server's wish for a pause is obeyed for; more is an error that says so."""
MAX_INTERVAL = 2.0
"""Seconds between requests to a host, at most, by what its 429s have taught."""
LEARNING_INTERVAL, RECOVERY_INTERVAL = 1.0, 10.0
"""Seconds for which further 429s teach nothing new, and without any until the pace grows."""


class Pace:
    """Seconds between the starts of requests to one host, learnt from its refusals.

    A 429 makes it half of what was sent in the last moments; time without one makes it faster.
    """

    def __init__(self, rate: float | None = None) -> None:
        self.interval = 1 / rate if rate else 0.0
        self._next = 0.0
        self._changed = 0.0
        self._starts: deque[float] = deque(maxlen=16)
        self._lock = threading.Lock()

    def delay(self, now: float) -> float:
        """Seconds until the next request may start; it counts as started then."""
        with self._lock:
            start = max(now, self._next)
            self._next = start + self.interval
            self._starts.append(start)
            return start - now

    def refused(self, now: float) -> None:
        """Take a 429 into account."""
        with self._lock:
            if now - self._changed < LEARNING_INTERVAL and self.interval:
                return
            spent = max(now - self._starts[0], 0.001) if self._starts else 1.0
            observed = spent / max(len(self._starts), 1)
            self.interval = min(MAX_INTERVAL, 2 * max(observed, self.interval))
            self._changed = now

    def accepted(self, now: float) -> None:
        """Take another answer into account."""
        if self.interval and now - self._changed > RECOVERY_INTERVAL:
            with self._lock:
                self.interval = self.interval * 0.8 if self.interval > 0.005 else 0.0
                self._changed = now


class Connections:
    """The requests under way to one host: a semaphore whose limit is learnt from the answers.

    Behind a round trip a host serves many requests while each is on its way; a busy one takes
    longer for each. So more are allowed only while answers come about as fast as they ever did,
    and only where the site says that the host may be asked more.
    """

    def __init__(self) -> None:
        self.limit = self._most = CONNECTIONS
        self._busy = 0
        self._fastest = float("inf")
        self._free = threading.Condition()

    def allow(self, most: int) -> None:
        """Let the limit grow up to `most`, or keep it below."""
        with self._free:
            self._most = most
            self.limit = min(self.limit, most)

    def __enter__(self) -> None:
        with self._free:
            while self._busy >= self.limit:
                self._free.wait()
            self._busy += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        with self._free:
            self._busy -= 1
            self._free.notify()

    def answered(self, seconds: float) -> None:
        """Learn from an answer that took so long: one more connection where all are in use."""
        with self._free:
            self._fastest = min(self._fastest, seconds)
            if (self.limit < self._most and self._busy >= self.limit
                    and seconds <= SLOWER * self._fastest + SLACK):
                self.limit += 1
                self._free.notify()

    def refused(self) -> None:
        """Learn from a 429: what was too much is never allowed again."""
        with self._free:
            self.limit = self._most = min(CONNECTIONS, self._most)


class Host:
    """The limits of one host, and whether it has ever answered this process."""

    def __init__(self, address: str) -> None:
        self.answered = False
        self.connections = Connections()
        self.held = threading.local()
        self.rest_until = 0.0
        self.pace = Pace(FIRST_RATES.get(address.partition(":")[0]))

    def wait(self) -> None:
        """Sleep until the next request may start."""
        now = time.monotonic()
        pause = max(self.rest_until - now, self.pace.delay(now))
        if pause > 0:
            time.sleep(pause)

    def rest(self, seconds: float) -> None:
        """Let the host alone for a while: every thread of this process."""
        self.rest_until = max(self.rest_until, time.monotonic() + seconds)

    def learn(self, status: int, headers: Mapping[str, str]) -> None:
        """Take into account what an answer says of the host's limits."""
        self.answered = True
        if status == 429:
            self.pace.refused(time.monotonic())
            self.connections.refused()
        else:
            self.pace.accepted(time.monotonic())
        seconds = (retry_after(headers.get("Retry-After", "")) if status in BUSY else
                   parsing.whole_number(headers.get("ratelimit-reset", ""))
                   if remaining(headers) == 0 else None)
        if seconds is not None and seconds <= MAX_WAIT:
            self.rest(seconds)

    @contextmanager
    def slot(self) -> Iterator[Host]:
        """One of the host's connections; a thread that has one already shares it with itself."""
        depth = getattr(self.held, "depth", 0)
        with self.connections if depth == 0 else nullcontext():
            self.held.depth = depth + 1
            try:
                yield self
            finally:
                self.held.depth = depth


class Hosts:
    """The limits of all hosts that a process asks."""

    def __init__(self) -> None:
        self._hosts: dict[str, Host] = {}
        self._lock = threading.Lock()

    def at(self, address: str) -> Host:
        """The limits of `host[:port]`."""
        with self._lock:
            if address not in self._hosts:
                self._hosts[address] = Host(address)
            return self._hosts[address]


def remaining(headers: Mapping[str, str]) -> int | None:
    """Requests that are left, by `ratelimit-remaining: 76;w=21600` (docs.docker.com)."""
    return parsing.whole_number(headers.get("ratelimit-remaining", "").partition(";")[0].strip())


def pause(headers: Mapping[str, str], where: str) -> float | None:
    """Seconds that a refusing server asks to wait: Retry-After, or its limit's reset.

    None where it doesn't say; NetError where it is longer than anyone would wait for.
    """
    seconds = retry_after(headers.get("Retry-After", ""))
    window = headers.get("ratelimit-limit", "").partition(";w=")
    if seconds is None and remaining(headers) == 0:
        reset = headers.get("ratelimit-reset", "") or window[2]
        seconds = float(reset) if reset.isdecimal() else None
    if seconds is not None and seconds > MAX_WAIT:
        limit = f"of {window[0]} in {window[2]} seconds " if window[2] else ""
        raise NetError(f"the server asks to wait {seconds:.0f} seconds (its rate limit {limit}is "
                       "used up)", where=where,
                       todo="run the same command again after that time; what has arrived is "
                            "kept. A login often has a higher limit")
    return seconds


def retry_after(text: str) -> float | None:
    """Seconds by Retry-After, a number or a date (RFC 9110, 10.2.3)."""
    from email.utils import parsedate_to_datetime
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def backoff(attempt: int) -> float:
    """Seconds to wait after an attempt that failed, with jitter so that threads spread."""
    import random
    return float(min(MAX_WAIT, 0.25 * 2 ** attempt) * random.uniform(0.5, 1.0))  # noqa: S311
