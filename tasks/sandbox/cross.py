"""The crossing: on the offline host, from an empty folder, with the store and trust alone."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import files, processes, schema, signature
from tasks.core.config import StoreAt
from tasks.core.errors import CommandError, HostError, IntegrityError
from tasks.core.layout import Layout
from tasks.core.store import open_store
from tasks.sandbox import host, trust
from tasks.sandbox.plan import State, local_folder

PUBLIC = "198.41.0.4:53"
"""A root name server (https://root-servers.org): an address that any network with a way out has."""

PASSED_TO_BUCKETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
                     "AWS_CA_BUNDLE")
"""What an offline host with a bucket has of its own; a host with a disk gets none of it."""


@dataclass(frozen=True, kw_only=True)
class CrossSpec:
    """What the crossing of a pipeline reads: two receipts, and what is given by hand."""

    pipeline: str
    layout: Layout
    key: Path
    identity: str
    store: StoreAt
    offline_store: StoreAt
    trust: Path


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

    def run(self, *words: str | Path, stdin: bytes | None = None, cwd: Path | None = None,
            log: Path | None = None) -> str:
        """Run a command there; CommandError as from core's `processes.run`."""
        if self.state.isolated:
            return host.run_inside(self.site, words, cwd=cwd or self.there, stdin=stdin, log=log,
                                   env=self.environment)
        return processes.run(words, cwd=cwd or self.here, stdin=stdin, log=log,
                             env={"PATH": host.PATH, "HOME": str(self.here.parent),
                                  "LANG": "C.UTF-8", **self.environment})

    def look(self, verb: str, argument: str) -> Any:
        """What inside.py answers there."""
        script = Path(__file__).with_name("inside.py").read_bytes()
        told = self.run(self.state.python, "-I", "-", verb, argument, stdin=script, cwd=Path("/"))
        return json.loads(told)


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
    if place.store is None:
        _copy_from_bucket(spec, place.here)
    log = spec.layout.log(f"sandbox:cross:{spec.pipeline}")
    with (host.at_work(place.here.parents[1], spec.pipeline),
          host.shown(log, f"{spec.pipeline} offline | ")):
        _run(place, script(spec, place, tool), log)
    probes = place.look("probe", json.dumps(targets(state))) if state.isolated else []
    results = place.look("list", str(place.there / "results"))
    _refuse_reached(probes)
    taken = time.monotonic() - begun
    files.write_json(spec.layout.crossing, schema.check(
        {"pipeline": spec.pipeline, "isolated": state.isolated, "why_not": state.why_not,
         "release": release, "tool": tool, "seconds": round(taken, 1), "probes": probes,
         "results": results}, "crossing", where=spec.layout.crossing))
    shown = os.path.relpath(place.here / "results")
    said = f"{release} ran on the offline host; {len(results)} results in {shown}"
    return said if state.isolated else f"{said}\nNOT ISOLATED: {state.why_not}"


def script(spec: CrossSpec, place: Place, tool: str) -> str:
    """The three commands that a user types in an empty folder, after a copy of the tool."""
    allowed = shlex.quote(str(place.trust / "allowed_signers"))
    identity = shlex.quote(spec.identity)
    lines = [f"cp -r {shlex.quote(f'{place.store}/tool/{tool}/.')} ."] if place.store else []
    lines += [
        f"ssh-keygen -Y verify -f {allowed} -I {identity} -n airlock -s SHA256SUMS.sig "
        "< SHA256SUMS",
        "sha256sum -c SHA256SUMS",
        f"tar xf airlock.tar && ./doit role=prod site={spec.layout.site} pipeline={spec.pipeline}",
    ]
    return "\n".join(lines)


def targets(state: State) -> list[dict[str, str]]:
    """What must be out of the offline host's reach: the internet, and this side's files."""
    found = [
        ("the internet's file server", "tcp", f"127.0.0.1:{state.files_port}"),
        ("the internet's registry", "tcp", f"127.0.0.1:{state.registry_port}"),
        ("an address of the internet", "tcp", PUBLIC),
        ("a name of the internet", "name", "quay.io"),
        ("the checkout", "path", str(Path.cwd())),
        *(("the home folder", "path", str(each)) for each in _home(Path(state.python_prefix))),
    ]
    if state.engine:
        found.append(("the online engine's socket", "path", state.engine))
    return [{"what": what, "kind": kind, "target": target} for what, kind, target in found]


def _home(python: Path) -> list[Path]:
    """The home folder, or its entries where it holds the Python that the offline host shares."""
    home = Path.home()
    if home not in python.parents:
        return [home]
    return [each for each in sorted(home.iterdir()) if each not in (python, *python.parents)]


def _carried(spec: CrossSpec) -> tuple[str, str]:
    """The ids of tool and release in the store, from the receipts of their pushes."""
    found = []
    for path, prefix in ((spec.layout.of_site.tool_receipt, "tool/"),
                         (spec.layout.push_receipt("release"), f"releases/{spec.pipeline}/")):
        objects = schema.read_json(path, "push-receipt")["objects"]
        ids = {each["key"].removeprefix(prefix).split("/")[0] for each in objects
               if each["key"].startswith(prefix) and each["key"].endswith("/SHA256SUMS")}
        if len(ids) != 1:
            raise HostError(f"the receipt must name one SHA256SUMS below {prefix}, "
                            f"not {len(ids)}", where=path, todo="remove it, and push again")
        found.append(ids.pop())
    return found[0], found[1]


def _place(spec: CrossSpec, state: State) -> Place:
    sandbox = spec.layout.of_site.sandbox.absolute() / "host"
    here = sandbox / "disk" / spec.pipeline
    store, inside = local_folder(spec.store.url), local_folder(spec.offline_store.url)
    environment = {"PATH": host.path_with(Path(state.python_prefix))}
    if store is None:
        environment |= {name: os.environ[name] for name in PASSED_TO_BUCKETS if name in os.environ}
    if state.isolated:
        return Place(state=state, site=spec.layout.site, here=here,
                     there=host.HOME / spec.pipeline, trust=spec.trust,
                     store=inside if store else None, environment=environment)
    environment["AIRLOCK_TRUST"] = str(sandbox / "trust")
    if store is not None:
        environment["AIRLOCK_OFFLINE_STORE"] = str(store.absolute())
    if engine := os.environ.get("AIRLOCK_ENGINE"):
        environment["DOCKER_HOST"] = engine
    return Place(state=state, site=spec.layout.site, here=here, there=here,
                 trust=sandbox / "trust", store=store and store.absolute(),
                 environment=environment)


def _copy_from_bucket(spec: CrossSpec, folder: Path) -> None:
    """What `aws s3 cp --recursive` does on a host that has it."""
    store = open_store(spec.store)
    for each in schema.read_json(spec.layout.of_site.tool_receipt, "push-receipt")["objects"]:
        _, _, name = each["key"].removeprefix("tool/").partition("/")
        store.get(each["key"], files.inside(folder, name))


def _run(place: Place, text: str, log: Path) -> None:
    try:
        place.run("sh", "-exc", text, log=log)
    except CommandError as error:
        raise CommandError("the crossing failed on the offline host", status=error.status,
                           tail=error.tail, where=log,
                           todo=f"the folder there is {place.there}, here {place.here}") from error


def _refuse_reached(probes: list[dict[str, Any]]) -> None:
    reached = [f"  {each['what']}: {each['target']}: {each['detail']}" for each in probes
               if not each["refused"]]
    if reached:
        raise IntegrityError("the offline host reaches what it must not:\n" + "\n".join(reached),
                             todo="`doit sandbox:down`, then the same command again")
