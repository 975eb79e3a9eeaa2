"""`batch:host`: what an instance of AWS Batch is started with, its user data.

With `carried-cli`, the AWS CLI is brought into the store first: the user data fetches it from
there by its digest. AWS Batch takes MIME multipart alone, and adds a part of its own
(docs.aws.amazon.com/batch/latest/userguide/launch-templates.html).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from tasks.core import files
from tasks.core.aws.paths import BatchSitePaths
from tasks.core.aws.policy import s3_host
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import ConfigError
from tasks.core.schema import check, read_json
from tasks.core.store.lease import pushing
from tasks.core.store.send import Upload, send
from tasks.core.store.store import open_store

ECS_SETTINGS = """\
ECS_IMAGE_PULL_BEHAVIOR=once
ECS_ENABLE_SPOT_INSTANCE_DRAINING=true
ECS_CONTAINER_CREATE_TIMEOUT=10m
ECS_CONTAINER_START_TIMEOUT=10m
ECS_CONTAINER_STOP_TIMEOUT=10m
ECS_MANIFEST_PULL_TIMEOUT=10m"""
"""One pull of an image for all jobs of an instance, and time for large ones: Seqera's guide to AWS
Batch; the names are those of docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-agent-config.
"""
SCRIPT_ECS = Path(__file__).with_name("host_ecs.sh")
SCRIPT_CLI = Path(__file__).with_name("host_cli.sh")
SCRIPT_FUSION = Path(__file__).with_name("host_fusion.sh")
BOUNDARY = "==airlock=="
MAX_USERDATA = 16_384
"""Bytes that EC2 takes."""


@dataclass(frozen=True, kw_only=True)
class HostSpec:
    """How jobs reach their files, and for a carried CLI where it is brought and read.

    `region` is the site's. `sent_to` is the store as this side sees it, `read_from` as instances
    do.
    """

    mode: str
    region: str
    at: BatchSitePaths
    sent_to: StoreAt
    read_from: StoreAt


def make(spec: HostSpec) -> str:
    """Bring the CLI into the store, where one is carried, and write userdata.mime."""
    settings = {"ecs_settings": ECS_SETTINGS}
    if spec.mode == "fusion":
        files.write_bytes(spec.at.userdata, userdata(settings, SCRIPT_ECS, SCRIPT_FUSION))
        return f"{spec.at.userdata}: no CLI is carried, jobs reach their files by Fusion"
    manifest = read_json(spec.at.cli_manifest, "batch-cli")
    settings |= {"region": spec.read_from.region or spec.region, "sha256": manifest["sha256"],
                 "url": object_url(spec.read_from, manifest["key"], spec.region),
                 "size": str(manifest["size"])}
    _send(spec, manifest)
    files.write_bytes(spec.at.userdata, userdata(settings, SCRIPT_ECS, SCRIPT_CLI))
    return f"{spec.at.userdata}: AWS CLI {manifest['version']} from {settings['url']}"


def userdata(settings: Mapping[str, str], *scripts: Path) -> bytes:
    """The user data: one shell script that sets the settings as variables and runs the scripts."""
    lines = [f"{name}={shlex.quote(value)}" for name, value in settings.items()]
    text = "\n".join(["#!/bin/bash", *lines, "",
                        *(script.read_text() for script in scripts)])
    data = (f'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="{BOUNDARY}"\n\n'
            f'--{BOUNDARY}\nContent-Type: text/x-shellscript; charset="us-ascii"\n'
            f'Content-Disposition: attachment; filename="airlock.sh"\n\n'
            f"{text}\n--{BOUNDARY}--\n").encode("ascii")
    if len(data) > MAX_USERDATA:
        raise ConfigError(f"the user data has {len(data)} bytes, and EC2 takes {MAX_USERDATA}",
                          todo="shorten the store's address")
    return data


def object_url(at: StoreAt, key: str, region: str) -> str:
    """Where an object of the store is asked for over HTTP.

    Virtual-hosted at AWS; by path where the bucket's name has dots, which AWS's certificate
    doesn't cover, and on other servers.
    """
    address = urlsplit(at.url)
    if address.scheme != "s3":
        raise ConfigError("instances of AWS Batch can't read the AWS CLI from a folder",
                          where=at.url, todo="set batch.cli.store to a bucket, s3://bucket/prefix")
    path = quote("/".join(part for part in (address.path.strip("/"), key) if part))
    if at.endpoint:
        return f"{at.endpoint.rstrip('/')}/{address.netloc}/{path}"
    host = s3_host(at.region or region)
    return (f"https://{host}/{address.netloc}/{path}" if "." in address.netloc
            else f"https://{address.netloc}.{host}/{path}")


def _send(spec: HostSpec, manifest: Mapping[str, Any]) -> None:
    """Bring archive, manifest and signature into the store; the receipt says what it then holds."""
    at = spec.at
    uploads = [Upload(key=manifest["key"], path=at.cli, sha256=manifest["sha256"],
                      size=manifest["size"])]
    uploads += [Upload.of(f"cli/{manifest['sha256'][:12]}/{path.name}", path)
                for path in (at.cli_manifest, at.cli_signature)]
    store = open_store(spec.sent_to)
    with pushing(store):
        stored = send(store, uploads, title="batch:host")
    receipt = {"store": spec.sent_to.url, "part": "cli", "objects": [
        {"key": held.key, "size": held.size, "sha256": held.sha256,
         **({"tag": held.tag} if held.tag else {})}
        for held in sorted(stored, key=lambda held: held.key)]}
    files.write_json(at.cli_receipt, check(receipt, "push-receipt", where=at.cli_receipt.name))
