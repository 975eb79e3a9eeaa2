"""The crossing: on the offline host, from an empty folder, with the store and trust alone."""

from __future__ import annotations

import json
import logging
import os
import shlex
import shutil
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import files, processes, schema
from tasks.core.config import engines
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import CommandError, HostError
from tasks.core.nextflow import task_count
from tasks.core.offline_paths import OfflinePaths
from tasks.core.paths import PipelinePaths
from tasks.core.store.store import open_store
from tasks.core.trust import signature
from tasks.local_site import host, host_user, probes, trust
from tasks.local_site.plan import State

logger = logging.getLogger(__name__)

TOOL = Path("airlock")
"""Where the tool is unpacked on the offline host, below the folder that it was copied to."""

QUOTED = 60
"""Lines of the offline host's doit that are quoted where a step failed there."""


@dataclass(frozen=True, kw_only=True)
class CrossSpec:
    """What the crossing of a pipeline reads: two receipts, and what is given by hand.

    `kind` is that of the offline host's engine; the one at `engine` is used where that host has
    none of its own.
    """

    pipeline: str
    layout: PipelinePaths
    key: Path
    identity: str
    store: StoreAt
    offline_store: StoreAt
    trust: Path
    engine: str | None
    kind: str = engines.DOCKER


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the crossing happens: the folder by its two names, trust and store as seen there.

    `store` is None for a bucket.
    """

    state: State
    site: str
    here: Path
    there: Path
    trust: Path
    store: Path | None
    environment: Mapping[str, str]
    kind: str = engines.DOCKER

    def run(self, *words: str | Path, stdin: bytes | None = None, cwd: Path | None = None,
            log: Path | None = None) -> str:
        """Run a command there; CommandError as from core's `processes.run`."""
        if self.state.isolated:
            return host.run_inside(self.site, words, cwd=cwd or self.there, stdin=stdin, log=log,
                                   env=self.environment, rootless=self.kind != engines.DOCKER)
        return processes.run(words, cwd=cwd or self.here, stdin=stdin, log=log,
                             env={"PATH": host.PATH, "HOME": str(self.here.parent),
                                  "LANG": "C.UTF-8", **self.environment})

    def look(self, verb: str, argument: str) -> Any:
        """What host_probe.py answers there."""
        script = Path(__file__).with_name("host_probe.py").read_bytes()
        answer = self.run(self.state.python, "-I", "-", verb, argument, stdin=script, cwd=Path("/"))
        return json.loads(answer)


def cross(spec: CrossSpec) -> str:
    """Bring tool and release in, run the pipeline, and write the crossing's receipt.

    CommandError where a command on the offline host fails, IntegrityError where something that
    must be out of its reach is not.
    """
    begun = time.monotonic()
    state = State.read(spec.layout.of_site.sandbox)
    tool, release = _carried(spec)
    place = _place(spec, state)
    trust.allow(spec.layout.of_site.sandbox / "host/trust", signature.public_key(spec.key),
                spec.identity)
    if place.here.exists():
        shutil.rmtree(place.here)
    place.here.mkdir(parents=True)
    if place.state.isolated and spec.kind != engines.DOCKER:
        os.chown(place.here, host_user.ID, host_user.ID)
    copied = [_copy_from_bucket(spec, tool, place.here)] if place.store is None else []
    log = spec.layout.log(f"sandbox:cross:{spec.pipeline}")
    with (host.at_work(place.here.parents[1], spec.pipeline),
          processes.following(log, lambda line: hear(spec.pipeline, line)),
          _probing(spec, place) as probed):
        _run(place, script(spec, place, tool), log)
    run = _run_of(place, spec.pipeline)
    results = place.look("list", str(place.there / TOOL / run / "results"))
    probes.refuse_reached(probed.attempts)
    taken = time.monotonic() - begun
    files.write_json(spec.layout.crossing, schema.check(
        {"pipeline": spec.pipeline, "isolated": state.isolated, "why_not": state.why_not,
         "release": release, "tool": tool, "seconds": round(taken, 1),
         "probed_during_run": probed.during_run, "probes": probed.attempts,
         "run": str(run), "results": results}, "crossing", where=spec.layout.crossing))
    shown = os.path.relpath(place.here / TOOL / run / "results")
    return "\n".join([f"{release} ran on the offline host; {len(results)} results in {shown}",
                      *copied, *_of_probes(probed), *state.shortcomings()])


def _run_of(place: Place, pipeline: str) -> Path:
    """The folder of the crossing's run, from the tool's folder: it began with none."""
    made = sorted((place.here / TOOL).glob(f"runs/{pipeline}/*Z-*"))
    if not made:
        raise HostError("the offline host keeps no run of it", where=place.here / TOOL / "runs",
                        todo="see that its site's file names no other folder in offline.runs")
    return made[-1].relative_to(place.here / TOOL)


def script(spec: CrossSpec, place: Place, tool: str) -> str:
    """The three commands that a user types in an empty folder, after a copy of the tool."""
    allowed = shlex.quote(str(place.trust / "allowed_signers"))
    identity = shlex.quote(spec.identity)
    copied = [f"cp -rL {shlex.quote(f'{place.store}/tool/{tool}/.')} ."] if place.store else []
    lines = [
        *copied,
        f"ssh-keygen -Y verify -f {allowed} -I {identity} -n airlock-tool -s airlock.tar.sig "
        "< airlock.tar &&",
        f"mkdir {TOOL} && tar xf airlock.tar -C {TOOL} && cd {TOOL} &&",
        f"./doit role=prod tool={tool} site={spec.layout.site} pipeline={spec.pipeline}",
    ]
    return "\n".join(lines)


