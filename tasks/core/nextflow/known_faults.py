"""Faults of Nextflow that are known: foreseen by its version, and recognised in what it writes.

The patterns are Nextflow's own messages (its sources at tags v24.10 to v26.04; those met in runs
here are of 24.10). A message that is not known is shown as it is, and nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tasks.core.nextflow import versions


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A known fault: the versions of Nextflow that have it, what it says, means and asks for.

    `versions` is a condition, `*` where it is no fault of a version. With `foreseen`, it is
    reported before anything runs.
    """

    pattern: str
    means: str
    todo: str
    versions: str = "*"
    foreseen: bool = False

    def has(self, version: str) -> bool:
        """Whether this version of Nextflow has it."""
        return versions.meets(version, self.versions)

    def __str__(self) -> str:
        return f"known fault: {self.means}\n  to do: {self.todo}"


FAULTS = (
    Fault(
        pattern=r"Cannot invoke method clone\(\) on null object",
        versions=">=24.09.2-edge,<24.10.5",
        foreseen=True,
        means="a -stub-run of Nextflow 24.10.0 to 24.10.4 ends at any process without a stub block "
              "(nextflow#5473)",
        todo="set nextflow.version to 24.10.5 or later; only stub runs have the fault"),
    Fault(
        pattern=r"Unable to connect to \S+/v1/plugins/dependencies|"
                r"Failed to download plugins? metadata|fetching plugin metadata",
        versions=">=25.10.0,<26.04.3",
        means="Nextflow 25.10 to 26.04.2 asks the plugin registry even for plugins that are there, "
              "and ends where it can't be reached (nextflow#7013)",
        todo="NXF_OFFLINE must be exactly `true` in the environment; offline runs by nf-airlock "
             "set it"),
    Fault(
        pattern=r"(Try-catch blocks|If statements|Variable declarations) cannot be mixed with "
                r"config statements|Config parsing failed|Script compilation failed",
        means="the strict parser, which Nextflow 26.04 uses by default, does not take this "
              "pipeline; many that earlier lines run are such, those of nf-core's template up to "
              "2.14 among them",
        todo="use a runtime of 25.10 or earlier, or a later release of the pipeline; by hand, "
             "NXF_SYNTAX_PARSER=v1 also does"),
    Fault(
        pattern=r"Cannot find version for (\S+) plugin -- plugin versions MUST be specified",
        means="a plugin without a version can't be used offline",
        todo="name it with a version in plugins.txt: run `doit plugins:cache`; by hand, set "
             "NXF_PLUGINS_DEFAULT to the plugins with their versions, separated by commas"),
    Fault(
        pattern=r"Plugin with id \S+ not found in any repository|"
                r"Cannot find (latest )?version of \S+ plugin",
        means="a plugin is asked for that the release does not carry",
        todo="see plugins.txt; add it to `plugins` in the pipeline's config, then release again"),
    Fault(
        pattern=r"Missing plugin '(\S+)' required to read file",
        means="a param or samplesheet names a file of a cloud store, and its plugin is not carried",
        todo="set that param to a local file or to null, or add the plugin (nf-amazon for s3://) "
             "to `plugins` in the pipeline's config"),
    Fault(
        pattern=r"Failed requirement - Plugin \S+ requires Nextflow version",
        means="the plugin needs another version of Nextflow than the release's",
        todo="pin a version of it that fits, or choose another nextflow.version"),
    Fault(
        pattern=r"does not match workflow required version",
        means="the pipeline asks for another version of Nextflow than the release's",
        todo="choose a nextflow.version that fits its manifest.nextflowVersion"),
    Fault(
        pattern=r"Process requirement exceeds available (CPUs|memory)",
        means="a process asks for more than this host has",
        todo="process.resourceLimits (from 24.04 on), or the params max_cpus and max_memory of "
             "older templates, set the bounds; `prod:bootstrap` writes them for this host"),
    Fault(
        pattern=r"no basic auth credentials|Unable to find image '\S+' locally",
        means="an image is gone from this machine's engine, and Docker asks the registry for it by "
              "itself, without our login",
        todo="run the same command again: it pulls what is gone first, and goes on"),
    Fault(
        pattern=r"Error: initializing source docker://",
        means="an image is gone from this user's Podman, which asks the registry for it by itself, "
              "without our CA and login",
        todo="run the same command again: it pulls what is gone first, and goes on"),
    Fault(
        pattern=r"cgroup controller `\w+` is not available|"
                r"opening file `(cpu|memory)\.[\w.]+` for writing: Permission denied",
        means="a task has a limit of processors or memory, and this user may not set such control "
              "groups",
        todo="`doit role=prod doctor` says what an administrator has to delegate"),
    Fault(
        pattern=r"could not find (slirp4netns|pasta)",
        means="rootless Podman can't make a container's network",
        todo='install slirp4netns or passt; or, as tasks need none, set `netns = "none"` below '
             "[containers] in ~/.config/containers/containers.conf"),
    Fault(
        pattern=r"Failed to pull singularity image|Missing \w+ library directory",
        means="an image file is gone from the release in place, or the pipeline asks for one that "
              "was not carried, and Nextflow would pull it",
        todo="run the same command again: it brings what is gone first; else name the image under "
             "`images:` in the pipeline's config, and release anew"),
    Fault(
        pattern=r"Unknown project .* NOTE: automatic download from remote repositories is disabled",
        means="Nextflow takes the pipeline's name for a remote project, and may not fetch it",
        todo="name the folder of the unpacked code; directly before it may stand no option that "
             "takes the folder for its value"),
    Fault(
        pattern=r"Fusion feature requires enabling Wave service",
        means="Fusion works with Wave alone, and behind the air gap there is none",
        todo="offline.config turns both off: give it by -c, after the pipeline's own settings"),
    Fault(
        pattern=r"Cannot download nextflow required file",
        means="the launcher alone was started, which downloads Nextflow",
        todo="start the `nextflow` of the release's runtime archive"),
    Fault(
        pattern=r"mapping values are not allowed here",
        means="a versions.yml holds a tool's error message: its image lacks the tool, or a stub "
              "ran something else than was meant",
        todo="look at the task's .command.err for what could not be started"),
)


def foreseen(version: str) -> list[Fault]:
    """The faults that runs of this version may meet, whatever the pipeline."""
    return [fault for fault in FAULTS if fault.foreseen and fault.has(version)]


def recognised(lines: Iterable[str], version: str) -> list[Fault]:
    """The known faults in the lines that Nextflow wrote."""
    text = "\n".join(lines)
    return [fault for fault in FAULTS if fault.has(version) and re.search(fault.pattern, text)]
