"""`prod:run`: the real Nextflow, offline, on the release's test data or on the user's own."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import files, nofollow, ownership, parsing, processes
from tasks.core.errors import CommandError, ConfigError, HostError
from tasks.core.in_place import InPlace
from tasks.core.inputs import staged_data
from tasks.core.nextflow import launch
from tasks.core.nextflow.environment import Inherited, RunSettings
from tasks.core.offline_paths import OfflinePaths
from tasks.core.paths import MANIFEST
from tasks.core.schema import check, read_json
from tasks.offline_host import memory
from tasks.offline_host.own_configs import OwnConfigs

logger = logging.getLogger(__name__)

MAX_PARAMS = 16 * 2**20
"""Bytes of a params file."""
LIMITS = {"stub": launch.LIMIT, "test": 86400.0}
"""Seconds after which a run on the test data is ended; one on the user's own has no limit."""
STEP = re.compile(r"\] (Submitted|Cached|Re-submitted) process > (.*)")

@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """What is run: a bootstrapped release, on its test data.

    `seen` is where this host remembers what was withdrawn.
    """

    pipeline: str
    layout: OfflinePaths
    seen: Path
    settings: RunSettings
    inherited: Inherited
    place: InPlace
    own_configs: OwnConfigs


@dataclass(frozen=True, kw_only=True)
class OwnRunSpec(RunSpec):
    """What is run: a bootstrapped release, on the user's samplesheet, params or both."""

    input: str | None
    params: str | None


def run_test(spec: RunSpec) -> str:
    """Run the test profile, and write run.json with each result's SHA-256."""
    ready, receipt = _ready(spec)
    out = spec.layout.results(f"{receipt['release']}/{receipt['run']}")
    _run(spec, ready, receipt, profile=spec.own_configs.profile(receipt["profile"]), out=out,
         limit=LIMITS[receipt["run"]], words=["-stub-run"] if receipt["run"] == "stub" else [])
    results = [{"path": path.relative_to(out).as_posix(), "sha256": files.sha256(path),
                "size": path.stat().st_size} for path in files.tree(out) if path.is_file()]
    if not results:
        raise HostError("the run ended well, but published nothing", where=out,
                        todo="look at its log; the pipeline must publish into params.outdir")
    record = {"pipeline": spec.pipeline, "release": receipt["release"],
              "nextflow": receipt["nextflow"], "profile": f"{receipt['profile']},offline",
              "run": receipt["run"], "images": receipt["images"], "results": str(out),
              "files": results}
    files.write_json(spec.layout.run, check(record, "run", where=spec.layout.run))
    return f"{len(results)} results in {out}/"


def run_own(spec: OwnRunSpec) -> str:
    """Run the user's own data, without the test profile and its params."""
    ready, receipt = _ready(spec)
    release = spec.layout.release(receipt["release"])
    params = own_params(spec.input, spec.params, release=release, folder=ready.folder)
    name = Path(spec.input or spec.params or "").stem
    out = Path(params.get("outdir", spec.layout.results(f"{receipt['release']}/{name}")))
    own = ready.folder / "own.params.json"
    files.write_json(own, launch.run_params(ready, params))
    _run(spec, dataclasses.replace(ready, params=own), receipt,
         profile=spec.own_configs.profile(""), words=[], out=out, limit=None)
    return f"results in {out}/"


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


def _run(spec: RunSpec, ready: launch.Launch, receipt: Mapping[str, Any], *, profile: str,
         out: Path, words: list[str], limit: float | None) -> None:
    step = f"prod:run:{spec.pipeline}"
    reports = out.absolute().parent / f"{out.name}.reports"
    reports.mkdir(parents=True, exist_ok=True)
    log = spec.layout.log(step)
    work = spec.settings.work or str(own_work_folder(Path(receipt["work"]), spec.layout))
    environment = {**receipt["engine"], "NXF_OPTS": spec.settings.options, "NXF_WORK": work}
    options: list[str | Path] = [
        "-offline", "-resume", "--outdir", out.absolute(),
        "-with-report", reports / "report.html", "-with-timeline", reports / "timeline.html",
        "-with-trace", reports / "trace.txt", "-with-dag", reports / "dag.html"]
    try:
        with processes.following(log, log_progress(step)):
            launch.run(ready, profile=profile, log=log, options=options, words=words,
                       env=environment, limit=limit, holds=spec.place.holds)
    except CommandError as error:
        raise CommandError(error.what, status=error.status, tail=error.tail, where=error.where,
                           todo=f"{error.todo}; mend the cause and run the same command again: it "
                                f"goes on from {work}") from error


def own_work_folder(place: Path, layout: OfflinePaths) -> Path:
    """Return `place`; HostError where it lies outside of build/, and is not this user's alone."""
    if not place.is_relative_to(layout.root.absolute()):
        ownership.own_folder(place.parent)
    return place


def log_progress(step: str) -> Callable[[str], None]:
    """Return what logs the tasks that a line of Nextflow's log tells of."""
    def say(line: str) -> None:
        if match := STEP.search(line):
            logger.info("%s  %s: %s", step, match[1].lower(), match[2].rstrip())
    return say
