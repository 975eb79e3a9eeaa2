"""The trials of the way that a pipeline's jobs go, each harder than the one before.

On the local site they run in Docker, with images made there; elsewhere on AWS Batch, by the
settings that batch:config makes.
"""

from __future__ import annotations

import csv
import dataclasses
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tasks.core import files, nofollow
from tasks.core.archives import limits, unpacking
from tasks.core.engine import daemon
from tasks.core.engine.address import Engine
from tasks.core.engine.for_run import reached
from tasks.core.errors import AirlockError, AwsError, RegistryError
from tasks.core.inputs import staged_data
from tasks.core.nextflow import installed, isolation, launch, queries
from tasks.core.nextflow.image_selectors import mirrored
from tasks.core.nextflow.machine import Machine, this_machine
from tasks.core.registry.client import endpoint
from tasks.core.schema import check, read_json

TRIAL = Path(__file__).with_name("trial.nf")
PLUGIN = "nf-amazon"
NO_PROFILE = "profiles { offline { } }\n"
"""Launches name that profile, of offline.config, which isn't used here."""
LIMIT = 600
"""Seconds that the last trial is said to take at most; more is reported, and no fault."""
TRACE = "name,status,exit,submit,start,complete,duration,realtime"
"""What is kept of each job; times are in milliseconds (Nextflow's trace, raw)."""
MAX_RESULT = 1 << 20
"""Bytes of what a trial's job wrote."""
MAX_TEXT = 2000
"""Characters of a job's result that a receipt holds."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial: what it shows, its image, and what its one job runs; the last has neither."""

    name: str
    shows: str
    image: str | None = None
    script: str = ""


IMPORT = "python3 -c 'import requests; print(\"requests\", requests.__version__)'"
TRIALS = (
    Trial(name="basic", shows="a job starts in a container, and its file comes back",
          image="docker.io/library/ubuntu:22.04",
          script="head -n 1 /etc/os-release > result.txt; uname -m >> result.txt"),
    Trial(name="python", shows="an image with Python runs",
          image="docker.io/library/python:3.11",
          script="python3 -c 'import sys; print(\"Python\", sys.version)' > result.txt"),
    Trial(name="deps", shows="Python finds the packages that it needs",
          image="docker.io/library/python:3.11",
          script="python3 -c 'import requests' 2> none.txt || pip install --quiet requests\n"
                 f"{IMPORT} > result.txt"),
    Trial(name="main", shows="the pipeline itself runs on its test data"),
)
LOCAL_IMAGES = {"basic": "quay.io/airlock/ubuntu:22.04", "python": "quay.io/airlock/python:3.11",
                "deps": "quay.io/airlock/python-requests:3.11"}
"""What the local site makes to stand for the trials' images. It can't install a package in a job,
which has no network: an image has it."""
MODES = ("classic", "carried-cli", "fusion", "docker")
"""How jobs reach their files; classic is by a CLI of the instance's own image."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where trials run: in Docker, at an `engine`, or on Batch, with the settings in `config`.

    `registries` are the endpoints of public registries. On Batch `profile` is the pipeline's own
    for it, `images` are the trials' where theirs can't be had, `work` is Nextflow's work folder,
    and `variables` are those of the environment by which AWS is asked.
    """

    kind: Literal["docker", "batch"]
    mode: str
    engine: Engine
    registries: Mapping[str, str]
    config: Path
    work: str
    profile: str = ""
    images: Mapping[str, str] = field(default_factory=dict)
    isolation: str = isolation.FULL
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class TrialSpec:
    """A trial of a pipeline's way, and the files that it reads and leaves."""

    pipeline: str
    trial: str
    place: Place
    runtime: Path
    plugins: Path
    folder: Path
    receipt: Path
    log: Path
    machine: Machine = field(default_factory=this_machine)


@dataclass(frozen=True, kw_only=True)
class MainSpec(TrialSpec):
    """The last trial: the pipeline itself, with what it was staged with.

    `blobs` is the folder of the site's staged files, `measured` the receipt by which batch:perf
    knows what the pipeline takes in the site's mode.
    """

    profile: str
    code: Path
    data_manifest: Path
    config: Path
    images_receipt: Path
    blobs: Path
    measured: Path
    authfile: Path | None = None
    configs: Path | None = None


