"""The real executor of AWS Batch, against moto, whose jobs are real containers.

The plugin is in no registry that tests reach: AIRLOCK_NF_AMAZON names its zip, where a site has it.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tasks.batch import config, explore_image, trials
from tasks.batch.lint_rules import CLI_PATH
from tasks.core import files
from tasks.core.archives import unpacking, zips
from tasks.core.archives.limits import Bounds
from tasks.core.aws.session import Session
from tasks.core.config.aws_settings import Aws
from tasks.core.engine import daemon
from tasks.core.engine.address import Engine
from tasks.core.errors import CommandError
from tasks.core.nextflow.machine import this_machine
from tasks.runtime import build as runtimes
from tests.kit import aws, carried_cli, engines, machine, tls
from tests.kit.aws import Front
from tests.kit.web import running

PLUGIN = os.environ.get("AIRLOCK_NF_AMAZON")
pytestmark = pytest.mark.skipif(
    not PLUGIN, reason="no nf-amazon: AIRLOCK_NF_AMAZON names no zip of that plugin")
SERVICES = ("s3", "batch", "ecs", "ec2", "logs", "sts", "iam")
REGION = "us-west-2"
BUCKET = "airlock-work"
CA = "/ca.crt"
SDK = """\
<XML><Regions><Region><Name>{region}</Name><Domain>amazonaws.com</Domain>{endpoints}</Region></Regions></XML>
"""
ENDPOINT = ("<Endpoint><ServiceName>{name}</ServiceName><Http>false</Http><Https>true</Https>"
            "<Hostname>{name}.{region}.amazonaws.com:{port}</Hostname></Endpoint>")


@dataclass(frozen=True, kw_only=True)
class Stand:
    """AWS by moto: over plain HTTP for Nextflow's S3, over TLS for all else, and an engine."""

    front: Front
    secure: Front
    engine: engines.Engine
    certificate: Path
    folder: Path


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("executor")
    machine.need("keytool")
    names = ",".join(["IP:127.0.0.1", *(f"DNS:{name}.{REGION}.amazonaws.com" for name in SERVICES)])
    certificate, key = tls.self_signed(folder, "aws", address=names)
    with engines.docker(folder / "docker") as engine, aws.standing_in(environment={
            "DOCKER_HOST": engine.command[-1], "MOTO_DOCKER_NETWORK_MODE": "host"}) as front, \
            running(Front(front.moto_port, tls=(certificate, key))) as secure:
        yield Stand(front=front, secure=secure, engine=engine, certificate=certificate,
                    folder=folder)


@pytest.fixture(scope="module")
def queue(stand: Stand) -> str:
    """A queue with its environment, and the bucket of the work folder."""
    with pytest.MonkeyPatch.context() as here:
        for name, value in {**aws.CREDENTIALS, "AWS_CA_BUNDLE": str(stand.certificate)}.items():
            here.setenv(name, value)
        session = Session(Aws(region=REGION, endpoint=stand.secure.url))
        session.client("s3").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        ec2, iam, batch = (session.client(name) for name in ("ec2", "iam", "batch"))
        subnet = ec2.describe_subnets()["Subnets"][0]
        group = ec2.create_security_group(GroupName="jobs", Description="jobs",
                                          VpcId=subnet["VpcId"])["GroupId"]
        iam.create_role(RoleName="instances", AssumeRolePolicyDocument="{}")
        profile = iam.create_instance_profile(InstanceProfileName="instances")["InstanceProfile"]
        environment = batch.create_compute_environment(
            computeEnvironmentName="environment", type="MANAGED", state="ENABLED",
            computeResources={
                "type": "EC2", "minvCpus": 0, "maxvCpus": 4, "instanceTypes": ["optimal"],
                "subnets": [subnet["SubnetId"]], "securityGroupIds": [group],
                "instanceRole": profile["Arn"]})["computeEnvironmentArn"]
        while batch.describe_compute_environments()["computeEnvironments"][0]["status"] != "VALID":
            pass
        batch.create_job_queue(jobQueueName="queue", priority=1, state="ENABLED",
                               computeEnvironmentOrder=[{"order": 1,
                                                         "computeEnvironment": environment}])
    return "queue"


def options(stand: Stand) -> str:
    """What leads the AWS SDK of Nextflow's Java to the stand-in, and makes it trusted there."""
    endpoints = "".join(ENDPOINT.format(name=name, region=REGION, port=stand.secure.server_port)
                        for name in SERVICES)
    (stand.folder / "regions.xml").write_text(SDK.format(region=REGION, endpoints=endpoints))
    (stand.folder / "hosts").write_text("127.0.0.1 localhost " + " ".join(
        f"{name}.{REGION}.amazonaws.com" for name in SERVICES) + "\n")
    store = stand.folder / "trust.p12"
    if not store.exists():
        subprocess.run(["keytool", "-importcert", "-noprompt", "-alias", "aws", "-file",
                        stand.certificate, "-keystore", store, "-storetype", "PKCS12",
                        "-storepass", "changeit"], check=True, capture_output=True)
    return " ".join([f"-Dcom.amazonaws.regions.RegionUtils.fileOverride={stand.folder}/regions.xml",
                     f"-Djdk.net.hosts.file={stand.folder}/hosts",
                     f"-Djavax.net.ssl.trustStore={store}", "-Djavax.net.ssl.trustStoreType=PKCS12",
                     "-Djavax.net.ssl.trustStorePassword=changeit"])


