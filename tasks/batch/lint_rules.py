"""What is wrong with a config for AWS Batch: pure functions on what Nextflow resolved.

A finding says what, where and what to do. An error keeps a run from working, or from being what it
should; a warning may.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from tasks.batch.mounted import CLI_PATH
from tasks.batch.settings import Resolved
from tasks.core.config.aws_settings import CARRIED_CLI

ERROR, WARNING = "error", "warning"
SYSTEM_FOLDERS = ("/", "/usr")
"""What a CLI of the host's own packages mounts into each job: its CA isn't there, but in /etc."""
CA_FOLDERS = ("/etc/pki", "/etc/ssl", "/etc")
HOSTS: Mapping[str, tuple[str, ...]] = {
    "wave.enabled": ("wave.seqera.io", "community-cr-prod.seqera.io", "public-cr-prod.seqera.io"),
    "fusion.enabled": ("fusionfs.seqera.io", "licenses.seqera.io", "api.cloud.seqera.io",
                       "cerbero.seqera.io")}
"""What must be reached with Wave and with Fusion, by the guides of their maker."""
UNVERIFIED = re.compile(r"--no-verify-ssl|--no-check-certificate|PYTHONHTTPSVERIFY=0|"
                        r"verify_ssl ?= ?[Ff]alse|GIT_SSL_NO_VERIFY|sslVerify=false|"
                        r"NODE_TLS_REJECT_UNAUTHORIZED=0|disableCertChecking|"
                        r"\bcurl\b[^\n|;&]{0,200}? (?:-k|--insecure)\b")
UNVERIFIED_VARIABLES = {"PYTHONHTTPSVERIFY": "0", "NODE_TLS_REJECT_UNAUTHORIZED": "0",
                        "GIT_SSL_NO_VERIFY": "", "AWS_S3_NO_VERIFY_SSL": ""}
"""Variables of `env` that switch verification off, and the value that does; empty is any."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One fault of a config."""

    rule: str
    severity: str
    what: str
    where: str
    todo: str


