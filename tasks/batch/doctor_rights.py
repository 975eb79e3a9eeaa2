"""Whether roles may do what a run on Batch needs, by AWS's own simulation of their policies.

Three do something: who makes Batch's resources, the instances, and the head node with Nextflow.
What the head node calls is in Nextflow's documentation ("AWS security credentials", aws.mdx), what
batch:infra:* call in our own tests, which compare this list with the calls that were made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tasks.batch.infra_iam import OBJECT_ACTIONS
from tasks.batch.infra_resource import ask
from tasks.batch.infra_settings import InfraSpec
from tasks.core.aws.policy import partition, s3_host
from tasks.core.aws.session import Session
from tasks.core.findings import FAIL, OK, UNKNOWN, Finding
from tasks.core.frozen import frozen

APPLIER = (
    "batch:CreateComputeEnvironment", "batch:CreateJobQueue", "batch:DeleteComputeEnvironment",
    "batch:DeleteJobQueue", "batch:DescribeComputeEnvironments", "batch:DescribeJobQueues",
    "batch:TagResource", "batch:UpdateComputeEnvironment", "batch:UpdateJobQueue",
    "ec2:AuthorizeSecurityGroupIngress", "ec2:CreateLaunchTemplate",
    "ec2:CreateLaunchTemplateVersion", "ec2:CreateSecurityGroup", "ec2:CreateTags",
    "ec2:CreateVpcEndpoint", "ec2:DeleteLaunchTemplate", "ec2:DeleteSecurityGroup",
    "ec2:DeleteVpcEndpoints", "ec2:DescribeLaunchTemplateVersions", "ec2:DescribeLaunchTemplates",
    "ec2:DescribeRouteTables", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets",
    "ec2:DescribeVpcEndpoints", "ec2:DescribeVpcs", "ec2:ModifyVpcEndpoint",
    "iam:AddRoleToInstanceProfile", "iam:AttachRolePolicy", "iam:CreateInstanceProfile",
    "iam:CreateRole", "iam:CreateServiceLinkedRole", "iam:DeleteInstanceProfile",
    "iam:DeleteRole", "iam:DeleteRolePolicy", "iam:DetachRolePolicy", "iam:GetInstanceProfile",
    "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies",
    "iam:PassRole", "iam:PutRolePolicy", "iam:RemoveRoleFromInstanceProfile",
    "iam:TagInstanceProfile", "iam:TagRole", "iam:UpdateAssumeRolePolicy")
HEAD = (
    "batch:CancelJob", "batch:DescribeComputeEnvironments", "batch:DescribeJobDefinitions",
    "batch:DescribeJobQueues", "batch:DescribeJobs", "batch:ListJobs",
    "batch:RegisterJobDefinition", "batch:SubmitJob", "batch:TagResource", "batch:TerminateJob",
    "ec2:DescribeInstanceAttribute", "ec2:DescribeInstanceStatus", "ec2:DescribeInstanceTypes",
    "ec2:DescribeInstances", "ecs:DescribeContainerInstances", "ecs:DescribeTasks",
    "logs:GetLogEvents")
INSTANCE = (
    "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetAuthorizationToken",
    "ecr:GetDownloadUrlForLayer", "ecs:DiscoverPollEndpoint", "ecs:Poll",
    "ecs:RegisterContainerInstance", "ecs:StartTelemetrySession", "ecs:SubmitTaskStateChange",
    "logs:CreateLogStream", "logs:PutLogEvents")
MAX_ACTIONS = 50
"""In one simulation."""


@frozen
class Need:
    """Actions that a role must be allowed on a resource; `context` are condition keys."""

    actions: tuple[str, ...]
    resource: str = "*"
    context: tuple[tuple[str, str], ...] = ()


def rights(session: Session, spec: InfraSpec, head_role: str | None) -> Iterator[Finding]:
    """Say of the three what they aren't allowed."""
    caller = principal(session, ask(session, "sts", "get_caller_identity")["Arn"])
    account = session.account()
    start = f"arn:{partition(spec.aws.region)}:iam::{account}:role/"
    instance = ask(session, "iam", "get_role", absent=["NoSuchEntity"],
                     RoleName=spec.role).get("Role")
    yield _of(session, "applier", caller, [Need(actions=APPLIER)])
    files = list(_files(spec))
    if instance is None:
        yield Finding(check="rights", status=FAIL, text=f"there is no role {spec.role}",
                      cure="doit batch:infra:apply")
    else:
        yield _of(session, "instances", instance["Arn"], [
            Need(actions=INSTANCE), *files, *_cli(spec), *_keys(spec)])
    head = caller if head_role is None else (
        head_role if head_role.startswith("arn:") else start + head_role)
    yield _of(session, "head node", head, [Need(actions=HEAD), *files, *_keys(spec)])


def principal(session: Session, arn: str) -> str:
    """Return what a simulation takes for who asks: of an assumed role, the role itself."""
    if ":assumed-role/" in arn:
        name = arn.partition(":assumed-role/")[2].partition("/")[0]
        return str(ask(session, "iam", "get_role", RoleName=name)["Role"]["Arn"])
    return arn


def _files(spec: InfraSpec) -> Iterator[Need]:
    start = f"arn:{partition(spec.aws.region)}:s3:::"
    for bucket in spec.buckets:
        yield Need(actions=("s3:GetBucketLocation", "s3:ListBucket"), resource=start + bucket)
        yield Need(actions=OBJECT_ACTIONS, resource=f"{start}{bucket}/work/a-file")


def _cli(spec: InfraSpec) -> Iterator[Need]:
    if spec.cli:
        yield Need(actions=("s3:GetObject",), resource=(
            f"arn:{partition(spec.aws.region)}:s3:::{spec.cli.replace('*', '0123456789ab')}"))


def _keys(spec: InfraSpec) -> Iterator[Need]:
    for key in spec.kms_keys:
        if ":key/" in key:
            yield Need(actions=("kms:Decrypt", "kms:GenerateDataKey"), resource=key,
                       context=(("kms:ViaService", s3_host(spec.aws.region)),))


def _of(session: Session, who: str, arn: str, needs: Sequence[Need]) -> Finding:
    if arn.endswith(":root"):
        return Finding(check="rights", status=UNKNOWN, cure="work as a role or a user",
                       text=f"{who} ({arn}) is the account itself, which AWS doesn't simulate")
    denied = sorted({(action, need.resource) for need in needs
                     for action in _denied(session, arn, need)})
    if not denied:
        count = sum(len(need.actions) for need in needs)
        return Finding(check="rights", status=OK, text=f"{who} ({arn}): {count} actions allowed")
    listed = ", ".join(action if resource == "*" else f"{action} on {resource}"
                       for action, resource in denied)
    return Finding(check="rights", status=FAIL, text=f"{who} ({arn}) is not allowed: {listed}",
                   cure="doit batch:infra:apply" if who == "instances" else
                   "allow these in that role's policy")


def _denied(session: Session, arn: str, need: Need) -> Iterator[str]:
    for first in range(0, len(need.actions), MAX_ACTIONS):
        results: list[dict[str, Any]] = ask(
            session, "iam", "simulate_principal_policy", PolicySourceArn=arn,
            ActionNames=list(need.actions[first:first + MAX_ACTIONS]), ResourceArns=[need.resource],
            ContextEntries=[{"ContextKeyName": key, "ContextKeyValues": [value],
                             "ContextKeyType": "string"} for key, value in need.context],
        )["EvaluationResults"]
        yield from (result["EvalActionName"] for result in results
                    if result["EvalDecision"] != "allowed")
