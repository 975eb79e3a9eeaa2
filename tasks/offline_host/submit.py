"""`prod:submit`: the head job of a run as a batch script, for Slurm, LSF or PBS."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.core import files
from tasks.core.errors import ConfigError
from tasks.core.frozen import frozen
from tasks.core.in_place import InPlace
from tasks.core.offline_paths import OfflinePaths
from tasks.offline_host import cluster, memory
from tasks.offline_host.own_configs import OwnConfigs

MEMORY = 8
"""GB of the head job: the most of Nextflow's Java (-Xmx4g), and as much again for its children."""


@frozen
class Scheduler:
    """A batch system: what its lines begin with, and how a script is handed to it."""

    name: str
    executors: tuple[str, ...]
    command: str
    takes: str
    header: tuple[str, ...]


SCHEDULERS = (
    Scheduler(name="Slurm", executors=("slurm",), command="sbatch", takes="sbatch {0}", header=(
        "#SBATCH --job-name={name}", "#SBATCH --output={log}", "#SBATCH --ntasks=1",
        "#SBATCH --cpus-per-task=1", "#SBATCH --mem={memory}G")),
    Scheduler(name="LSF", executors=("lsf",), command="bsub", takes="bsub < {0}", header=(
        "#BSUB -J {name}", "#BSUB -o {log}", "#BSUB -n 1", "#BSUB -M {memory}G",
        '#BSUB -R "rusage[mem={memory}G]"')),
    Scheduler(name="PBS", executors=("pbs", "pbspro"), command="qsub", takes="qsub {0}", header=(
        "#PBS -N {name}", "#PBS -o {log}", "#PBS -j oe",
        "#PBS -l select=1:ncpus=1:mem={memory}gb")),
)


@dataclass(frozen=True, kw_only=True)
class SubmitSpec:
    """A run as it was typed: its `variables`, and what of the environment it is made with.

    `here` is the tool's own folder, `seen` where this host remembers what was withdrawn, `path` is
    where a scheduler's command is looked for. `library` is the folder of image files that users
    share, where there is one.
    """

    pipeline: str
    layout: OfflinePaths
    here: Path
    seen: Path
    path: str
    variables: Mapping[str, str]
    environment: Mapping[str, str]
    own_configs: OwnConfigs
    place: InPlace
    library: Path | None = None


def submit(spec: SubmitSpec) -> str:
    """Write the script, and say how it is handed in: that is the user's to do.

    It fetches, bootstraps and runs as `prod:run` does, on the node that it comes to. This machine
    needs no engine for it. ConfigError where no scheduler is known, HostError where the nodes
    couldn't read what they need.
    """
    name = spec.place.name
    memory.refuse_withdrawn(spec.seen, spec.pipeline, name)
    asked = cluster.executors(spec.own_configs.given(), spec.own_configs.profiles)
    scheduler = _scheduler(asked, spec.path)
    cluster.work_folder(spec.layout, spec.environment.get("NXF_WORK"),
                        asked or scheduler.executors[:1], spec.library)
    path = spec.layout.submit.absolute()
    files.write_text(path, script(spec, scheduler, path), mode=0o700)
    lines = [f"the head job of {name}, for {scheduler.name}: {path}",
             f"submit it by: {scheduler.takes.format(shlex.quote(str(path)))}"]
    return "\n".join(lines)


def script(spec: SubmitSpec, scheduler: Scheduler, path: Path) -> str:
    """The batch script's text."""
    words = {"role": "prod", "site": spec.layout.site, **spec.variables,
             "pipeline": spec.pipeline}
    command = [str(spec.here / "doit"), *(f"{key}={value}" for key, value in words.items()),
               f"prod:run:{spec.pipeline}"]
    log = str(path.with_suffix(".log"))
    header = [line.format(name=f"airlock-{spec.pipeline}", memory=MEMORY,
                          log=f'"{log}"' if " " in log else log) for line in scheduler.header]
    exports = [f"export {name}={shlex.quote(value)}" for name, value in spec.environment.items()]
    return "\n".join([
        "#!/bin/bash -l", *header,
        "# Made by nf-airlock, anew by each prod:submit: copy it before you change it. An account,",
        "# a queue or a time limit can be given when it is submitted, too; the head job lives as",
        "# long as the run. What the engine needs is loaded here: module load apptainer",
        *exports, f"cd {shlex.quote(str(spec.here))}", f"exec {shlex.join(command)}", ""])


def _scheduler(asked: list[str], path: str) -> Scheduler:
    """That of the executors which configs name, else the one whose command is on the PATH."""
    named = [one for one in SCHEDULERS if {*one.executors} & {*asked}]
    here = [one for one in SCHEDULERS if shutil.which(one.command, path=path)]
    for fitting in (named, here):
        if len(fitting) == 1:
            return fitting[0]
    commands = ", ".join(one.command for one in SCHEDULERS)
    raise ConfigError(
        "which batch system the head job is for isn't known: " + (
            f"{', '.join(one.command for one in here)} are all on the PATH" if here else
            f"none of {commands} is on the PATH") + ", and no config names one",
        where="config=", todo="name a config by config= that has process.executor = 'slurm', 'lsf'"
                              " or 'pbspro'; another batch system takes a script of your own that "
                              "runs ./doit")