@dataclass(frozen=True, kw_only=True)
class Clause:
    """A part of the condition under which jobs need a CLI, with the value that decides it."""

    setting: str
    value: Any
    holds: bool
    where: str


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the rules know besides the config.

    `mode` is the site's; `token`, whether TOWER_ACCESS_TOKEN is set where Nextflow starts; `other`
    the config that runs on this machine resolve to, by profile `standard`. `needs_glibc` says
    whether the carried CLI needs glibc in a job's image.
    """

    mode: str
    token: bool = False
    other: Resolved | None = None
    needs_glibc: bool = True


@dataclass(frozen=True, kw_only=True)
class Config:
    """A config to be judged, and what surrounds it."""

    resolved: Resolved
    around: Surroundings = field(default_factory=lambda: Surroundings(mode=CARRIED_CLI))

    @property
    def runs_on_batch(self) -> bool:
        """Whether any process is for Batch."""
        executors = [value for _, value in self.resolved.of_processes("executor")]
        return "awsbatch" in [*executors, self.resolved.value("executor.name")]


Rule = Callable[[Config], Iterator[Finding]]


def clauses(config: Config) -> list[Clause]:
    """Return the parts of the condition under which a job stages its files by the AWS CLI."""
    resolved = config.resolved
    paths = [path for path, value in resolved.of_processes("executor") if value == "awsbatch"]
    executor = paths[0] if paths else "process.executor"
    work, platform = resolved.text("workDir"), resolved.text("aws.batch.platformType")
    parts = (
        (executor, "awsbatch" if config.runs_on_batch else resolved.value("process.executor"),
         config.runs_on_batch),
        ("workDir", work, work.startswith("s3://")),
        ("aws.batch.platformType", platform or "ec2", platform.lower() != "fargate"),
        ("wave.enabled", resolved.is_on("wave.enabled"), not resolved.is_on("wave.enabled")),
        ("fusion.enabled", resolved.is_on("fusion.enabled"), not resolved.is_on("fusion.enabled")))
    return [Clause(setting=setting, value=value, holds=holds, where=resolved.where(setting))
            for setting, value, holds in parts]


def needs_cli(config: Config) -> bool:
    """Return whether each job stages its files by a CLI: on Batch, from S3, without Fusion.

    Wave alone changes images and stages nothing.
    """
    return all(clause.holds for clause in clauses(config) if clause.setting != "wave.enabled")


def no_cli(config: Config) -> Iterator[Finding]:
    """The report's condition, without a CLI that is mounted: jobs end with `aws: command not
    found`, unless each image holds a CLI of its own."""
    if needs_cli(config) and not _cli_path(config):
        yield Finding(
            rule="no-cli", severity=ERROR, where=config.resolved.where("process.executor"),
            what="no CLI is in the jobs' reach: they stage from S3 by `aws`, aws.batch.cliPath is "
                 "not set, and neither Fusion nor anything else stages for them",
            todo=f"set aws.batch.cliPath = '{CLI_PATH}' and carry the CLI (`doit batch:config`, "
                 "`doit batch:host`); with internet, fusion and wave (`mode: fusion`)")


def cli_without_ca(config: Config) -> Iterator[Finding]:
    """A CLI that runs and whose CA file isn't there: `SSL validation failed … [Errno 2]`."""
    resolved, path = config.resolved, _cli_path(config)
    if not (needs_cli(config) and path):
        return
    mounted = str(PurePosixPath(path).parent.parent)
    volumes = [*_volumes(config), mounted]
    bundle = str(_variable(config, "AWS_CA_BUNDLE") or "")
    if bundle and not _is_below(bundle, volumes):
        yield Finding(
            rule="cli-without-ca", severity=ERROR, where=resolved.where("env.AWS_CA_BUNDLE", "env"),
            what=f"the CLI's CA file isn't there: AWS_CA_BUNDLE names {bundle}, and neither "
                 f"{mounted} nor aws.batch.volumes brings it into the job",
            todo=f"mount it: aws.batch.volumes = ['{PurePosixPath(bundle).parent}'], or leave the "
                 "variable out: a self-contained CLI has its own")
    elif not bundle and mounted in SYSTEM_FOLDERS and not {*volumes} & {*CA_FOLDERS}:
        yield Finding(
            rule="cli-without-ca", severity=ERROR,
            where=resolved.where("aws.batch.cliPath", "executor.awscli"),
            what=f"the CLI's CA file isn't there: {path} mounts the host's {mounted} into each job "
                 "(over the image's own), and that CLI looks for its CA below /etc, which isn't "
                 "mounted",
            todo=f"take a self-contained CLI: cliPath = '{CLI_PATH}' (`doit batch:host`)")


def cli_path(config: Config) -> Iterator[Finding]:
    """Nextflow refuses a path that isn't absolute or doesn't end in /bin/aws."""
    path = _cli_path(config)
    if path and not (path.startswith("/") and path.endswith("/bin/aws")):
        yield Finding(
            rule="cli-path", severity=ERROR, what=f"cliPath is {path!r}, which Nextflow refuses",
            where=config.resolved.where("aws.batch.cliPath", "executor.awscli"),
            todo="it must be absolute and end in /bin/aws: its grandparent is mounted into jobs")


def missing_settings(config: Config) -> Iterator[Finding]:
    """Without a queue, a region or a work folder in S3 no job is submitted."""
    resolved = config.resolved
    if not config.runs_on_batch:
        yield Finding(rule="not-on-batch", severity=ERROR, where=resolved.where("process.executor"),
                      what="no process is for Batch: process.executor is "
                           f"{resolved.value('process.executor')!r}",
                      todo="set process.executor = 'awsbatch' in that profile")
        return
    if not any(value for _, value in resolved.of_processes("queue")):
        yield Finding(rule="no-queue", severity=ERROR, where=resolved.where("process.executor"),
                      what="no job queue is set", todo="set process.queue = 'QUEUE'")
    if not resolved.text("aws.region"):
        yield Finding(rule="no-region", severity=ERROR, where=resolved.where("process.executor"),
                      what="no region is set: each machine would take its own",
                      todo="set aws.region, such as 'us-west-2'")
    if not resolved.text("workDir").startswith("s3://"):
        yield Finding(
            rule="no-work-folder", severity=ERROR, where=resolved.where("workDir"),
            what=f"the work folder is {resolved.text('workDir') or 'work'!r}, not in S3, which is "
                 "all that jobs share", todo="set workDir = 's3://BUCKET/PREFIX' in that profile")


def wave_and_fusion(config: Config) -> Iterator[Finding]:
    """What these two demand of each other, of the network, and of who starts Nextflow."""
    resolved = config.resolved
    wave, fusion = resolved.is_on("wave.enabled"), resolved.is_on("fusion.enabled")
    if fusion and not wave:
        yield Finding(
            rule="fusion-without-wave", severity=ERROR, where=resolved.where("fusion.enabled"),
            what="Fusion is on without Wave, which Nextflow refuses",
            todo="set wave.enabled = true beside it")
    if wave and resolved.is_on("wave.mirror") and resolved.is_on("wave.freeze"):
        yield Finding(
            rule="mirror-with-freeze", severity=ERROR, where=resolved.where("wave.mirror"),
            what="wave.mirror and wave.freeze exclude each other", todo="drop one of the two")
    if (wave or fusion) and not config.around.token and not resolved.value("tower.accessToken"):
        yield Finding(
            rule="no-token", severity=ERROR if fusion else WARNING,
            where=resolved.where("fusion.enabled" if fusion else "wave.enabled"),
            what="no access token is given: " + (
                "Fusion ends without a word" if fusion else "Wave's limits of anonymous use hold"),
            todo="export TOWER_ACCESS_TOKEN where Nextflow starts; never write it into a file")
    if config.around.mode == CARRIED_CLI:
        for setting, hosts in HOSTS.items():
            if resolved.is_on(setting):
                endpoint = _host(resolved.text("wave.endpoint")) if setting[0] == "w" else ""
                named = (endpoint, *hosts[1:]) if endpoint else hosts
                yield Finding(
                    rule="unreachable-hosts", severity=ERROR, where=resolved.where(setting),
                    what=f"{setting} needs {', '.join(named)}, which a network without internet "
                         "doesn't reach (this site's batch.mode is carried-cli)",
                    todo=f"set {setting} = false in that profile (`doit batch:config` does)")


def leaks(config: Config) -> Iterator[Finding]:
    """Settings for Batch that also hold without the profile, so that local runs change."""
    other = config.around.other
    if other is None:
        return
    leaking = [path for path, value in other.of_processes("executor") if value == "awsbatch"]
    leaking += ["process.queue"] if leaking == [] and other.value("process.queue") else []
    leaking += ["executor.name"] if other.value("executor.name") == "awsbatch" else []
    leaking += ["workDir"] if other.text("workDir").startswith("s3://") else []
    leaking += [f"{scope}.enabled" for scope in ("wave", "fusion") if other.is_on(
        f"{scope}.enabled")]
    leaking += ["aws.batch"] if other.value("aws.batch") else []
    for path in leaking:
        yield Finding(
            rule="leak", where=other.where(path),
            severity=WARNING if path in ("aws.batch", "process.queue") else ERROR,
            what=f"{path} holds in profile standard too: runs on this machine are changed by it",
            todo="move it into the profile for Batch")


def unverified_tls(config: Config) -> Iterator[Finding]:
    """Switches that let anyone on the way read and change what jobs stage."""
    resolved = config.resolved
    for path, text in resolved.texts():
        if UNVERIFIED.search(text[:10_000]) and not path.startswith(("params", "manifest")):
            yield _unverified(config, path, "a command switches the verification of TLS off")
    for name, value in UNVERIFIED_VARIABLES.items():
        given = _variable(config, name)
        if given is not None and (not value or str(given) == value):
            yield _unverified(config, f"env.{name}", f"{name} switches the verification of TLS off")
    for path in ("aws.client.endpoint", "wave.endpoint", "tower.endpoint"):
        url = resolved.text(path)
        if url.startswith("http://") and _host(url) not in ("127.0.0.1", "localhost"):
            yield _unverified(config, path, f"{url} is without TLS")
    if resolved.text("aws.client.protocol").upper() == "HTTP":
        yield _unverified(config, "aws.client.protocol", "S3 is asked without TLS")


def _unverified(config: Config, path: str, what: str) -> Finding:
    return Finding(rule="unverified-tls", severity=ERROR, what=what,
                   where=config.resolved.where(path),
                   todo="remove it; for a private CA mount its bundle (aws.batch.volumes) and name "
                        "it in AWS_CA_BUNDLE")


def _cli_path(config: Config) -> str:
    return config.resolved.text("aws.batch.cliPath") or config.resolved.text("executor.awscli")


def _volumes(config: Config) -> list[str]:
    """The paths in jobs of aws.batch.volumes: HOST[:JOB[:MODE]], in a list or with commas."""
    value = config.resolved.value("aws.batch.volumes")
    listed = value if isinstance(value, list) else str(value or "").split(",")
    parts = [str(volume).strip().split(":") for volume in listed if str(volume).strip()]
    return [(part[1] if len(part) > 1 and part[1].startswith("/") else part[0]).rstrip("/") or "/"
            for part in parts]


def _variable(config: Config, name: str) -> Any:
    """A variable of every task: of `env`, or of containerOptions."""
    value = config.resolved.value("env")
    given = value.get(name) if isinstance(value, Mapping) else None
    if given is None:
        options = str(config.resolved.value("process.containerOptions") or "")
        match = re.search(rf"{name}=([^\s'\"]*)", options)
        given = match[1] if match else None
    return given


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_below(path: str, folders: Collection[str]) -> bool:
    return any(PurePosixPath(path).is_relative_to(folder) for folder in folders)


RULES: tuple[Rule, ...] = (missing_settings, no_cli, cli_without_ca, cli_path, wave_and_fusion,
                           leaks, unverified_tls)
