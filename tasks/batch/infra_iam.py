"""The role of Batch's instances, the policies in it, and the profile that hands it to them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.batch.infra_resource import Call, Existing, Ids, Resource, ask
from tasks.batch.infra_settings import InfraSpec
from tasks.core.aws.policy import Statement, document, partition, s3_host, same
from tasks.core.aws.session import Session
from tasks.core.config.aws_settings import FUSION

TRUST = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}]}
NEEDED = ("service-role/AmazonEC2ContainerServiceforEC2Role", "AmazonEC2ContainerRegistryReadOnly")
"""AWS's own policies that instances can't do without: to join the cluster, to pull images."""
WIDE = ("AmazonS3FullAccess", "AmazonSSMManagedInstanceCore")
"""Those that `batch.parity` adds."""
INLINE = "airlock-files"
"""The name of our policy in the role."""
OBJECT_ACTIONS = ("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject",
                  "s3:ListMultipartUploadParts", "s3:PutObject")


class Role(Resource):
    """The instances' role."""

    kind = "role"

    def __init__(self, spec: InfraSpec, key_arns: Sequence[str]) -> None:
        self.name, self.site = spec.role, spec.site
        self._spec = spec
        self._policy = files_policy(spec, key_arns)
        start = f"arn:{partition(spec.aws.region)}:iam::aws:policy/"
        self._wide = [start + name for name in WIDE]
        self._managed = [start + name for name in NEEDED] + (
            self._wide if spec.batch.parity else [])

    def find(self, session: Session, ids: Ids) -> Existing | None:
        role = ask(session, "iam", "get_role", absent=["NoSuchEntity"],
                     RoleName=self.name).get("Role")
        if role is None:
            return None
        attached = ask(session, "iam", "list_attached_role_policies", RoleName=self.name)
        inline = ask(session, "iam", "list_role_policies", RoleName=self.name)["PolicyNames"]
        policy = ask(session, "iam", "get_role_policy", RoleName=self.name, PolicyName=INLINE)[
            "PolicyDocument"] if INLINE in inline else None
        return Existing(id=role["Arn"], ours=self.is_ours(role.get("Tags")), settings={
            "trust": role["AssumeRolePolicyDocument"], "inline": policy, "names": inline,
            "attached": [one["PolicyArn"] for one in attached["AttachedPolicies"]]})

    def wanted(self, ids: Ids) -> Mapping[str, Any]:
        return {"trust": TRUST, "attached": self._managed, "inline": self._policy}

    def differences(self, existing: Existing, ids: Ids) -> list[str]:
        """Policies that somebody has added are none: only what is missing, and ours too much."""
        has = existing.settings
        return [name for name, differs in (
            ("trust", not same(has["trust"], TRUST)),
            ("attached", bool(self._missing(existing) or self._surplus(existing))),
            ("inline", not _same_policy(has["inline"], self._policy))) if differs]

    def create(self, ids: Ids) -> Call:
        return self._call("create_role", AssumeRolePolicyDocument=json.dumps(TRUST), Tags=self.tags,
                          Description=f"Instances of AWS Batch, of {self.site}")

    def change(self, existing: Existing, ids: Ids) -> Call | None:
        if not same(existing.settings["trust"], TRUST):
            return self._call("update_assume_role_policy", PolicyDocument=json.dumps(TRUST))
        for arn in self._missing(existing):
            return self._call("attach_role_policy", PolicyArn=arn)
        for arn in self._surplus(existing):
            return self._call("detach_role_policy", PolicyArn=arn)
        if _same_policy(existing.settings["inline"], self._policy):
            return None
        if self._policy is None:
            return self._call("delete_role_policy", PolicyName=INLINE)
        return self._call("put_role_policy", PolicyName=INLINE,
                          PolicyDocument=json.dumps(self._policy))

    def remove(self, existing: Existing) -> Call:
        for arn in existing.settings["attached"]:
            return self._call("detach_role_policy", PolicyArn=arn)
        for name in existing.settings["names"]:
            return self._call("delete_role_policy", PolicyName=name)
        return self._call("delete_role")

    def _missing(self, existing: Existing) -> list[str]:
        return [arn for arn in self._managed if arn not in existing.settings["attached"]]

    def _surplus(self, existing: Existing) -> list[str]:
        """Of AWS's policies that parity adds, those that are there without it."""
        return [arn for arn in existing.settings["attached"]
                if arn in self._wide and arn not in self._managed]

    def _call(self, operation: str, **arguments: Any) -> Call:
        return Call(service="iam", operation=operation,
                    arguments={"RoleName": self.name, **arguments})


class Profile(Resource):
    """The instance profile: how an instance gets the role. It is called as the role is."""

    kind = "instance profile"

    def __init__(self, spec: InfraSpec) -> None:
        self.name, self.site = spec.role, spec.site

    def find(self, session: Session, ids: Ids) -> Existing | None:
        profile = ask(session, "iam", "get_instance_profile", absent=["NoSuchEntity"],
                        InstanceProfileName=self.name).get("InstanceProfile")
        return None if profile is None else Existing(
            id=profile["Arn"], ours=self.is_ours(profile.get("Tags")),
            settings={"roles": [role["RoleName"] for role in profile["Roles"]]})

    def wanted(self, ids: Ids) -> Mapping[str, Any]:
        return {"roles": [self.name]}

    def create(self, ids: Ids) -> Call:
        return self._call("create_instance_profile", Tags=self.tags)

    def change(self, existing: Existing, ids: Ids) -> Call | None:
        for role in existing.settings["roles"]:
            if role != self.name:  # there is room for one
                return self._call("remove_role_from_instance_profile", RoleName=role)
        if not existing.settings["roles"]:
            return self._call("add_role_to_instance_profile", RoleName=self.name)
        return None

    def remove(self, existing: Existing) -> Call:
        for role in existing.settings["roles"]:
            return self._call("remove_role_from_instance_profile", RoleName=role)
        return self._call("delete_instance_profile")

    def _call(self, operation: str, **arguments: Any) -> Call:
        return Call(service="iam", operation=operation,
                    arguments={"InstanceProfileName": self.name, **arguments})


def files_policy(spec: InfraSpec, key_arns: Sequence[str]) -> dict[str, Any] | None:
    """Return the rights to the buckets, and to the keys of their files; None where parity has all.

    Fusion also writes tags ("S3 permissions" in its guide). The key is used through S3 alone.
    """
    start = f"arn:{partition(spec.aws.region)}:s3:::"
    statements = []
    if not spec.batch.parity:
        fusion = ("s3:GetObjectTagging", "s3:PutObjectTagging") * (spec.batch.mode == FUSION)
        statements = [
            Statement(sid="Buckets", effect="Allow", actions=("s3:GetBucketLocation",
                                                              "s3:ListBucket"),
                      resources=tuple(start + bucket for bucket in spec.buckets)),
            Statement(sid="Files", effect="Allow", actions=OBJECT_ACTIONS + fusion,
                      resources=tuple(f"{start}{bucket}/*" for bucket in spec.buckets))]
        if spec.cli:
            statements.append(Statement(sid="Cli", effect="Allow", actions=("s3:GetObject",),
                                        resources=(start + spec.cli,)))
    if key_arns:
        statements.append(Statement(
            sid="Key", effect="Allow", actions=("kms:Decrypt", "kms:GenerateDataKey"),
            resources=tuple(key_arns), conditions={"StringEquals": {
                "kms:ViaService": s3_host(spec.aws.region)}}))
    return document(statements) if statements else None


def _same_policy(one: Any, other: Any) -> bool:
    return one is other if one is None or other is None else same(one, other)