def run_trial(spec: TrialSpec) -> str:
    """Run a trial with one job, and write its receipt."""
    trial = next(trial for trial in TRIALS if trial.name == spec.trial)
    spec.receipt.unlink(missing_ok=True)  # an earlier run's says nothing of this one
    with _unproven(spec.trial):
        folder = _emptied(spec.folder)
        own = trial.image if spec.place.kind == "batch" else LOCAL_IMAGES[trial.name]
        image = spec.place.images.get(trial.name, own or "")
        if spec.place.kind == "docker":
            image = _pulled(spec.place, image)
        ready = _prepared(spec, folder, container=image, script=trial.script)
        seconds = _run(spec, ready, images=[image], profile="")
        result = nofollow.read(folder / "writable/results/result.txt",
                               most=MAX_RESULT).decode(errors="replace")
    _write_receipt(spec, folder, seconds, {"image": image, "result": result[:MAX_TEXT]})
    return f"{result.splitlines()[0]}; {trial.shows}"


def run_main(spec: MainSpec) -> str:
    """Run the pipeline on its staged test data, and write the receipt."""
    spec.receipt.unlink(missing_ok=True)
    with _unproven(spec.trial):
        folder = _emptied(spec.folder)
        ready = launch.prepare(launch.Carried(
            code=spec.code, runtime=spec.runtime, plugins=spec.plugins,
            config=spec.config if spec.place.kind == "docker" else spec.place.config,
            data_manifest=spec.data_manifest, configs=spec.configs,
            locate=staged_data.lay_out(spec.data_manifest, spec.blobs, folder / "staged")),
            folder, spec.machine)
        if spec.place.kind == "batch":
            ready = _for_batch(spec.place, ready)
        images = list(mirrored(read_json(spec.images_receipt, "images-receipt")).values())
        if spec.place.kind == "docker":
            daemon.pull(daemon.connect(spec.place.engine), images, authfile=spec.authfile)
        # The profile for Batch comes last, and before it what the test profile says.
        profiles = ",".join(filter(None, [spec.profile, spec.place.profile]))
        seconds = _run(spec, ready, images=images, profile=profiles)
        results = len(files.tree(folder / "writable/results"))
    _write_receipt(spec, folder, seconds, {"results": results})
    files.copy(spec.receipt, spec.measured)
    late = f"; longer than {LIMIT} s" if seconds > LIMIT else ""
    return f"{results} results in {seconds:.0f} s{late}"


def _for_batch(place: Place, ready: launch.Launch) -> launch.Launch:
    """The launch without this machine's limits, and with the profiles that it names, if empty."""
    own = ready.folder / "trial.config"
    files.write_text(own, f"profiles {{\n    offline {{ }}\n    '{place.profile}' {{ }}\n}}\n")
    return dataclasses.replace(ready, configs=(
        own, *(path for path in ready.configs if path != ready.folder / "host.config")))


@contextmanager
def _unproven(failed: str) -> Iterator[None]:
    """Say of a trial that fails what was not shown: that, and what the trials behind it show."""
    try:
        yield
    except AirlockError as error:
        names = [trial.name for trial in TRIALS]
        left = "".join(f"\n    {trial.name}: {trial.shows}"
                       for trial in TRIALS[names.index(failed):])
        error.todo = "\n".join(filter(None, [error.todo, f"not shown yet:{left}"]))
        raise


def _emptied(folder: Path) -> Path:
    """The trial's own folder, anew; no other user may enter it."""
    folder = folder.absolute()
    if folder.exists():
        shutil.rmtree(folder)
    (folder / "writable").mkdir(parents=True)
    folder.chmod(0o700)
    return folder


def _pulled(place: Place, image: str) -> str:
    """Pull an image from where its registry is reached; the reference by its digest."""
    from docker.errors import APIError
    repository, _, tag = image.rpartition(":")
    at = re.sub("^https?://", "", endpoint(repository, place.registries))
    client = daemon.connect(place.engine)
    try:
        daemon.pull_as_told(client, at, tag)
        digests = client.images.get(f"{at}:{tag}").attrs["RepoDigests"]
    except (APIError, daemon.PullError) as error:
        answer = getattr(error, "explanation", None) or error
        raise RegistryError(f"the engine cannot pull {image}: {answer}", where=at,
                            todo="see that the registry can be reached") from error
    return next(str(name) for name in digests if name.startswith(f"{at}@"))


