"""`prod:run`: the real Nextflow, offline, on the release's test data or on the user's own."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import files, nofollow, ownership, parsing, processes
from tasks.core.errors import CommandError, ConfigError, HostError
from tasks.core.in_place import InPlace
from tasks.core.inputs import staged_data
from tasks.core.nextflow import launch, reports
from tasks.core.nextflow.environment import Inherited, RunSettings
from tasks.core.nextflow.task_count import TaskCount
from tasks.core.offline_paths import OfflinePaths
from tasks.core.paths import MANIFEST
from tasks.core.schema import read_json
from tasks.offline_host import cluster, given, memory, record, run_tasks
from tasks.offline_host.continuing import Asked
from tasks.offline_host.own_configs import OwnConfigs, roots
from tasks.offline_host.record import OpenRun, Records

logger = logging.getLogger(__name__)

MAX_PARAMS = 16 * 2**20
"""Bytes of a params file."""
LIMITS = {"stub": launch.LIMIT, "test": 86400.0}
"""Seconds after which a run on the test data is ended; one on the user's own has no limit."""


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """What is run: a bootstrapped release, on its test data; and where its record is kept.

    `tool` is the tool's own tool.json, and `command` the variables that were typed.
    `seen` is where this host remembers what was withdrawn. `library` is the folder of image files
    that users share, where there is one.
    """

    pipeline: str
    layout: OfflinePaths
    seen: Path
    settings: RunSettings
    inherited: Inherited
    place: InPlace
    own_configs: OwnConfigs
    runs: Path
    key: Path | None
    tool: Path
    command: Mapping[str, str]
    library: Path | None = None

    def records(self) -> Records:
        """Where the run's record is kept, and what it says of the site and the command."""
        tool = read_json(self.tool, "tool")["id"] if self.tool.is_file() else None
        return Records(runs=self.runs, key=self.key, site=self.layout.site, tool=tool,
                       command=self.command)


@dataclass(frozen=True, kw_only=True)
class OwnRunSpec(RunSpec):
    """What is run: a bootstrapped release, on the user's samplesheet, params or both."""

    input: str | None
    params: str | None


def run_test(spec: RunSpec) -> str:
    """Run the test profile; its record stands in its own folder, and as this step's output."""
    ready, receipt = _ready(spec)
    kind, profile = receipt["run"], spec.own_configs.profile(receipt["profile"])
    ready, work = _for_tasks(spec, ready, receipt, profile)
    run = _begin(spec, ready, receipt, work, json.loads(ready.params.read_bytes()), Asked(
        pipeline=spec.pipeline, release=receipt["release"], run=kind, name=kind,
        profile=f"{profile},offline"))
    with record.recorded(run):
        _run(spec, ready, receipt, run, profile=profile, limit=LIMITS[kind],
             words=["-stub-run"] if kind == "stub" else [])
        if not run.results().files:
            raise HostError("the run ended well, but published nothing", where=run.folder.path,
                            todo="look at its log; the pipeline must publish into params.outdir")
    files.write_bytes(spec.layout.run, run.folder.record.read_bytes())
    return _result(run)


def run_own(spec: OwnRunSpec) -> str:
    """Run the user's own data, without the test profile and its params."""
    ready, receipt = _ready(spec)
    release = spec.layout.release(receipt["release"])
    own = own_params(spec.input, spec.params, release=release, folder=ready.folder)
    sheet = given.sheet(spec.input, own, carried=spec.input and own_of(release, spec.input))
    profile = spec.own_configs.profile("")
    ready, work = _for_tasks(spec, ready, receipt, profile)
    params = given.file(Path(spec.params)) if spec.params else None
    run = _begin(spec, ready, receipt, work, launch.run_params(ready, own), Asked(
        pipeline=spec.pipeline, release=receipt["release"], run="own",
        profile=f"{profile},offline".lstrip(","),
        name=Path(spec.input or spec.params or "").stem, sheet=sheet, params=params,
        outdir=given.outdir(own)))
    with record.recorded(run):
        given.keep(run.folder, sheet, params)
        _run(spec, ready, receipt, run, profile=profile, words=[], limit=None)
    return _result(run)


def _result(run: OpenRun) -> str:
    signed = ", signed" if run.folder.signature.is_file() else ""
    shown = os.path.relpath(run.folder.path)
    return (f"{len(run.results().files)} results in {shown}/results/; its record{signed}: "
            f"{shown}/{run.folder.record.name}; its page: {shown}/{run.folder.page.name}")


def own_params(sheet: str | None, params: str | None, *, release: Path,
               folder: Path) -> dict[str, Any]:
    """The user's params file (YAML or JSON) as a mapping, `input` being the sheet, absolute.

    A sheet that the release carries is called by its name, and rendered below `folder`.
    """
    own: dict[str, Any] = {}
    if params:
        try:
            text = nofollow.read(_given("params", params), most=MAX_PARAMS).decode()
            loaded = parsing.from_yaml(text)
        except ValueError as error:
            raise ConfigError(f"this is neither YAML nor JSON: {error}", where=params) from error
        if not isinstance(loaded, dict) or not _is_named(loaded):
            raise ConfigError("a params file is a mapping of names", where=params)
        own = loaded
    if sheet and not Path(sheet).expanduser().is_file() and (carried := own_of(release, sheet)):
        own |= staged_data.render(carried / MANIFEST, lambda path: files.inside(
            release if path.startswith(("data/", "trees/")) else carried, path),
            folder / "own" / sheet)
    elif sheet:
        own["input"] = str(_given("input", sheet, carried=own_names(release)).resolve())
    return own


