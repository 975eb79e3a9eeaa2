"""A staged pipeline whose config is asked of the real Nextflow, confined and offline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.archives import unpacking
from tasks.core.nextflow import installed, isolation, queries
from tasks.core.nextflow.environment import NOTHING, Inherited


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A pipeline's code.tar, the runtime, and how far its code is confined at least."""

    code: Path
    runtime: Path
    log: Path
    isolation: str = isolation.FULL
    inherited: Inherited = NOTHING


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """The unpacked code in `folder`, and a Nextflow beside it."""

    folder: Path
    nextflow: installed.Nextflow
    staged: Staged

    def config(self, profile: str, given: Sequence[Path] = ()) -> dict[str, Any]:
        """Return the config that a profile resolves to, with what is `given` by -c.

        Raises SourceError with Nextflow's own words where it doesn't resolve.
        """
        with files.scratch(self.folder.parent, "launch") as scratch:
            resolved, = queries.configs(
                self.nextflow, self.folder, profile=profile, scratch=scratch, given=given,
                log=self.staged.log, least=self.staged.isolation)
        return resolved


@contextmanager
def opened(staged: Staged, scratch: Path) -> Iterator[Pipeline]:
    """Unpack code and runtime into a folder below `scratch`, which is gone when the block ends."""
    with files.scratch(scratch, "batch") as place:
        unpacking.unpack_tar(staged.code, place / "code")
        yield Pipeline(
            folder=place / "code", staged=staged,
            nextflow=installed.install(staged.runtime, place / "runtime", home=place / "home",
                                       inherited=staged.inherited))