@pytest.fixture
def image(stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """bash and coreutils of this machine, and ps, in a real image."""
    monkeypatch.setattr(explore_image, "PROGRAMS", (
        *explore_image.PROGRAMS, "awk", "basename", "cp", "chmod", "cut", "date", "dirname", "env",
        "find", "grep", "head", "ls", "ln", "mktemp", "mv", "nproc", "od", "ps", "rm", "sed",
        "sleep", "sort", "tail", "touch", "tr", "uname", "uniq"))
    client = daemon.connect(Engine(url=stand.engine.command[-1]))
    with explore_image.imported(client, tmp_path / "image") as reference:
        yield reference


def with_environment(stand: Stand, image: str, variables: dict[str, str]) -> str:
    """The image with further variables for its jobs: credentials, and where S3 is; and the CA."""
    name = f"{image}-{len(variables)}"
    changes = [word for key, value in variables.items()
               for word in ("--change", f"ENV {key}={value}")]
    container = stand.engine.run("create", image, "true").stdout.strip()
    for source, target in ((str(stand.certificate), CA), ("/etc/os-release", "/etc/os-release")):
        stand.engine.run("cp", "--follow-link", source, f"{container}:{target}")
    stand.engine.run("commit", *changes, container, name)
    stand.engine.run("rm", container)
    return name


def spec(stand: Stand, runtime: runtimes.Runtime, queue: str, folder: Path, *, image: str,
         cli: str | None) -> trials.TrialSpec:
    """The first trial, on Batch, by the config that batch:config writes."""
    rendered = config.render(config.ConfigSpec(
        pipeline="trial", profile="aws", mode="carried-cli", queue=queue,
        work=f"s3://{BUCKET}/work", region=REGION, endpoint=stand.front.url, code=folder,
        scan=folder, config=folder, patch=folder), [])
    own = folder / "aws.config"
    given = f"aws.batch.cliPath = '{cli}'\n" if cli else ""
    rendered = rendered.replace(f"        cliPath = '{CLI_PATH}'\n", "")
    own.write_text(rendered + given)
    plugins = folder / "plugins.tar"
    unpacked = folder / "plugins"
    name = Path(str(PLUGIN)).stem
    zips.unpack_zip(Path(str(PLUGIN)), unpacked / name,
                    allowed=Bounds(size=2 * 10**9, members=20_000))
    files.write_tar(plugins, unpacked, files.tree(unpacked))
    return trials.TrialSpec(
        pipeline="trial", trial="basic", runtime=runtime.archive, plugins=plugins,
        folder=folder / "trial", receipt=folder / "receipt.json", log=folder / "trial.log",
        machine=this_machine(os.environ), place=trials.Place(
            kind="batch", mode="carried-cli", engine=Engine(url=stand.engine.command[-1]),
            registries={}, config=own, work=f"s3://{BUCKET}/work", images={"basic": image},
            variables={**aws.CREDENTIALS, "NXF_OPTS": options(stand)}))


def unpacked_cli(folder: Path) -> str:
    bundle = carried_cli.carried() / carried_cli.BUNDLE
    unpacking.unpack_tar(bundle, folder / "airlock-cli",
                         allowed=Bounds(size=2 * 10**9, members=50_000))
    return str(folder / "airlock-cli/bin/aws")


def said(trial: trials.TrialSpec) -> str:
    """All that the run wrote, its job's log among it."""
    return "\n".join(path.read_text(errors="replace") for path in
                     (trial.log, trial.log.with_suffix(".nextflow.log")) if path.is_file())


def test_a_job_with_the_carried_cli_ends_well(
        stand: Stand, runtime: runtimes.Runtime, queue: str, image: str, tmp_path: Path) -> None:
    job = with_environment(stand, image, {
        **aws.CREDENTIALS, "AWS_ENDPOINT_URL": stand.secure.url, "AWS_DEFAULT_REGION": REGION,
        "AWS_CA_BUNDLE": CA,
        # What is sent in chunks, moto's front doesn't read.
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required"})
    trial = spec(stand, runtime, queue, tmp_path, image=job, cli=unpacked_cli(tmp_path))
    assert "a job starts in a container" in trials.run_trial(trial)
    receipt: dict[str, Any] = json.loads(trial.receipt.read_text())
    assert receipt["where"] == "batch"
    assert receipt["jobs"][0]["status"] == "COMPLETED"
    assert receipt["jobs"][0]["staged"] > receipt["jobs"][0]["run"]


def test_a_job_without_a_cli_ends_with_127(
        stand: Stand, runtime: runtimes.Runtime, queue: str, image: str, tmp_path: Path) -> None:
    trial = spec(stand, runtime, queue, tmp_path, image=image, cli=None)
    with pytest.raises(CommandError) as caught:
        trials.run_trial(trial)
    assert "127" in said(trial)
    assert "basic: a job starts in a container" in str(caught.value)
