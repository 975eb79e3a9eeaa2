"""`batch:cli` and `batch:cli-sign`: the AWS CLI as instances get it, and who says that it is right.

It is an archive of one folder with `bin/aws`, which works wherever it is mounted, read-only too:
Nextflow shows it to each job (`aws.batch.cliPath`).
"""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from platform import machine
from typing import Any

from tasks.batch import cli_aws, cli_pypi
from tasks.batch.cli_aws import Zip
from tasks.core import files, processes
from tasks.core.config.settings import Signing
from tasks.core.errors import CommandError, ConfigError, HostError
from tasks.core.machine_names import MACHINES
from tasks.core.schema import check
from tasks.core.trust import checksums, signature

START_TIMEOUT = 120
"""Seconds for `aws --version`; it takes one."""


@dataclass(frozen=True, kw_only=True)
class CliSpec:
    """Which CLI: AWS's zip of a version, or without these the one that is made here.

    `index` is the site's own place for PyPI; without it, pip's own settings say.
    """

    platform: str
    version: str | None
    zip: Zip | None
    bundle: Path
    manifest: Path
    index: str | None = None


@dataclass(frozen=True, kw_only=True)
class SignCliSpec:
    """The manifest that is signed, and with what."""

    manifest: Path
    signing: Signing


def make(spec: CliSpec) -> str:
    """Write the archive, and cli.json with its digest.

    HostError where it doesn't run here, though it was made for this machine's platform.
    """
    with files.scratch(spec.bundle.parent, "cli") as scratch:
        folder = scratch / "cli"
        folder.mkdir()
        if spec.zip:
            cli_aws.build(folder, spec.zip, scratch)
        else:
            _demand_own_platform(spec.platform)
            cli_pypi.build(folder, spec.index)
        version = spec.version or _version(folder)
        paths = files.tree(folder)
        unpacked = sum(path.lstat().st_size for path in paths)
        files.write_tar(scratch / "cli.tar", folder, paths)
        with (scratch / "cli.tar").open("rb") as reader, files.atomic(spec.bundle) as writer, \
                gzip.GzipFile(filename="", fileobj=writer, mode="wb", compresslevel=6,
                              mtime=0) as packed:
            shutil.copyfileobj(reader, packed, files.CHUNK)
    manifest = _manifest(spec, version, unpacked)
    files.write_json(spec.manifest, check(manifest, "batch-cli", where=spec.manifest.name))
    return (f"AWS CLI {version} from {manifest['source']}: {files.human_size(unpacked)}, "
            f"{files.human_size(manifest['size'])} packed")


def sign(spec: SignCliSpec) -> str:
    """Write cli.json.sig."""
    signature.ready(spec.signing.key, create=spec.signing.create, identity=spec.signing.identity)
    signature.seal(spec.manifest, spec.signing.key, namespace=signature.CLI)
    return f"{spec.manifest} signed as {spec.signing.identity}"


def _manifest(spec: CliSpec, version: str, unpacked: int) -> Mapping[str, Any]:
    digest = files.sha256(spec.bundle)
    return {"kind": "cli", "source": "aws" if spec.zip else "pypi", "version": version,
            "platform": spec.platform, "libc": "glibc" if spec.zip else "own", "sha256": digest,
            "size": spec.bundle.stat().st_size, "unpacked": unpacked,
            "key": checksums.blob_key(spec.bundle.name, digest)}


def _demand_own_platform(platform: str) -> None:
    if MACHINES[platform] != machine():
        raise ConfigError(f"an AWS CLI for {platform} can't be made on {machine()}",
                          todo="set batch.cli to AWS's own: source, version, sha256")


def _version(folder: Path) -> str:
    """The version, as the CLI itself says it once it runs: `aws-cli/1.46.3 Python/…`"""
    try:
        printed = processes.run([folder / "bin/aws", "--version"], timeout=START_TIMEOUT,
                                env={"PATH": "/usr/bin:/bin"})
    except CommandError as error:
        raise HostError(f"the AWS CLI that was made doesn't run: {error}",
                        todo="set batch.cli to AWS's own: source, version, sha256") from error
    return printed.split()[0].removeprefix("aws-cli/")
