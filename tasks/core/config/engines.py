"""The kinds of container engines that offline hosts have, and how images reach each."""

from __future__ import annotations

DOCKER, PODMAN, APPTAINER, SINGULARITY = "docker", "podman", "apptainer", "singularity"
KINDS = (DOCKER, PODMAN, APPTAINER, SINGULARITY)
SIF_KINDS = (APPTAINER, SINGULARITY)
"""Those that run image files (SIF), which a release carries; the others pull from a registry."""

REGISTRY, STORE, FILES = "registry", "store", "files"
"""What takes images across (`images.carry`)."""


def usual_carry(kind: str) -> str:
    """What takes images across where the site doesn't say it."""
    return FILES if kind in SIF_KINDS else REGISTRY
