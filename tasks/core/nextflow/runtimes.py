"""Which Nextflow to take for a pipeline, and where it comes from.

What Maven Central holds of Nextflow is whole for one version alone of those that are carried
(docs/decisions/which-nextflow-is-chosen.md); the official -dist files begin with 24.07.
"""

from __future__ import annotations

from dataclasses import dataclass

from tasks.core.nextflow.versions import conditions

MAVEN_VERSION = "24.10.5"
COORDINATES = ("io.nextflow:nextflow:24.10.5", "io.nextflow:nf-commons:24.10.5",
               "io.nextflow:nf-httpfs:24.10.0")
"""nf-httpfs 24.10.5 was not published to Maven Central; 24.10.0 fits."""
LAST_PATCHES = {"24.10": 9, "25.04": 8, "25.10": 7, "26.04": 6}
"""The newest patch of each line that has -dist files (tags of nextflow-io/nextflow, autumn 2026).
"""
DIST = "https://github.com/nextflow-io/nextflow/releases/download/v{0}/nextflow-{0}-dist"
"""Where Nextflow's releases lie, launcher and jar in one file."""


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """A version of Nextflow, and its Maven coordinates or the URL of its -dist file.

    `fits` says whether it is what the pipeline asks for.
    """

    version: str
    coordinates: tuple[str, ...] = ()
    dist: str | None = None
    fits: bool = True


def choose(condition: str) -> Runtime:
    """The runtime for `manifest.nextflowVersion` (`!>=24.04.2`), with or without its mark `!`.

    What Maven has comes first; else it is the newest patch of the oldest line that fits, as that is
    what the pipeline was made with. ConfigError for a condition that can't be read.
    """
    wanted = conditions(condition.strip().removeprefix("!"))
    versions = [MAVEN_VERSION, *(f"{line}.{patch}" for line, last in LAST_PATCHES.items()
                                 for patch in range(last, -1, -1))]
    for version in versions:
        if all(part.met(version) for part in wanted):
            return _runtime(version)
    return _runtime(MAVEN_VERSION, fits=False)


def _runtime(version: str, *, fits: bool = True) -> Runtime:
    if version == MAVEN_VERSION:
        return Runtime(version=version, coordinates=COORDINATES, fits=fits)
    return Runtime(version=version, dist=DIST.format(version), fits=fits)
