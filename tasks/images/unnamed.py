"""Processes to which nothing gives an image: they would run with the host's own programs."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from tasks.core.source.files import opened
from tasks.core.source.groovy.depth import bounded
from tasks.core.source.scripts import Scripts
from tasks.images import rules
from tasks.images.uses import DOCKER, Scan


def without_image(code: Path, profiles: Collection[str], result: Scan) -> list[str]:
    """The names of processes that a scan of this code tells nothing of: no image, and no fault.

    One with an `exec:` needs none: Nextflow computes it by itself.
    """
    with bounded(code), opened(code) as sources:
        settings = rules.read(sources, {*profiles, DOCKER}, DOCKER)
        scripts = Scripts(sources, settings.names)
        scripts.follow(settings.main)
        told = {use.name for use in result.uses}
        for script in scripts.files.values():
            told |= {include.name for include in script.includes if include.alias in told}
        return sorted({
            definition.name for script in scripts.files.values()
            for definition in script.definitions.values()
            if definition.kind == "process" and definition.name not in told
            and "exec" not in dict(definition.sections())
            and not any(f": {definition.name}: " in fault for fault in result.faults)})
