"""What a staged pipeline needs to be launched: code, runtime, plugins, params, host's limits.

The smoke run on the online side and the run on the offline host launch it in the same way.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import files, processes
from tasks.core.archives import limits, unpacking
from tasks.core.errors import CommandError, SourceError
from tasks.core.inputs import staged_data
from tasks.core.nextflow import failures, installed, isolation, known_faults, queries
from tasks.core.nextflow.environment import SHORT_LIVED, Inherited
from tasks.core.nextflow.library import Library
from tasks.core.nextflow.machine import Limits, Machine
from tasks.core.schema import read_json
from tasks.core.source import custom_configs
from tasks.core.source.configs import Reader, Setting
from tasks.core.source.files import opened
from tasks.core.source.groovy.tokens import STRING

HOST_CONFIG, ENGINE_CONFIG = "host.config", "engine.config"
"""This host's limits, and the options that its engine needs for image files."""
IMAGES_CONFIG = "images.config"
"""Where the image files lie, beside host.config: no other config may change it."""
LIMIT = 7200.0
"""Seconds after which a run is ended that isn't the user's own."""


class TooLong(SourceError):
    """A run took longer than it may, and was ended."""


@dataclass(frozen=True, kw_only=True)
class Carried:
    """The files of a release that a launch is made from; `locate` finds a staged data file.

    `configs` is the archive of institutional configs, and `library` leads to the image files, where
    such are carried.
    """

    code: Path
    runtime: Path
    plugins: Path
    config: Path
    data_manifest: Path
    locate: Callable[[str], Path]
    configs: Path | None = None
    library: Library | None = None


@dataclass(frozen=True, kw_only=True)
class Launch:
    """A pipeline that is ready to be run.

    `tree` holds the institutional configs; `host_params` is the part of `params` that a run on
    other data needs too.
    """

    nextflow: installed.Nextflow
    code: Path
    tree: Path
    configs: tuple[Path, ...]
    params: Path
    host_params: Path
    folder: Path


@dataclass(frozen=True, kw_only=True)
class Confinement:
    """What a run is confined to: a `folder` in that of the launch, where it works and writes.

    It sees the launch's own folder, read-only, and `reads`; it is ended after `timeout` seconds,
    or where it prints more than is kept of a log.
    `least` is what the site accepts of that.
    """

    folder: Path
    reads: tuple[Path, ...] = ()
    timeout: float = LIMIT
    least: str = isolation.FULL


def prepare(carried: Carried, folder: Path, here: Machine) -> Launch:
    """Unpack and render everything below `folder`; what is right there stays, all else goes."""
    unpack(carried, folder)
    return render(carried, folder, here)


def is_unpacked(carried: Carried, folder: Path) -> bool:
    """Whether everything is as `unpack` leaves it, byte for byte."""
    if not (all(unpacking.is_there(archive, place, allowed=allowed)
                for archive, place, allowed in _archives(carried, folder))):
        return False
    tree, named = folder / "configs", custom_configs.includes(folder / "code").named
    return all((tree / path).is_file() for path in named) and (
        unpacking.is_there(carried.configs, tree, besides=named) if carried.configs else
        not any(path.lstat().st_size for path in files.tree(tree)))


def unpack(carried: Carried, folder: Path) -> None:
    """Unpack runtime, plugins, code and configs below `folder`, unless they are there."""
    for archive, place, allowed in _archives(carried, folder):
        unpacking.unpack_unless_there(archive, place, allowed=allowed)
    tree, named = folder / "configs", custom_configs.includes(folder / "code").named
    if carried.configs:
        unpacking.unpack_unless_there(carried.configs, tree, besides=named)
    elif not tree.is_dir() or any(path.lstat().st_size for path in files.tree(tree)):
        files.atomic_folder(tree, lambda empty: None)
    custom_configs.answer(tree, named)


def _archives(carried: Carried, folder: Path) -> list[tuple[Path, Path, limits.Bounds]]:
    return [(carried.runtime, installed.place(carried.runtime, folder / "runtime"), limits.RUNTIME),
            (carried.plugins, folder / "nxf/plugins", limits.PLUGINS),
            (carried.code, folder / "code", limits.CODE)]


