"""A site's Batch at what stands in for AWS: its settings, and what AWS then has of it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from tasks.batch.infra_settings import InfraSpec
from tasks.core.aws.paths import BatchSitePaths
from tasks.core.aws.session import Session
from tasks.core.config.aws_settings import Aws, Batch

REPORT: dict[str, Any] = {
    "queue": "chromapipe-queue-v4", "environment": "chromapipe-ce-v4", "max_vcpus": 4,
    "work": "s3://chromapipe-data/work", "instance_role": "ecsInstanceRole", "parity": True}
"""The names of the report that Batch answers."""
MANAGED = {
    "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role",
    "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly",
    "arn:aws:iam::aws:policy/AmazonS3FullAccess",
    "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"}
"""The policies of its instance role."""


def spec(aws: Aws, folder: Path, *, kms_keys: tuple[str, ...] = (),
         userdata: str = "MIME-Version: 1.0", **batch: Any) -> InfraSpec:
    """A site's settings; the user data is written below the folder, which is the current one."""
    at = BatchSitePaths(site="lab")
    (folder / at.userdata).parent.mkdir(parents=True, exist_ok=True)
    (folder / at.userdata).write_text(userdata)
    return InfraSpec(
        site="lab", at=at, aws=aws, cli_url=(
            None if batch.get("mode") == "fusion" else "s3://lab-store/airlock"), kms_keys=kms_keys,
        batch=Batch(**{"mode": "carried-cli", "profile": "aws", "queue": "lab-queue",
                       "environment": "lab-ce", "work": "s3://lab-work/work",
                       "instance_types": ("optimal",), "max_vcpus": 16, "endpoints": (),
                       "parity": False, "buckets": (), **batch}))


def at_aws(session: Session) -> dict[str, Any]:
    """All that AWS has of any site, without what differs between two runs: ids, times."""
    iam, ec2, batch = (session.client(name) for name in ("iam", "ec2", "batch"))
    roles = {role["RoleName"]: _role(iam, role["RoleName"]) for role in iam.list_roles()["Roles"]
             if not role["Path"].startswith("/aws-service-role/")}
    templates = {template["LaunchTemplateName"]: [
        version["LaunchTemplateData"] for version in ec2.describe_launch_template_versions(
            LaunchTemplateId=template["LaunchTemplateId"])["LaunchTemplateVersions"]]
        for template in ec2.describe_launch_templates()["LaunchTemplates"]}
    return {
        "roles": roles, "templates": templates,
        "profiles": {profile["InstanceProfileName"]: [role["RoleName"] for role in
                                                      profile["Roles"]]
                     for profile in iam.list_instance_profiles()["InstanceProfiles"]},
        "groups": {group["GroupName"]: sorted(rule.get("FromPort", 0) for rule in
                                              group["IpPermissions"])
                   for group in ec2.describe_security_groups()["SecurityGroups"]},
        "endpoints": sorted(endpoint["ServiceName"] for endpoint in
                            ec2.describe_vpc_endpoints()["VpcEndpoints"]
                            if endpoint["State"] != "deleted"),
        "environments": {one["computeEnvironmentName"]: {
            "status": one["status"], "state": one["state"], "tags": one["tags"],
            "resources": {**one["computeResources"], "launchTemplate": one[
                "computeResources"].get("launchTemplate", {}).get("version"),
                **{name: len(one["computeResources"][name])
                   for name in ("securityGroupIds", "subnets")}}}
            for one in batch.describe_compute_environments()["computeEnvironments"]},
        "queues": {one["jobQueueName"]: {key: one[key] for key in (
            "status", "state", "priority", "tags", "computeEnvironmentOrder")}
            for one in batch.describe_job_queues()["jobQueues"]}}


def _role(iam: Any, name: str) -> dict[str, Any]:
    with contextlib.suppress(iam.exceptions.NoSuchEntityException):
        return {
            "attached": sorted(one["PolicyArn"] for one in iam.list_attached_role_policies(
                RoleName=name)["AttachedPolicies"]),
            "inline": {policy: iam.get_role_policy(RoleName=name, PolicyName=policy)[
                "PolicyDocument"] for policy in iam.list_role_policies(RoleName=name)[
                    "PolicyNames"]},
            "tags": iam.get_role(RoleName=name)["Role"].get("Tags", [])}
    return {}
