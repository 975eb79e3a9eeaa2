"""Fuzz every reader of foreign bytes: python -m tests.bench.fuzz [--inputs N] [--seed N] [NAME …]

A line for each reader: inputs, how many of them were refused, faults, the slowest input, the peak
of memory, and the time of all. Each reader runs in a process of its own with a bound on its memory,
so that an input that takes more is a fault. Ends with 1 where there were faults.
"""

from __future__ import annotations

import argparse
import gc
import resource
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzzing.reader import Reader, judge
from tests.fuzzing.table import READERS

MEMORY = 1 << 30
"""Bytes of address space that a reader's process may have, Python and Hypothesis among them."""
BATCH = 250
"""Inputs after which Hypothesis begins anew: it keeps what it has tried, in ever more memory."""
SHOWN = 10
"""Kinds of faults that are shown of a reader."""


@dataclass(kw_only=True)
class Tally:
    """What came of a reader's inputs; of each kind of fault, the shortest input."""

    inputs: int = 0
    refused: int = 0
    faulty: int = 0
    slowest: float = 0.0
    faults: dict[str, Any] = field(default_factory=dict)

    def add(self, reader: Reader, value: Any) -> None:
        judged = judge(reader, value)
        self.inputs += 1
        self.refused += judged.refused
        self.slowest = max(self.slowest, judged.seconds)
        if judged.fault is not None:
            self.faulty += 1
            before = self.faults.get(judged.fault)
            if before is None or len(repr(value)) < len(repr(before)):
                self.faults[judged.fault] = value


def fuzz(reader: Reader, inputs: int, start: int) -> Tally:
    """Give a reader so many inputs; the same `start` gives the same ones."""
    tally = Tally()
    for batch in range(0, inputs, BATCH):
        @seed(start * inputs + batch)
        @settings(max_examples=min(BATCH, inputs - batch), database=None, deadline=None,
                  phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        @given(st.data())
        def run(data: st.DataObject) -> None:
            tally.add(reader, data.draw(reader.inputs))

        run()
        gc.collect()
    return tally


def own_process(name: str, inputs: int, start: int) -> int:
    """Fuzz one reader here, and print its line; the number of faults."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    began = time.monotonic()
    tally = fuzz(READERS[name], inputs, start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name:24} {tally.inputs:7} {tally.refused:7} {tally.faulty:7} {tally.slowest:8.2f} s "
          f"{peak:6.0f} MiB {time.monotonic() - began:6.0f} s", flush=True)
    for fault, value in list(tally.faults.items())[:SHOWN]:
        print(f"    {fault}\n        {repr(value)[:400]}")
    return tally.faulty


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(READERS))
    asked = parser.parse_args(words)
    if unknown := set(asked.names) - set(READERS):
        parser.error(f"no such reader: {', '.join(sorted(unknown))}")
    if asked.here:
        return int(own_process(asked.names[0], asked.inputs, asked.seed) > 0)
    print(f"{'reader':24} {'inputs':>7} {'refused':>7} {'faults':>7} {'slowest':>10} "
          f"{'memory':>10} {'in all':>8}", flush=True)
    failed = [name for name in asked.names or READERS if subprocess.run(
        [sys.executable, "-m", "tests.bench.fuzz", "--here", "--inputs", str(asked.inputs),
         "--seed", str(asked.seed), name], check=False).returncode]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
