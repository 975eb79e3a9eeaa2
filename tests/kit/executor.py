"""The real executor of AWS Batch, led to moto, whose jobs are containers of a real engine.

The plugin is in no registry that tests reach: AIRLOCK_NF_AMAZON names its zip, where a site has it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.batch import config
from tasks.batch.mounted import CLI_PATH
from tasks.core import files
from tasks.core.archives import unpacking, zips
from tasks.core.archives.limits import Bounds
from tasks.core.aws.session import Session
from tasks.core.config.aws_settings import Aws
from tests.kit import aws, carried_cli, machine, tls
from tests.kit.aws import Front
from tests.kit.engines import Engine
from tests.kit.web import running

PLUGIN = os.environ.get("AIRLOCK_NF_AMAZON")
needs_plugin = pytest.mark.skipif(
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
    engine: Engine
    certificate: Path
    folder: Path


@contextmanager
def standing(engine: Engine, folder: Path) -> Iterator[Stand]:
    """AWS whose jobs run in an engine, with a queue and the bucket of the work folder."""
    machine.need("keytool")
    names = ",".join(["IP:127.0.0.1", *(f"DNS:{name}.{REGION}.amazonaws.com" for name in SERVICES)])
    certificate, key = tls.self_signed(folder, "aws", address=names)
    with aws.standing_in(environment={
            "DOCKER_HOST": engine.command[-1], "MOTO_DOCKER_NETWORK_MODE": "host"}) as front, \
            running(Front(front.moto_port, tls=(certificate, key))) as secure:
        stand = Stand(front=front, secure=secure, engine=engine, certificate=certificate,
                      folder=folder)
        _make_queue(stand)
        yield stand


def _make_queue(stand: Stand) -> None:
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


def led_to(stand: Stand, image: str, name: str) -> str:
    """The image under another name, with what leads its jobs' CLI to S3: variables and the CA."""
    variables = {
        **aws.CREDENTIALS, "AWS_ENDPOINT_URL": stand.secure.url, "AWS_DEFAULT_REGION": REGION,
        "AWS_CA_BUNDLE": CA,
        # What is sent in chunks, moto's front doesn't read.
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required"}
    changes = [word for key, value in variables.items()
               for word in ("--change", f"ENV {key}={value}")]
    container = stand.engine.run("create", image, "true").stdout.strip()
    for source, target in ((str(stand.certificate), CA), ("/etc/os-release", "/etc/os-release")):
        stand.engine.run("cp", "--follow-link", source, f"{container}:{target}")
    stand.engine.run("commit", *changes, container, name)
    stand.engine.run("rm", container)
    return name


def settings(stand: Stand, folder: Path, *, cli: str | None, more: str = "") -> Path:
    """The file that batch:config writes, with another place of the CLI, or without it."""
    text = config.render(config.ConfigSpec(
        pipeline="trial", profile="aws", mode="carried-cli", queue="queue",
        work=f"s3://{BUCKET}/work", region=REGION, endpoint=stand.front.url, code=folder,
        scan=folder, config=folder, patch=folder), [])
    path = folder / "aws.config"
    path.write_text(text.replace(f"        cliPath = '{CLI_PATH}'\n", "")
                    + (f"aws.batch.cliPath = '{cli}'\n" if cli else "") + more)
    return path


def plugins(folder: Path) -> Path:
    """The archive of plugins that holds the executor."""
    unpacked = folder / "plugins"
    zip_file = Path(str(PLUGIN))
    zips.unpack_zip(zip_file, unpacked / zip_file.stem,
                    allowed=Bounds(size=2 * 10**9, members=20_000))
    files.write_tar(folder / "plugins.tar", unpacked, files.tree(unpacked))
    return folder / "plugins.tar"


def unpacked_cli(folder: Path) -> str:
    """The program of the carried CLI, unpacked where jobs can be shown it."""
    unpacking.unpack_tar(carried_cli.carried() / carried_cli.BUNDLE, folder / "airlock-cli",
                         allowed=Bounds(size=2 * 10**9, members=50_000))
    return str(folder / "airlock-cli/bin/aws")


def variables(stand: Stand) -> Mapping[str, str]:
    """Of the environment, what a run on Batch is given here."""
    return {**aws.CREDENTIALS, "NXF_OPTS": options(stand)}