def _carried(spec: CrossSpec) -> tuple[str, str]:
    """The ids of tool and release in the store, from the receipts of their pushes."""
    carried = []
    for path, prefix, name in (
            (spec.layout.of_site.tool_receipt, "tool/", "airlock.tar"),
            (spec.layout.push_receipt("release"), f"releases/{spec.pipeline}/", "SHA256SUMS")):
        objects = schema.read_json(path, "push-receipt")["objects"]
        ids = {stored["key"].removeprefix(prefix).split("/")[0] for stored in objects
               if stored["key"].startswith(prefix) and stored["key"].endswith(f"/{name}")}
        if len(ids) != 1:
            raise HostError(f"the receipt must name one {name} below {prefix}, not {len(ids)}",
                            where=path, todo="remove it, and push again")
        carried.append(ids.pop())
    return carried[0], carried[1]


def _place(spec: CrossSpec, state: State) -> Place:
    sandbox = spec.layout.of_site.sandbox.absolute() / "host"
    here = sandbox / "disk" / spec.pipeline
    store, inside = spec.store.folder, spec.offline_store.folder
    environment = {"PATH": host.path_with(Path(state.python_prefix))}
    if state.isolated:
        return Place(state=state, site=spec.layout.site, kind=spec.kind, here=here,
                     there=host.HOME / spec.pipeline, trust=spec.trust,
                     store=inside if store else None, environment=environment)
    environment["AIRLOCK_TRUST"] = str(sandbox / "trust")
    if store is not None:
        environment["AIRLOCK_OFFLINE_STORE"] = str(store.absolute())
    if spec.engine:
        environment["DOCKER_HOST"] = spec.engine
    return Place(state=state, site=spec.layout.site, kind=spec.kind, here=here, there=here,
                 trust=sandbox / "trust", store=store and store.absolute(),
                 environment=environment)


def _probing(spec: CrossSpec, place: Place) -> AbstractContextManager[probes.Probed]:
    """Try what must be out of reach, while the pipeline runs; nothing where it isn't isolated."""
    if not place.state.isolated:
        return nullcontext(probes.Probed())
    site = spec.layout.of_site
    own = {"the checkout": Path.cwd(), "the cache of carried files": site.blobs.absolute(),
           "the signing key": spec.key.absolute(),
           "the registry's keys": (site.sandbox / "auth").absolute()}
    there = OfflinePaths(site=spec.layout.site, pipeline=spec.pipeline)
    bootstrap = place.here / TOOL / there.bootstrap

    def attempt() -> list[probes.Attempt]:
        images = schema.read_json(bootstrap, "bootstrap")["images"] if bootstrap.is_file() else []
        image = next(iter(images), None) if spec.kind not in engines.SIF_KINDS else None
        return probes.attempt(place.state, place.look, own=own, image=image, kind=spec.kind)

    return probes.during_run(place.site, place.there / TOOL, attempt)


def _of_probes(probed: probes.Probed) -> list[str]:
    if not probed.attempts:
        return []
    when = "during its run" if probed.during_run else "after its run, which was too short"
    refused = sum(attempt["refused"] for attempt in probed.attempts)
    return [f"{refused} of {len(probed.attempts)} attempts to get out, made {when}, were refused"]


def _copy_from_bucket(spec: CrossSpec, tool: str, folder: Path) -> str:
    """What `aws s3 cp --recursive` does on a host that has it.

    HostError where the offline host was given no credentials of its own for the bucket.
    """
    credentials = folder.parent / ".aws"
    if spec.offline_store.folder is None and not credentials.is_dir():
        raise HostError(
            "the offline host has no credentials for the bucket", where=credentials,
            todo="put them there by hand, as for any user of AWS: a file `credentials`, and where "
                 "it takes more, `config`")
    store = open_store(spec.store)
    for stored in schema.read_json(spec.layout.of_site.tool_receipt, "push-receipt")["objects"]:
        name = stored["key"].removeprefix(f"tool/{tool}/")
        if name != stored["key"]:
            store.get(stored["key"], files.inside(folder, name), most=stored["size"])
    return (f"this side copied the tool out of {spec.store.url} into the empty folder, in place of "
            "`aws s3 cp --recursive`")


def _run(place: Place, text: str, log: Path) -> None:
    try:
        place.run("sh", "-exc", text, log=log)
    except CommandError as error:
        printed = log.read_bytes().decode(errors="replace")
        raise CommandError("the crossing failed on the offline host", status=error.status,
                           tail=failed_step(printed) or error.tail, where=log,
                           todo=f"the folder there is {place.there}, here {place.here}") from error


def hear(pipeline: str, line: str) -> None:
    """Log a line of the offline host's doit; what it counts is how far this step is."""
    warning = line.removeprefix("warning ")
    logger.log(logging.INFO if warning == line else logging.WARNING, "%s offline | %s", pipeline,
               warning)
    if count := task_count.DONE.search(line):
        task_count.show(*map(int, count.groups()))


def failed_step(printed: str) -> list[str]:
    """Return what doit said there of the first step that failed, with the cause that it quotes."""
    lines = [line.rstrip() for line in printed.split("\n") if line.strip()]
    start = next((number for number, line in enumerate(lines) if line.startswith("FAILED ")), None)
    return [] if start is None else lines[start:start + QUOTED]
