"""What a mirror costs where both registries are behind a round trip: images.py's run, far away.

    python -m tests.bench.far [ROUNDS [MILLISECONDS ...]]

Proxies keep each direction's bytes back for half of the round trip (tests/bench/delay.py); 0 goes
through none.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tests.bench import images
from tests.kit import registries as servers

ROUND_TRIPS = (0, 30, 60)
"""Milliseconds."""


def main() -> None:
    """Measure all that can be had, at each round trip."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        commands = images.available(root)
        del commands["skopeo, 1 at a time"]  # minutes
        print(f"{images.IMAGES} images, {images.SIZE / 1e6:.0f} MB; load {os.getloadavg()[0]:.1f} "
              f"at the start; medians of {rounds}")
        with servers.registry(root / "source") as source:
            names = images.filled(source, images.IMAGES, images.SIZE, None)
            for milliseconds in map(int, sys.argv[2:] or ROUND_TRIPS):
                images.table(f"{milliseconds} ms, load {os.getloadavg()[0]:.1f}", images.measure(
                    commands, source, names, root, rounds, tls=None, ca=None,
                    round_trip=milliseconds / 1000))
        print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
