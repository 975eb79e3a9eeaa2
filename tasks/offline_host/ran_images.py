"""What the engine of a run tells of itself, and of the images that tasks ran in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.core.config import engines
from tasks.core.engine import apptainer, held
from tasks.core.engine.address import Engine
from tasks.core.engine.held import Held
from tasks.core.errors import AirlockError
from tasks.core.frozen import frozen
from tasks.offline_host import image_files


@frozen
class RunEngine:
    """The engine that a bootstrap has found: its kind, and what leads to it.

    `release` is the folder that image files lie in, `path` where programs are looked for.
    """

    kind: str
    environment: Mapping[str, str]
    release: Path
    path: str

    @classmethod
    def of(cls, receipt: Mapping[str, Any], release: Path, path: str) -> RunEngine:
        """Read it from bootstrap.json."""
        return cls(kind=receipt["engine"]["kind"], environment=receipt["engine"]["environment"],
                   release=release, path=path)

    def version(self) -> str | None:
        """The engine's version; None where it doesn't answer, which is for the tasks to find."""
        try:
            if self.kind not in engines.SIF_KINDS:
                return held.version(Engine.of(self.environment))
            program = apptainer.find(self.kind, self.path)
        except AirlockError:
            return None
        return program.version if program.name == self.kind else (
            f"{program.name} {program.version}")

    def images(self, names: Iterable[str]) -> Mapping[str, Held]:
        """What each image is that tasks ran in, by its name in the trace.

        An image file is known by its place; its SHA-256 is the one that was signed, which
        prod:fetch has held against its bytes before the run.
        """
        if self.kind not in engines.SIF_KINDS:
            return held.images(Engine.of(self.environment), names)
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
