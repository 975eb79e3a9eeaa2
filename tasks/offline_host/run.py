"""`prod:run`: the real Nextflow, offline, on the release's test data or on the user's own."""

from __future__ import annotations

import dataclasses
import logging
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import files, opened, ownership, parsing, processes
from tasks.core.errors import CommandError, ConfigError, HostError
from tasks.core.inputs import staged_data
from tasks.core.nextflow import launch
from tasks.core.paths import MANIFEST, OfflinePaths
from tasks.core.schema import check, read_json
from tasks.offline_host.bootstrap import carried

logger = logging.getLogger(__name__)

MEMORY = "-Xms1g -Xmx4g"
PARAMS = 16 * 2**20
"""Bytes of a params file."""
STEP = re.compile(r"\] (Submitted|Cached|Re-submitted) process > (.*)")
REMOTE = {"nfs", "nfs4", "cifs", "smb3", "lustre", "gpfs", "beegfs", "ceph", "9p", "afs",
          "fuse.sshfs", "fuse.glusterfs", "fuse.s3fs"}
"""File systems on other machines, on which a work folder is slow and its locks are not kept."""
LOCAL = Path("/var/tmp")  # noqa: S108 - the folder below it is looked at


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """What is run: a bootstrapped release, on its test data."""

    pipeline: str
    layout: OfflinePaths


@dataclass(frozen=True, kw_only=True)
class OwnRunSpec:
    """What is run: a bootstrapped release, on the user's samplesheet, params or both."""

    pipeline: str
    layout: OfflinePaths
    input: str | None
    params: str | None


def run_test(spec: RunSpec) -> str:
    """Run the test profile, and write run.json with each result's SHA-256."""
    ready, told = _ready(spec.layout)
    out = spec.layout.results(f"{told['release']}/{told['run']}")
    _run(spec.layout, ready, profile=told["profile"], out=out,
         words=["-stub-run"] if told["run"] == "stub" else [], step=f"prod:run:{spec.pipeline}")
    results = [{"path": path.relative_to(out).as_posix(), "sha256": files.sha256(path),
                "size": path.stat().st_size} for path in files.tree(out) if path.is_file()]
    if not results:
        raise HostError("the run ended well, but published nothing", where=out,
                        todo="look at its log; the pipeline must publish into params.outdir")
    record = {"pipeline": spec.pipeline, "release": told["release"], "nextflow": told["nextflow"],
              "profile": f"{told['profile']},offline", "run": told["run"],
              "images": told["images"], "results": str(out), "files": results}
    files.write_json(spec.layout.run, check(record, "run", where=spec.layout.run))
    return f"{len(results)} results in {out}/"


def run_own(spec: OwnRunSpec) -> str:
    """Run the user's own data, without the test profile and its params."""
    ready, told = _ready(spec.layout)
    release = spec.layout.release(told["release"])
    params = own_params(spec.input, spec.params, release=release, folder=ready.folder)
    name = Path(spec.input or spec.params or "").stem
    out = spec.layout.results(f"{told['release']}/{name}")
    own = ready.folder / "own.params.json"
    files.write_json(own, launch.run_params(ready, params))
    _run(spec.layout, dataclasses.replace(ready, params=own), profile="", words=[],
         out=Path(params.get("outdir", out)), step=f"prod:run:{spec.pipeline}")
    return f"results in {params.get('outdir', out)}/"


def own_params(sheet: str | None, params: str | None, *, release: Path,
               folder: Path) -> dict[str, Any]:
    """The user's params file (YAML or JSON) as a mapping, `input` being the sheet, absolute.

    A sheet that the release carries is called by its name, and rendered below `folder`.
    """
    told: dict[str, Any] = {}
    if params:
        try:
            loaded = parsing.from_yaml(opened.read(_given("params", params), most=PARAMS).decode())
        except ValueError as error:
            raise ConfigError(f"this is neither YAML nor JSON: {error}", where=params) from error
        if not isinstance(loaded, dict) or not _is_named(loaded):
            raise ConfigError("a params file is a mapping of names", where=params)
        told = loaded
    if sheet and not Path(sheet).expanduser().is_file() and (carried := own_of(release, sheet)):
        told |= staged_data.render(carried / MANIFEST, lambda path: files.inside(
            release if path.startswith(("data/", "trees/")) else carried, path),
            folder / "own" / sheet)
    elif sheet:
        told["input"] = str(_given("input", sheet, carried=own_names(release)).resolve())
    return told