def render(carried: Carried, folder: Path, here: Machine, *, into: Path | None = None) -> Launch:
    """Render the params and this host's config into `folder`, where all is unpacked, or `into`.

    Staged configs that the code passes over offline are given by -c; ours come after them, and
    the last of all are those of this host.
    """
    folder = folder.absolute()
    own = folder if into is None else into.absolute()
    tree, included = folder / "configs", custom_configs.includes(folder / "code")
    ready = Launch(
        nextflow=installed.found(carried.runtime, folder / "runtime", home=folder / "nxf",
                                 inherited=here.inherited),
        code=folder / "code", tree=tree, params=own / "params.json",
        host_params=own / "host.params.json", folder=own,
        configs=(*(files.inside(tree, path) for path in included.skipped if carried.configs),
                 carried.config.absolute(), own / HOST_CONFIG,
                 *([own / ENGINE_CONFIG, own / IMAGES_CONFIG] if carried.library else [])))
    files.write_text(own / HOST_CONFIG, host_config(here.limits))
    if carried.library:
        files.write_text(own / ENGINE_CONFIG, carried.library.run_options())
        files.write_text(own / IMAGES_CONFIG, carried.library.config())
    _write_params(carried, ready, here.limits, has_tree=bool(included.named))
    return ready


def _write_params(carried: Carried, ready: Launch, here: Limits, *, has_tree: bool) -> None:
    """Write the params of any run here, and those of the test profile's."""
    declared = read_json(carried.data_manifest, "data-manifest")["declared"]
    staged = staged_data.render(carried.data_manifest, carried.locate, ready.folder)
    files.write_json(ready.host_params, {
        **{name: value for name, value in host_params(here).items() if name in declared},
        **({custom_configs.BASE: str(ready.tree)} if has_tree else {}),
        **{name: staged[name] for name in staged_data.shared(carried.data_manifest)}})
    files.write_json(ready.params, run_params(ready, staged))


def as_json(launch: Launch) -> dict[str, Any]:
    """Return a launch as bootstrap.json holds it."""
    return {"launcher": str(launch.nextflow.launcher), "java": str(launch.nextflow.java),
            "home": str(launch.nextflow.home), "code": str(launch.code), "tree": str(launch.tree),
            "configs": list(map(str, launch.configs)), "params": str(launch.params),
            "host_params": str(launch.host_params), "folder": str(launch.folder)}


def from_json(held: Mapping[str, Any], inherited: Inherited) -> Launch:
    """Return the launch that `as_json` wrote, as `held` holds it."""
    return Launch(
        nextflow=installed.Nextflow(launcher=Path(held["launcher"]), java=Path(held["java"]),
                                    home=Path(held["home"]), inherited=inherited),
        code=Path(held["code"]), tree=Path(held["tree"]), params=Path(held["params"]),
        configs=tuple(map(Path, held["configs"])), host_params=Path(held["host_params"]),
        folder=Path(held["folder"]))


