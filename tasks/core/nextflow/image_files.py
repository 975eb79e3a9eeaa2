"""The names under which Nextflow looks for image files in the `libraryDir` of an engine."""

from __future__ import annotations


def file_name(container: str) -> str:
    """The file that Apptainer and Singularity are given for a `container`.

    As SingularityCache.simpleName of Nextflow 24.10.5 to 26.04.6 names it, after a name without a
    scheme was given `docker://`. A path and `file://` are not looked for by a name.
    """
    name, ending = container.split("://", 1)[-1], ".img"
    if ".sif:" in name:
        ending, name = ".sif", name.replace(".sif:", "-")
    elif name.endswith(".sif"):
        ending, name = ".sif", name.removesuffix(".sif")
    return name.replace(":", "-").replace("/", "-") + ending