def _is_named(value: Any) -> bool:
    """Whether each key is a text: JSON, in which Nextflow gets them, has no other."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_named(each) for key, each in value.items())
    return not isinstance(value, list) or all(map(_is_named, value))


def own_names(release: Path) -> list[str]:
    """The names of the users' own sheets that a release carries."""
    return sorted(each.parent.name for each in release.glob(f"own/*/{MANIFEST}"))


def own_of(release: Path, name: str) -> Path | None:
    """The folder of a carried sheet, by its name, with or without its ending."""
    known = {each: release / "own" / each for each in own_names(release)}
    return known.get(name) or known.get(Path(name).stem)


def _given(variable: str, value: str, *, carried: Sequence[str] = ()) -> Path:
    path = Path(value).expanduser()
    if not path.is_file():
        known = f", or the name of a sheet that the release carries: {', '.join(carried)}"
        raise ConfigError(f"there is no such file, given by {variable}=", where=path.absolute(),
                          todo=f"give its absolute path{known if carried else ''}")
    return path


def _ready(layout: OfflinePaths) -> tuple[launch.Launch, dict[str, Any]]:
    told: dict[str, Any] = read_json(layout.bootstrap, "bootstrap")
    release = layout.release(told["release"])
    ready = launch.prepared(carried(release, told["nextflow"]), layout.launch)
    if not ready.code.is_dir() or not ready.params.is_file():
        raise HostError("what the bootstrap unpacked is gone", where=ready.folder,
                        todo=f"run `./doit role=prod forget prod:bootstrap:{layout.pipeline}`, "
                             "then the same command again")
    return ready, told


def _run(layout: OfflinePaths, ready: launch.Launch, *, profile: str, out: Path,
         words: list[str], step: str) -> None:
    reports = out.absolute().parent / f"{out.name}.reports"
    reports.mkdir(parents=True, exist_ok=True)
    log = layout.log(step)
    environment = {"NXF_OPTS": os.environ.get("NXF_OPTS", MEMORY),
                   "NXF_WORK": os.environ.get("NXF_WORK") or str(work_folder(layout))}
    if "DOCKER_HOST" in os.environ:
        environment["DOCKER_HOST"] = os.environ["DOCKER_HOST"]
    options: list[str | Path] = [
        "-offline", "-resume", "--outdir", out.absolute(),
        "-with-report", reports / "report.html", "-with-timeline", reports / "timeline.html",
        "-with-trace", reports / "trace.txt", "-with-dag", reports / "dag.html"]
    try:
        with processes.following(log, tell(step)):
            launch.run(ready, profile=profile, log=log, options=options, words=words,
                       env=environment)
    except CommandError as error:
        raise CommandError(error.what, status=error.status, tail=error.tail, where=error.where,
                           todo=f"{error.todo}; mend the cause and run the same command again: it "
                                f"goes on from {environment['NXF_WORK']}") from error


def work_folder(layout: OfflinePaths) -> Path:
    """Where tasks work: below build/, or /var/tmp where that is on another machine.

    HostError where the folder there is not this user's alone.
    """
    place = (layout.root / "work").absolute()
    if file_system(place, Path("/proc/self/mounts").read_text()) in REMOTE:
        own = LOCAL / f"airlock-{os.geteuid()}"
        ownership.own_folder(own)
        return own / layout.pipeline
    return place


def file_system(place: Path, mounts: str) -> str:
    """The type of the file system that holds `place`, from the lines of /proc/self/mounts."""
    best, kind = "", ""
    for line in mounts.splitlines():
        _, point, found, *_ = line.split(" ")
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)
        if place.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, found
    return kind


def tell(step: str) -> Callable[[str], None]:
    """Logs what a line of Nextflow's log says of a process."""
    def say(line: str) -> None:
        if match := STEP.search(line):
            logger.info("%s  %s: %s", step, match[1].lower(), match[2].rstrip())
    return say
