"""Processes to which nothing gives an image: they would run with the host's own programs."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from tasks.core.source.files import opened
from tasks.core.source.groovy.depth import bounded
from tasks.images import processes, rules
from tasks.images.uses import DOCKER, Scan


def without_image(code: Path, profiles: Collection[str], result: Scan) -> list[str]:
    """The names of processes that a scan of this code tells nothing of: no image, and no fault."""
    with bounded(code), opened(code) as sources:
        settings = rules.read(sources, {*profiles, DOCKER}, DOCKER)
        defined = processes.read(sources, settings.main, settings.names)
    told = {use.name for use in result.uses} | {alias for use in result.uses
                                                for alias in use.aliases}
    return sorted(process.name for process in defined
                  if not {process.name, *process.aliases} & told
                  and not any(f": {process.name}: " in fault for fault in result.faults))
