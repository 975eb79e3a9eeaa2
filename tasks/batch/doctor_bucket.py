"""Whether the buckets are where and what they must be: region, owner, encryption, the key's policy.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tasks.batch.infra_resource import ask
from tasks.batch.infra_settings import InfraSpec
from tasks.core.aws.evaluate import Access, Policies, decide
from tasks.core.aws.policy import account_of, partition, s3_host
from tasks.core.aws.session import Session
from tasks.core.findings import FAIL, OK, WARN, Finding

NO_ENCRYPTION = "ServerSideEncryptionConfigurationNotFoundError"
KEY_ACTIONS = ("kms:Decrypt", "kms:GenerateDataKey")


def buckets(session: Session, spec: InfraSpec) -> Iterator[Finding]:
    """Look at every bucket that jobs work in."""
    account = session.account()
    for bucket in spec.buckets:
        yield from _bucket(session, spec, bucket, account)


def _bucket(session: Session, spec: InfraSpec, bucket: str, account: str) -> Iterator[Finding]:
    place = ask(session, "s3", "get_bucket_location", absent=["NoSuchBucket"], Bucket=bucket)
    if not place:
        yield Finding(check="bucket", status=FAIL, text=f"there is no bucket {bucket}",
                      cure="doit aws:apply, or correct batch.work and batch.buckets")
        return
    region = place.get("LocationConstraint") or "us-east-1"
    if region != spec.aws.region:
        yield Finding(check="bucket", status=FAIL,
                      text=f"{bucket} is in {region}, jobs run in {spec.aws.region}",
                      cure="take a bucket in that region, or correct aws.region")
    else:
        yield Finding(check="bucket", status=OK, text=f"{bucket} is in {region}")
    foreign = not ask(session, "s3", "head_bucket", absent=["403", "AccessDenied"],
                        Bucket=bucket, ExpectedBucketOwner=account)
    if foreign:
        yield Finding(check="bucket", status=FAIL,
                      text=f"{bucket} doesn't belong to account {account}, or may not be listed",
                      cure="name a bucket of this account")
        return
    yield from _encryption(session, spec, bucket, account)


def _encryption(session: Session, spec: InfraSpec, bucket: str, account: str) -> Iterator[Finding]:
    answer = ask(session, "s3", "get_bucket_encryption", absent=[NO_ENCRYPTION], Bucket=bucket)
    rules = answer.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
    default = rules[0]["ApplyServerSideEncryptionByDefault"] if rules else {}
    algorithm, key = default.get("SSEAlgorithm", "AES256"), default.get("KMSMasterKeyID")
    yield Finding(check="bucket", status=OK,
                  text=f"{bucket} encrypts by {algorithm}" + (f" with {key}" if key else ""))
    if algorithm != "aws:kms" or key is None:
        return
    described = ask(session, "kms", "describe_key", absent=["NotFoundException"], KeyId=key)
    if not described or not described["KeyMetadata"]["Enabled"]:
        yield Finding(check="bucket", status=FAIL, cure="enable it, or set another one",
                      text=f"the key {key} of {bucket} is not there, or disabled")
        return
    arn = described["KeyMetadata"]["Arn"]
    if arn not in spec.kms_keys and key not in spec.kms_keys:
        yield Finding(check="bucket", status=WARN, cure="set store.encryption and store.kms_key",
                      text=f"the site doesn't name the key {arn} of {bucket}, so "
                           "batch:infra:apply grants no right to it")
    yield _key(session, spec, bucket, arn, account)


def _key(session: Session, spec: InfraSpec, bucket: str, arn: str, account: str) -> Finding:
    """The key's policy and the role's together: a key's policy must allow always."""
    policy = json.loads(ask(session, "kms", "get_key_policy", KeyId=arn,
                              PolicyName="default")["Policy"])
    identity = list(role_documents(session, spec.role))
    role = ask(session, "iam", "get_role", RoleName=spec.role)["Role"]["Arn"]
    context = {"kms:viaservice": s3_host(spec.aws.region),
               "kms:calleraccount": account, "aws:principalaccount": account,
               "aws:principalarn": role,
               "kms:encryptioncontext:aws:s3:arn":
                   f"arn:{partition(spec.aws.region)}:s3:::{bucket}"}
    for action in KEY_ACTIONS:
        decision = decide(Access(principal=role, action=action, resource=arn,
                                 owner=account_of(arn), context=context),
                          Policies(identity=identity, resource=policy))
        if not decision.allowed:
            return Finding(check="bucket", status=FAIL,
                           text=f"instances may not {action} with the key of {bucket}: "
                                f"{decision.reason}",
                           cure="name the role in aws.roles.jobs and apply the key's policy "
                                "(doit aws:policies); then doit batch:infra:apply")
    return Finding(check="bucket", status=OK, text=f"instances may use the key of {bucket}")


def role_documents(session: Session, role: str) -> Iterator[dict[str, Any]]:
    """Yield the policies of a role, its own and those that are attached."""
    for name in ask(session, "iam", "list_role_policies", RoleName=role)["PolicyNames"]:
        yield ask(session, "iam", "get_role_policy", RoleName=role,
                    PolicyName=name)["PolicyDocument"]
    for attached in ask(session, "iam", "list_attached_role_policies",
                          RoleName=role)["AttachedPolicies"]:
        arn = attached["PolicyArn"]
        version = ask(session, "iam", "get_policy", PolicyArn=arn)["Policy"]["DefaultVersionId"]
        yield ask(session, "iam", "get_policy_version", PolicyArn=arn,
                    VersionId=version)["PolicyVersion"]["Document"]
