"""`batch:explore`: the faults of staging, shown: what a job does without a CLI, or without its CA.

Three jobs run in real containers, by the commands with which Nextflow's nf-amazon stages a task on
AWS Batch (its S3BashLib and AwsBatchScriptLauncher): the job's command brings `.command.run` from
the work folder and runs it, which brings the input, runs the script, and takes the output and the
exit code back. A server of this step stands in for S3.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.batch import explore_image, s3_standin
from tasks.batch.mounted import CLI_PATH, FOLDER
from tasks.core import files
from tasks.core.archives import unpacking
from tasks.core.archives.limits import Bounds
from tasks.core.engine import daemon
from tasks.core.engine.address import Engine
from tasks.core.errors import HostError
from tasks.core.schema import check, read_json
from tasks.core.trust import certificates

if TYPE_CHECKING:
    from docker import DockerClient

CA = "/etc/airlock/ca.crt"
ABSENT_CA = "/etc/pki/tls/certs/ca-bundle.crt"
"""Where a CLI of Amazon Linux looks; a job's image is seldom one of that family."""
WORK = "airlock-explore/work/ab/cdef"
INPUT = b"one\ntwo\nthree\n"
TIMEOUT = 120
"""Seconds for a job; the one that ends well takes five."""
UNPACKED = Bounds(size=2_000_000_000, members=50_000)
"""Of the carried CLI."""

JOB = """\
trap "{{ ret=$?; {aws} s3 cp --only-show-errors .command.log s3://{work}/.command.log || true; \
exit $ret; }}" EXIT
{aws} s3 cp --only-show-errors s3://{work}/.command.run - | bash 2>&1 | tee .command.log
"""
RUN = """\
set -e -o pipefail
cd /tmp
{aws} s3 cp --only-show-errors s3://{work}/input.txt input.txt
wc -l < input.txt > output.txt
{aws} s3 cp --only-show-errors output.txt s3://{work}/output.txt
echo 0 | {aws} s3 cp --only-show-errors - s3://{work}/.exitcode
"""


@dataclass(frozen=True, kw_only=True)
class ExploreSpec:
    """The carried CLI, the engine that runs the jobs, and where the result is written."""

    bundle: Path
    manifest: Path
    region: str
    engine: Engine
    output: Path


@dataclass(frozen=True, kw_only=True)
class Case:
    """One job: whether it has the carried CLI, where that looks for its CA, how it ends.

    `message` is what its log says; of the case that ends well, nothing.
    """

    name: str
    about: str
    carries: bool
    ca: str | None
    exit: int
    message: str


CASES = (
    Case(name="no-cli", about="no CLI in the job's reach", carries=False, ca=None, exit=127,
         message="aws: command not found"),
    Case(name="no-ca", about="a CLI whose CA file isn't there", carries=True, ca=ABSENT_CA, exit=1,
         message="[Errno 2] No such file or directory"),
    Case(name="carried-cli", about="a carried CLI with the right CA", carries=True, ca=CA, exit=0,
         message=""),
)


def explore(spec: ExploreSpec) -> str:
    """Run the jobs, and write explore.json.

    HostError where one ends otherwise than it is to show.
    """
    manifest = read_json(spec.manifest, "batch-cli")
    client = daemon.connect(spec.engine)
    with files.scratch(spec.output.parent, "explore") as folder:
        unpacking.unpack_tar(spec.bundle, folder / "cli", allowed=UNPACKED)
        ca = folder / "tls/ca.crt"
        certificates.make_ca(ca, ca.with_name("ca.key"), name="nf-airlock batch:explore")
        tls = certificates.make_certificate(ca, ca.with_name("ca.key"), address="127.0.0.1")
        with explore_image.imported(client, folder) as image:
            jobs = [_job(client, spec, image, folder, tls, case) for case in CASES]
    result = {"kind": "explore", "engine": spec.engine.url, "cli": manifest["version"],
              "sha256": manifest["sha256"], "region": spec.region, "jobs": jobs,
              "server": "stands in for S3: a server of this step, over TLS with a private CA"}
    files.write_json(spec.output, check(result, "batch-explore", where=spec.output.name))
    others = [job["name"] for job in jobs if not job["shown"]]
    if others:
        raise HostError(f"these jobs ended otherwise than they are to show: {', '.join(others)}",
                        where=spec.output, todo="read their messages there")
    return "\n".join(_line(job) for job in jobs)


def _line(job: Mapping[str, Any]) -> str:
    return f"{job['about']:<32} exit {job['exit']:<4} {job['message'] or 'ends well'}"


def _job(client: DockerClient, spec: ExploreSpec, image: str, folder: Path,
         tls: tuple[Path, Path], case: Case) -> dict[str, Any]:
    aws = f"{CLI_PATH} --region {spec.region}" if case.carries else (
        f"aws --region {spec.region}")
    objects = {f"/{WORK}/.command.run": RUN.format(aws=aws, work=WORK).encode(),
               f"/{WORK}/input.txt": INPUT}
    command = ["bash", "-o", "pipefail", "-c", JOB.format(aws=aws, work=WORK)]
    begun = time.monotonic()
    with s3_standin.serving(*tls, objects) as server:
        environment = {"AWS_ENDPOINT_URL": server.url, "AWS_ACCESS_KEY_ID": "example",
                       "AWS_SECRET_ACCESS_KEY": "example", "AWS_EC2_METADATA_DISABLED": "true",
                       **({"AWS_CA_BUNDLE": case.ca} if case.ca else {})}
        binds = {str(tls[0].with_name("ca.crt")): {"bind": CA, "mode": "ro"}}
        if case.carries:
            binds[str(folder / "cli")] = {"bind": FOLDER, "mode": "ro"}
        with _started(client, image=image, command=command, environment=environment,
                      volumes=binds) as container:
            status = int(container.wait(timeout=TIMEOUT)["StatusCode"])
            log = container.logs().decode(errors="replace").strip()
    message = next((line for line in log.splitlines() if case.message in line),
                   log) if log else ""
    ended_well = objects.get(f"/{WORK}/output.txt") == b"3\n" if case.exit == 0 else True
    return {"name": case.name, "about": case.about, "command": command, "exit": status,
            "message": message, "seconds": round(time.monotonic() - begun, 1),
            "shown": (status == case.exit and ended_well
                      and (case.message in log if case.message else not log))}


@contextmanager
def _started(client: DockerClient, **settings: Any) -> Iterator[Any]:
    """A container in the machine's own network, where the server listens; removed at the end."""
    container = client.containers.create(network_mode="host", **settings)
    try:
        container.start()
        yield container
    finally:
        container.remove(force=True)