def _is_named(value: Any) -> bool:
    """Whether each key is a text: JSON, in which Nextflow gets them, has no other."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_named(member) for key, member in value.items())
    return not isinstance(value, list) or all(map(_is_named, value))


def own_names(release: Path) -> list[str]:
    """The names of the users' own sheets that a release carries."""
    return sorted(manifest.parent.name for manifest in release.glob(f"own/*/{MANIFEST}"))


def own_of(release: Path, name: str) -> Path | None:
    """The folder of a carried sheet, by its name, with or without its ending."""
    known = {sheet: release / "own" / sheet for sheet in own_names(release)}
    return known.get(name) or known.get(Path(name).stem)


def _given(variable: str, value: str, *, carried: Sequence[str] = ()) -> Path:
    path = Path(value).expanduser()
    if not path.is_file():
        known = f", or the name of a sheet that the release carries: {', '.join(carried)}"
        raise ConfigError(f"there is no such file, given by {variable}=", where=path.absolute(),
                          todo=f"give its absolute path{known if carried else ''}")
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"the name of what {variable}= gives is no UTF-8", where=path,
                          todo="rename it, or a folder that it lies in") from error
    return path


def _ready(spec: RunSpec) -> tuple[launch.Launch, dict[str, Any]]:
    """Return the launch that the bootstrap prepared, and its receipt."""
    receipt = spec.place.bootstrapped()
    memory.refuse_withdrawn(spec.seen, spec.pipeline, receipt["release"])
    spec.place.use(receipt["release"], f"prod:run:{spec.pipeline}")
    ready = spec.own_configs.applied(launch.from_json(receipt["launch"], spec.inherited))
    tell_of_own_programs(spec.layout.release(receipt["release"]))
    return ready, receipt


def tell_of_own_programs(release: Path) -> None:
    """Warn of each process that runs without an image, as the pipeline's config says."""
    scan = read_json(release / "images.json", "images-scan")
    own = sorted(process["name"] for process in scan.get("without", []) if process["accepted"])
    if own:
        logger.warning("WITHOUT AN IMAGE: as its config says, %s by this host's own programs",
                       f"{', '.join(own)} runs" if len(own) == 1 else f"{', '.join(own)} run")


def _begin(spec: RunSpec, ready: launch.Launch, receipt: Mapping[str, Any], work: str,
           params: Mapping[str, Any], asked: Asked) -> OpenRun:
    run = record.begin(spec.records(), asked, receipt, ready, params=params,
                       promotion=spec.layout.promotion(asked.release),
                       work=work)
    if run.session:
        logger.info("prod:run:%s  goes on from %s", spec.pipeline, run.record["continues"])
    return run


def _run(spec: RunSpec, ready: launch.Launch, receipt: Mapping[str, Any], run: OpenRun, *,
         profile: str, words: list[str], limit: float | None) -> None:
    """Run Nextflow in the run's own launch folder, so that two at once share no session."""
    folder, work = run.folder, run.record["work"]
    columns = folder.launch / "trace.config"
    files.write_text(columns, run_tasks.config())
    own = dataclasses.replace(ready, params=folder.params, folder=folder.launch,
                              configs=(*ready.configs, columns))
    environment = {**receipt["engine"]["environment"], "NXF_OPTS": spec.settings.options,
                   "NXF_WORK": work, "AIRLOCK_RELEASE": receipt["release"],
                   "AIRLOCK_RUN": folder.name}
    options: list[str | Path] = [
        "-offline", *(["-resume", run.session] if run.session else []),
        "--outdir", folder.results.resolve(),  # what params named, and no link to it
        "-with-report", folder.reports / "report.html",
        "-with-timeline", folder.reports / "timeline.html",
        "-with-trace", folder.trace, "-with-dag", folder.reports / reports.MERMAID]
    try:
        tasks = TaskCount(f"prod:run:{spec.pipeline}", folder.trace)
        with processes.following(folder.log, tasks.line, tasks.look):
            launch.run(own, profile=profile, log=folder.log, options=options, words=words,
                       env=environment, limit=limit, holds=spec.place.holds)
    except CommandError as error:
        raise CommandError(error.what, status=error.status, tail=error.tail, where=error.where,
                           todo=f"{error.todo}; mend the cause and run the same command again: it "
                                f"goes on from {folder.name}") from error
    finally:
        reports.finish(folder.reports, title=f"Processes of {spec.pipeline}")


def _for_tasks(spec: RunSpec, ready: launch.Launch, receipt: Mapping[str, Any],
               profile: str) -> tuple[launch.Launch, str]:
    """The launch for the machines that tasks run on, and the folder in which they work: all runs'
    own, since a session's tasks have its hashes."""
    asked = cluster.executors(roots(ready), profile.split(","))
    if asked:
        return launch.without_limits(ready), cluster.work_folder(
            spec.layout, spec.settings.work, asked, spec.library)
    return ready, spec.settings.work or str(
        own_work_folder(Path(receipt["work"]), spec.layout))


def own_work_folder(place: Path, layout: OfflinePaths) -> Path:
    """Return `place`; HostError where it lies outside of build/, and is not this user's alone."""
    if not place.is_relative_to(layout.root.absolute()):
        ownership.own_folder(place.parent)
    return place
