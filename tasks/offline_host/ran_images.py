"""What the engine of a run tells of itself, and of the images that tasks ran in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from tasks.core.config import engines
from tasks.core.engine import address, apptainer, pulling
from tasks.core.engine.held import Held
from tasks.core.errors import AirlockError
from tasks.core.frozen import frozen
from tasks.offline_host import image_files


class RunEngine(Protocol):
    """An engine as far as a run's record is made from it."""

    def version(self) -> str:
        """Return its version; HostError where it tells none."""

    def images(self, names: Iterable[str]) -> Mapping[str, Held]:
        """Return what each image is that tasks ran in, by its name in the trace."""


def asked(receipt: Mapping[str, Any], release: Path, path: str) -> RunEngine:
    """Return the engine that bootstrap.json names.

    `release` is the folder that image files lie in, `path` where programs are looked for.
    """
    kind = receipt["engine"]["kind"]
    if kind in engines.SIF_KINDS:
        return FileEngine(kind=kind, release=release, path=path)
    return pulling.asked(address.of_site(kind, {**receipt["engine"]["environment"], "PATH": path}))


@frozen
class FileEngine:
    """An engine that runs image files as they stand."""

    kind: str
    release: Path
    path: str

    def version(self) -> str:
        """The program's version, with its name where that isn't the engine's."""
        program = apptainer.find(self.kind, self.path)
        return program.version if program.name == self.kind else (
            f"{program.name} {program.version}")

    def images(self, names: Iterable[str]) -> Mapping[str, Held]:
        """An image file is known by its place; its SHA-256 is the one that was signed, against
        which prod:fetch has held its bytes before the run."""
        known: Mapping[str, Mapping[str, Any]] = {}
        why = "the release carries no such image file"
        try:
            known = image_files.by_file(self.release)
        except AirlockError as error:
            why = error.what
        return {name: _of_file(known.get(PurePosixPath(name).name), why)
                for name in sorted(set(names))}


def _of_file(image: Mapping[str, Any] | None, why: str) -> Held:
    if image is None:
        return Held(id=None, digests=(), why_not=why)
    return Held(id=f"sha256:{image['sha256']}", digests=(image["container"],))
