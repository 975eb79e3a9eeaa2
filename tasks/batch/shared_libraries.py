"""Which shared libraries programs of this machine load."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from tasks.core import processes
from tasks.core.errors import HostError

LOADER = "ld.so"
"""What the loader is called here; its own name hangs on the machine."""
LINE = re.compile(r"^\t(?:(\S+) => )?(/\S+|not found)", re.MULTILINE)
"""A line of ldd: a library's name and its place; the loader has a place alone."""


def needed(programs: Iterable[Path]) -> dict[str, str]:
    """Return their libraries, and those of these, by name with their places.

    HostError where one is missing.
    """
    libraries = {}
    for name, place in LINE.findall(processes.run(["ldd", *programs])):
        if place == "not found":
            raise HostError(f"a library of this machine's programs is missing: {name}",
                            where="ldd", todo="install the package that holds it")
        libraries[name or LOADER] = place
    return dict(sorted(libraries.items()))