def _prepared(spec: TrialSpec, folder: Path, *, container: str, script: str) -> launch.Launch:
    """A launch of the trial's own pipeline."""
    nextflow = installed.install(spec.runtime, folder / "runtime", home=folder / "nxf",
                                 inherited=spec.machine.inherited)
    unpacking.unpack_tar(spec.plugins, nextflow.home / "plugins", allowed=limits.PLUGINS)
    (folder / "code").mkdir()
    files.copy(TRIAL, folder / "code/main.nf")
    (folder / "configs").mkdir()
    own = folder / "trial.config"
    files.write_text(own, ("docker.enabled = true\n" if spec.place.kind == "docker" else "")
                     + NO_PROFILE)
    params = folder / "params.json"
    files.write_json(params, {"container": container, "script": script})
    given = () if spec.place.kind == "docker" else (spec.place.config.absolute(),)
    return launch.Launch(nextflow=nextflow, code=folder / "code", tree=folder / "configs",
                         configs=(own, *given), params=params, host_params=params, folder=folder)


def _run(spec: TrialSpec, ready: launch.Launch, *, images: Sequence[str], profile: str) -> float:
    """Run a launch to its end; the seconds that it took."""
    writable = ready.folder / "writable"
    options: list[str | Path] = [
        "-with-trace", writable / "trace.txt", "--outdir", writable / "results"]
    fields = ready.folder / "trace.config"
    files.write_text(fields, f"trace {{\n    raw = true\n    fields = '{TRACE}'\n}}\n")
    begun = time.monotonic()
    if spec.place.kind == "docker":
        _run_in_docker(spec, ready, images=images, profile=profile,
                       options=["-c", fields, *options, "-work-dir", writable / "work"])
    else:
        _require_plugin(ready)
        launch.run(ready, profile=profile, log=spec.log,
                   options=["-c", fields, *options, "-work-dir",
                            f"{spec.place.work.rstrip('/')}/{spec.pipeline}-{spec.trial}"],
                   env=spec.place.variables)
    return time.monotonic() - begun


def _run_in_docker(spec: TrialSpec, ready: launch.Launch, *, images: Sequence[str], profile: str,
                   options: Sequence[str | Path]) -> None:
    writable = ready.folder / "writable"
    with reached(spec.place.engine, images, launch=ready.folder, writable=writable,
                 path=spec.machine.inherited.path) as engine:
        launch.run(ready, profile=profile, log=spec.log, options=options,
                   env=engine.variables,
                   within=launch.Confinement(folder=writable, reads=engine.reads,
                                             least=spec.place.isolation))


def _require_plugin(ready: launch.Launch) -> None:
    if not any(ready.nextflow.home.glob(f"plugins/{PLUGIN}-*")):
        raise AwsError(f"the executor of AWS Batch is a plugin, {PLUGIN}, which is not carried",
                       where="plugins.tar",
                       todo=f"name it under `plugins:` in the pipeline's config: {PLUGIN}@VERSION")


def _write_receipt(spec: TrialSpec, folder: Path, seconds: float, result: dict[str, Any]) -> None:
    trace = spec.receipt.with_suffix(".trace.txt")
    trace.unlink(missing_ok=True)  # an earlier run's is none of this
    queries.keep(folder / "writable/trace.txt", trace)
    files.write_json(spec.receipt, check({
        "trial": spec.trial, "pipeline": spec.pipeline, "where": spec.place.kind,
        "mode": spec.place.mode, "seconds": round(seconds, 1), "jobs": jobs(trace), **result,
    }, "batch-trial", where=spec.receipt))


def jobs(trace: Path) -> list[dict[str, Any]]:
    """The jobs of a raw trace: name, status, and milliseconds waited, staged and run.

    Nextflow counts the script alone as `realtime`; what lies between `start` and `complete`
    beside it is staging.
    """
    with trace.open(newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    return [{"name": row["name"], "status": row["status"],
             "waited": _between(row["submit"], row["start"]),
             "staged": _less(_between(row["start"], row["complete"]), row["realtime"]),
             "run": _whole(row["realtime"])} for row in rows]


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def _between(first: str, last: str) -> int | None:
    begun, ended = _whole(first), _whole(last)
    return None if begun is None or ended is None else max(ended - begun, 0)


def _less(whole: int | None, part: str) -> int | None:
    taken = _whole(part)
    return None if whole is None or taken is None else max(whole - taken, 0)
