"""A Nextflow that is unpacked from the archive of the runtime step, with the Java that runs it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.core import files
from tasks.core.archives import limits, unpacking
from tasks.core.nextflow import environment, java
from tasks.core.nextflow.environment import Inherited


@dataclass(frozen=True, kw_only=True)
class Nextflow:
    """An installed runtime: launcher script, Java, and NXF_HOME with its plugins."""

    launcher: Path
    java: Path
    home: Path
    inherited: Inherited

    @property
    def version(self) -> str:
        """The version, by the name of the folder that `install` unpacked."""
        return self.launcher.parent.name.removeprefix("nextflow-")

    def command(self, *words: str | Path) -> list[str]:
        """Return the command line of `nextflow WORDS…`."""
        return [os.fspath(self.launcher), *(os.fspath(word) for word in words)]

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return a clean, offline environment for it, with `more` variables."""
        return {**environment.of_nextflow(self.inherited, java=self.java, home=self.home),
                **(more or {})}


def install(archive: Path, folder: Path, *, home: Path, inherited: Inherited) -> Nextflow:
    """Unpack a runtime archive below `folder` (once for each content) and find its Java."""
    unpacking.unpack_unless_there(archive, place(archive, folder), allowed=limits.RUNTIME)
    return found(archive, folder, home=home, inherited=inherited)


def place(archive: Path, folder: Path) -> Path:
    """Where a runtime archive is unpacked below `folder`."""
    return folder / f"{version_of(archive)}-{files.sha256(archive)[:12]}"


def found(archive: Path, folder: Path, *, home: Path, inherited: Inherited) -> Nextflow:
    """Return what is unpacked there, with a Java of this machine that runs it."""
    version = version_of(archive)
    home.mkdir(parents=True, exist_ok=True)
    launcher = place(archive, folder) / f"nextflow-{version}/nextflow"
    return Nextflow(launcher=launcher.absolute(), java=java.find(version, inherited), home=home,
                    inherited=inherited)


def version_of(archive: Path) -> str:
    """Return the version in the name of a runtime archive, nextflow-<version>.tar."""
    return archive.name.removeprefix("nextflow-").removesuffix(".tar")
