"""What a launch reads of this machine: processors and memory, and what Nextflow inherits."""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from tasks.core.frozen import frozen
from tasks.core.nextflow.environment import Inherited


@frozen
class Limits:
    """The most that one task can get; memory in bytes."""

    cpus: int
    memory: int

    @property
    def megabytes(self) -> int:
        """Memory as whole MiB, the unit that Nextflow calls MB."""
        return self.memory >> 20


@frozen
class Machine:
    """This machine as a step that launches a pipeline has it in its spec."""

    limits: Limits
    inherited: Inherited


def this_machine(environment: Mapping[str, str] | None = None) -> Machine:
    """Read this machine; Nextflow inherits nothing where no environment is given."""
    return Machine(limits=_own_limits(), inherited=Inherited.of(environment or {}))


@cache
def _own_limits() -> Limits:
    """Read once: the graph asks for each pipeline, and some sixty files answer."""
    return limits()


def limits(root: Path = Path("/")) -> Limits:
    """What this process may use: its processors, and nine tenths of the memory.

    Control groups count, those around this one too: a container, a job of a batch system.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cpus = len(os.sched_getaffinity(0))
    for group in _groups(root):
        memory = min([memory, *_numbers(group, "memory.max"),
                      *_numbers(group, "memory.limit_in_bytes")])
        for given in (_numbers(group, "cpu.max"),
                      _numbers(group, "cpu.cfs_quota_us", "cpu.cfs_period_us")):
            if len(given) == 2 and min(given) > 0:  # else it has no limit
                cpus = min(cpus, math.ceil(given[0] / given[1]))
    return Limits(cpus=cpus, memory=memory * 9 // 10)


def _groups(root: Path) -> Iterator[Path]:
    """The folders of this process's control groups and of those around them, in both versions.

    In a container the path may be that of the host, which isn't there; then the top is its own.
    """
    top = root / "sys/fs/cgroup"
    with contextlib.suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            below = Path(path.lstrip("/"))
            for place in (below, *below.parents):
                if ".." not in place.parts:
                    yield top / controllers / place


def _numbers(group: Path, *names: str) -> list[int]:
    """The numbers in these files; none of a file that is not there or says `max`."""
    numbers = []
    for name in names:
        with contextlib.suppress(OSError):
            numbers += [int(word) for word in (group / name).read_text().split()
                        if re.fullmatch(r"-?\d+", word)]
    return numbers
