"""Whether environment and queue would run a job, and whether every process fits an instance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tasks.batch.infra_plan import BLOCKED, DIFFERS, connect, plan
from tasks.batch.infra_resource import ask
from tasks.batch.infra_settings import InfraSpec
from tasks.batch.lint_processes import amount
from tasks.batch.settings import Resolved
from tasks.core.aws.session import Session
from tasks.core.findings import FAIL, OK, UNKNOWN, WARN, Finding

OPTIMAL = ("c4", "m4", "r4", "c5", "m5", "r5")
"""The families of `optimal` and the default ones: AWS Batch user guide, "Compute environment
parameters"; which of them, hangs on the region."""
FAMILIES_OF = {"optimal": OPTIMAL, "default_x86_64": ("c5", "m5", "r5", "c6i", "m6i", "r6i"),
               "default_arm64": ("c6g", "m6g", "r6g", "c7g", "m7g", "r7g")}
AGENT_SHARE = 0.04
"""Of an instance's memory, about what its system and the ECS agent keep for themselves."""
GIB = 1 << 30
APPLY = "doit batch:infra:apply"


def compute(session: Session, spec: InfraSpec) -> Iterator[Finding]:
    """Say whether environment and queue are VALID and ENABLED, and belong together."""
    environments = ask(session, "batch", "describe_compute_environments",
                         computeEnvironments=[spec.batch.environment])["computeEnvironments"]
    queues = ask(session, "batch", "describe_job_queues",
                   jobQueues=[spec.batch.queue])["jobQueues"]
    yield _working("environment", spec.batch.environment, spec, environments)
    yield _working("queue", spec.batch.queue, spec, queues)
    if environments and queues:
        order = [place["computeEnvironment"] for place in queues[0]["computeEnvironmentOrder"]]
        if environments[0]["computeEnvironmentArn"] not in order:
            yield Finding(check="compute", status=FAIL, cure=APPLY,
                          text=f"the queue {spec.batch.queue} doesn't lead to "
                               f"{spec.batch.environment}")


def settings(session: Session, spec: InfraSpec) -> Iterator[Finding]:
    """Say what of Batch's resources isn't as the site's settings say."""
    if not spec.at.userdata.is_file():
        yield Finding(check="settings", status=UNKNOWN, cure="doit batch:host",
                      text="there is no user data to compare the launch template with")
        return
    lines = plan(connect(spec, session, spec.at.userdata.read_bytes()), session)
    differing = [line for line in lines if line.state in (DIFFERS, BLOCKED)]
    for line in differing:
        yield Finding(check="settings", status=WARN, cure=APPLY,
                      text=f"{line.resource.kind} {line.resource.name} differs from the site's "
                           f"settings: {', '.join(line.differences)}")
    if not differing:
        yield Finding(check="settings", status=OK, text="all that is there is as the site says")


def sizes(session: Session, spec: InfraSpec, config: Mapping[str, Any]) -> Iterator[Finding]:
    """Say which processes no instance has room for: Nextflow waits for these for ever (nf#5897)."""
    vcpus, memory, name = largest(session, spec.batch.instance_types)
    most = {"cpus": float(min(vcpus, spec.batch.max_vcpus)), "memory": memory * (1 - AGENT_SHARE)}
    resolved, too_large, count = Resolved(config=config), [], 0
    for directive, limit in most.items():
        for path, value in resolved.of_processes(directive):
            wanted = amount(value)
            count += wanted is not None
            if wanted is not None and wanted[0] > limit:
                too_large.append((path, value))
    shown = f"{most['cpus']:.0f} vCPUs and {most['memory'] / GIB:.0f} GiB ({name}, max_vcpus " \
            f"{spec.batch.max_vcpus})"
    for path, value in too_large:
        yield Finding(check="sizes", status=FAIL,
                      text=f"{path} asks for {value}, and there is room for {shown}",
                      cure="larger batch.instance_types or batch.max_vcpus, or limit it by "
                           "batch.limits and doit batch:config")
    if not too_large:
        yield Finding(check="sizes", status=OK,
                      text=f"{count} sizes of processes fit {shown}")


def largest(session: Session, types: Sequence[str]) -> tuple[int, int, str]:
    """Return the most vCPUs and bytes of memory that one instance has, and a type with them."""
    patterns = [pattern for kind in types
                for pattern in ([f"{family}.*" for family in FAMILIES_OF[kind]]
                                if kind in FAMILIES_OF else
                                [kind if "." in kind else f"{kind}.*"])]
    listed = ask(session, "ec2", "describe_instance_types", Filters=[
        {"Name": "instance-type", "Values": patterns}])["InstanceTypes"]
    sizes_here = [(one["VCpuInfo"]["DefaultVCpus"], one["MemoryInfo"]["SizeInMiB"] << 20,
              one["InstanceType"]) for one in listed if ".metal" not in one["InstanceType"]]
    vcpus, _, name = max(sizes_here, default=(0, 0, f"no {', '.join(types)} in this region"))
    return vcpus, max((memory for _, memory, _ in sizes_here), default=0), name


def _working(kind: str, name: str, spec: InfraSpec, listed: Sequence[dict[str, Any]]) -> Finding:
    if not listed:
        return Finding(check="compute", status=FAIL, cure=f"{APPLY}, or correct the name",
                       text=f"there is no {kind} {name} in {spec.aws.region}, if aws.region is "
                            "right")
    state, status = listed[0]["state"], listed[0]["status"]
    text = f"{kind} {name} is {status} and {state}"
    if status == "VALID" and state == "ENABLED":
        return Finding(check="compute", status=OK, text=text)
    reason = listed[0].get("statusReason", "")
    moving = status.endswith("ING") and state == "ENABLED"
    return Finding(check="compute", status=WARN if moving else FAIL, text=f"{text}: {reason}",
                   cure="wait a minute, then ask again" if moving else f"mend that, then {APPLY}")
