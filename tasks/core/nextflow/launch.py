"""What a staged pipeline needs to be launched: code, runtime, plugins, params, host's limits.

The smoke run on the online side and the run on the offline host launch it in the same way.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import files, processes
from tasks.core.archives import limits, unpacking
from tasks.core.errors import CommandError, SourceError
from tasks.core.inputs import staged_data
from tasks.core.nextflow import isolation, known_faults, machine, program
from tasks.core.schema import read_json
from tasks.core.source import custom_configs


@dataclass(frozen=True, kw_only=True)
class Carried:
    """The files of a release that a launch is made from; `locate` finds a staged data file.

    `configs` is the archive of institutional configs, where one is carried.
    """

    code: Path
    runtime: Path
    plugins: Path
    config: Path
    data_manifest: Path
    locate: Callable[[str], Path]
    configs: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Launch:
    """A pipeline that is ready to be run.

    `tree` holds the institutional configs; `host_params` is the part of `params` that a run on
    other data needs too.
    """

    nextflow: program.Nextflow
    code: Path
    tree: Path
    configs: tuple[Path, ...]
    params: Path
    host_params: Path
    folder: Path


@dataclass(frozen=True, kw_only=True)
class Room:
    """What a run is confined to: a `folder` in that of the launch, where it works and writes.

    It sees the launch's own folder, read-only, and `reads`; it is ended after `patience` seconds,
    or where it prints more than is kept of a log.
    `least` is what the site accepts of that.
    """

    folder: Path
    reads: tuple[Path, ...] = ()
    patience: float = 7200.0
    least: str = isolation.FULL


def prepare(carried: Carried, folder: Path) -> Launch:
    """Unpack and render everything below `folder`; what is there is replaced whole."""
    home = _runtime(carried, folder).home
    unpacking.unpack_tar(carried.plugins, home / "plugins", allowed=limits.PLUGINS)
    unpacking.unpack_tar(carried.code, folder.absolute() / "code")
    ready = prepared(carried, folder)
    named = custom_configs.includes(ready.code).named
    if carried.configs:
        unpacking.unpack_tar(carried.configs, ready.tree)
    else:
        files.atomic_folder(ready.tree, lambda empty: None)
    custom_configs.answer(ready.tree, named)
    here = machine.limits()
    declared = read_json(carried.data_manifest, "data-manifest")["declared"]
    staged = staged_data.render(carried.data_manifest, carried.locate, ready.folder)
    files.write_text(ready.configs[-1], host_config(here))
    files.write_json(ready.host_params, {
        **{name: value for name, value in host_params(here).items() if name in declared},
        **({custom_configs.BASE: str(ready.tree)} if named else {}),
        **{name: staged[name] for name in staged_data.shared(carried.data_manifest)}})
    files.write_json(ready.params, run_params(ready, staged))
    return ready


def prepared(carried: Carried, folder: Path) -> Launch:
    """What `prepare` made below `folder`.

    Staged configs that the code passes over offline are given by -c; ours come after them, and
    the last of all is that of this host.
    """
    folder = folder.absolute()
    skipped = custom_configs.includes(folder / "code").skipped if carried.configs else ()
    tree = folder / "configs"
    return Launch(nextflow=_runtime(carried, folder), code=folder / "code", tree=tree,
                  params=folder / "params.json", host_params=folder / "host.params.json",
                  folder=folder, configs=(*(files.inside(tree, path) for path in skipped),
                                          carried.config.absolute(), folder / "host.config"))


def _runtime(carried: Carried, folder: Path) -> program.Nextflow:
    return program.install(carried.runtime, folder.absolute() / "runtime",
                            home=folder.absolute() / "nxf")


def run_params(launch: Launch, given: Mapping[str, Any]) -> dict[str, Any]:
    """The params `given` and those of any run here: its limits, local configs and references."""
    return {**json.loads(launch.host_params.read_bytes()), **given}


def resolve(launch: Launch, *, profile: str, log: Path,
            reads: Sequence[Path] = (), least: str = isolation.FULL) -> dict[str, Any]:
    """The config that `run` would run with, as nested mappings, without running anything."""
    return program.config(launch.nextflow, launch.code, profile=_profiles(profile), log=log,
                           configs=launch.configs, params=json.loads(launch.params.read_bytes()),
                           reads=[launch.tree, *reads], least=least)


def host_config(here: machine.Limits) -> str:
    """Limits from this host's size: a test profile asks for more than a small host has."""
    return f"process.resourceLimits = [cpus: {here.cpus}, memory: {here.megabytes}.MB]\n"


def host_params(here: machine.Limits) -> dict[str, Any]:
    """The same limits as nf-core's templates up to 2.14 have them, whose processes ask for them."""
    return {"max_cpus": here.cpus, "max_memory": f"{here.megabytes}.MB"}


def _profiles(profile: str) -> str:
    """An empty `profile` leaves the pipeline's own settings, with those of offline.config."""
    return f"{profile},offline".lstrip(",")


def run(launch: Launch, *, profile: str, log: Path, options: Sequence[str | Path],
        words: Sequence[str] = (), env: Mapping[str, str] | None = None,
        room: Room | None = None) -> None:
    """`nextflow run WORDS CODE OPTIONS`, its output into `log`; CommandError with its last words.

    `words` stand directly before the project: after another option, `-stub-run` and `-preview`
    would swallow an argument (notes of Nextflow 24.10). With `room` it is confined to that.
    """
    kept = log.with_suffix(".nextflow.log").absolute()
    detail = room.folder / kept.name if room else kept
    configs = [word for path in launch.configs for word in ("-c", str(path))]
    command = launch.nextflow.command(
        "-log", detail, "run", *configs, "-profile", _profiles(profile),
        "-params-file", launch.params, "-ansi-log", "false", *options, *words, launch.code)
    try:
        if room:
            _run_in(room, launch, command, log=log, env=env)
        else:
            processes.run(command, log=log, cwd=launch.folder, env=launch.nextflow.environment(env))
    except CommandError as error:
        if room:
            program.keep(detail, kept)
        known = known_faults.recognised(_said(log, kept), launch.nextflow.version)
        raise CommandError("\n".join(["Nextflow ended with an error", *map(str, known)]),
                           status=error.status, tail=error.tail, where=log,
                           todo=f"its own log with every detail is {kept}") from error
    if room:
        program.keep(detail, kept)


def _run_in(room: Room, launch: Launch, command: Sequence[str], *, log: Path,
            env: Mapping[str, str] | None) -> None:
    started = program.confined(
        launch.nextflow, command, folder=room.folder, least=room.least,
        reads=[launch.folder, *launch.configs, *room.reads])
    environment = launch.nextflow.environment(
        {**program.real_java(launch.nextflow), **(env or {})})

    def bound() -> None:
        if log.stat().st_size > program.LONGEST_LOG:
            raise processes.TooMuch(program.LONGEST_LOG)

    try:
        processes.run(started, log=log, cwd=room.folder, env=environment, timeout=room.patience,
                      check=bound)
    except processes.TooMuch as error:
        raise SourceError(f"the run wrote more than {files.human_size(program.LONGEST_LOG)}, and "
                          "was ended", where=log, todo="look for a loop in the pipeline's code"
                          ) from error
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"the run took longer than {room.patience:.0f} s, and was ended",
                          where=log, todo="look for a loop or a wait in the pipeline's code"
                          ) from error


def _said(*logs: Path) -> list[str]:
    """The lines of what Nextflow wrote, as far as it did."""
    return [line for log in logs if log.is_file()
            for line in log.read_text(errors="replace").splitlines()]