def run_params(launch: Launch, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the params `given` and those of any run here: its limits, configs and references."""
    return {**json.loads(launch.host_params.read_bytes()), **given}


def resolve(launch: Launch, *, profile: str, log: Path,
            reads: Sequence[Path] = (), least: str = isolation.FULL) -> dict[str, Any]:
    """Return the config that `run` would run with, as nested mappings; nothing is run."""
    with files.scratch(log.parent, "resolve") as scratch:
        resolved, = queries.configs(
            launch.nextflow, launch.code, profile=_profiles(profile), scratch=scratch, log=log,
            given=launch.configs, params=json.loads(launch.params.read_bytes()),
            reads=[launch.tree, *reads], least=least)
    return resolved


def host_config(here: Limits) -> str:
    """Limits from this host's size: a test profile asks for more than a small host has."""
    return f"process.resourceLimits = [cpus: {here.cpus}, memory: {here.megabytes}.MB]\n"


def without_limits(launch: Launch) -> Launch:
    """The launch for tasks on other machines, where this host's limits are none."""
    ours: dict[str, Any] = json.loads(launch.host_params.read_bytes())
    limits = {name: ours[name] for name in host_params(Limits(cpus=1, memory=1)) if name in ours}
    places = {}
    for path in (launch.params, launch.host_params):
        places[path] = path.with_name(f"elsewhere.{path.name}")
        files.write_json(places[path], {
            name: value for name, value in json.loads(path.read_bytes()).items()
            if name not in limits or value != limits[name]})
    return dataclasses.replace(
        launch, params=places[launch.params], host_params=places[launch.host_params],
        configs=tuple(path for path in launch.configs if path.name != HOST_CONFIG))


def host_params(here: Limits) -> dict[str, Any]:
    """The same limits as nf-core's templates up to 2.14 have them, whose processes ask for them."""
    return {"max_cpus": here.cpus, "max_memory": f"{here.megabytes}.MB"}


def _profiles(profile: str) -> str:
    """An empty `profile` leaves the pipeline's own settings, with those of offline.config."""
    return f"{profile},offline".lstrip(",")


def run(launch: Launch, *, profile: str, log: Path, options: Sequence[str | Path],
        words: Sequence[str] = (), env: Mapping[str, str] | None = None,
        within: Confinement | None = None, limit: float | None = LIMIT,
        holds: Sequence[int] = ()) -> None:
    """`nextflow run WORDS CODE OPTIONS`, its output into `log`; CommandError with the cause.

    `words` stand directly before the project: after another option, `-stub-run` and `-preview`
    would swallow an argument (notes of Nextflow 24.10). With `within` it is confined to that, and
    has its time, else `limit` seconds, and keeps the files `holds` open, with the locks on them,
    for as long as it lives. TooLong, which says what it did last, where it takes more. Java is
    started as one that lives for seconds, but where `env` has an NXF_OPTS of its own.
    """
    env = {**SHORT_LIVED, **(env or {})}
    limit = within.timeout if within else limit
    script = main_script(launch.configs)
    if script:  # that of a folder is looked for in the working directory, so the whole path
        options = ["-main-script", files.inside(launch.code, script), *options]
    kept = log.with_suffix(".nextflow.log").absolute()
    detail = within.folder / kept.name if within else kept
    configs = [word for path in launch.configs for word in ("-c", str(path))]
    command = launch.nextflow.command(
        "-log", detail, "run", *configs, "-profile", _profiles(profile),
        "-params-file", launch.params, "-ansi-log", "false", *options, *words, launch.code)
    try:
        if within:
            try:
                _run_in(within, launch, command, log=log, env=env)
            finally:
                queries.keep(detail, kept)
        else:
            processes.run(command, log=log, cwd=launch.folder, timeout=limit, holds=holds,
                          quote=failures.quoted, env=launch.nextflow.environment(env))
    except subprocess.TimeoutExpired as error:
        raise _too_long(limit, words, log) from error
    except CommandError as error:
        known = known_faults.recognised(_printed(log, kept), launch.nextflow.version)
        raise CommandError("\n".join(["Nextflow ended with an error", *map(str, known)]),
                           status=error.status, tail=error.tail, where=log,
                           todo=f"its own log with every detail is {kept}") from error


def _too_long(limit: float | None, words: Sequence[str], log: Path) -> TooLong:
    """What is said of a run that took too long: which run it was, and what it printed last."""
    doing = {"-preview": "the preview", "-stub-run": "the stub run"}.get(
        words[0] if words else "", "the run")
    last = failures.last(_printed(log))
    printed = f"what it printed last: {last}" if last else "it had printed nothing"
    return TooLong(f"{doing} took longer than {limit:.0f} s, and was ended; {printed}", where=log,
                   todo="look for a loop or a wait in the pipeline's code")


def main_script(configs: Iterable[Path]) -> str | None:
    """The main script that a config given by -c names: Nextflow itself asks the pipeline's alone.
    """
    for config in configs:
        with opened(config.parent) as sources:
            for setting in Reader(sources, {}).read(config.name):
                if (isinstance(setting, Setting) and setting.path == ("manifest", "mainScript")
                        and setting.tokens[0].kind == STRING):
                    return setting.tokens[0].text
    return None


def _run_in(within: Confinement, launch: Launch, command: Sequence[str], *, log: Path,
            env: Mapping[str, str]) -> None:
    started = queries.confined(
        launch.nextflow, command, folder=within.folder, least=within.least,
        reads=[launch.folder, *launch.configs, *within.reads])
    environment = launch.nextflow.environment({**queries.real_java(launch.nextflow), **env})

    def bound() -> None:
        if log.stat().st_size > queries.MAX_LOG:
            raise processes.TooMuch(queries.MAX_LOG)

    try:
        processes.run(started, log=log, cwd=within.folder, env=environment, timeout=within.timeout,
                      check=bound, quote=failures.quoted)
    except processes.TooMuch as error:
        raise SourceError(f"the run wrote more than {files.human_size(queries.MAX_LOG)}, and "
                          "was ended", where=log, todo="look for a loop in the pipeline's code"
                          ) from error


def _printed(*logs: Path) -> list[str]:
    """The lines of what Nextflow wrote, as far as it did."""
    return [line for log in logs if log.is_file()
            for line in failures.lines_of(log.read_bytes().decode(errors="replace"))]
